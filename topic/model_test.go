package topic_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/topic"
)

// bubbled hides the deadline of a test, which must not be asked for inside a bubble.
type bubbled struct{ *testing.T }

// TestMembershipBehavesLikeASet compares a topic with a set of subscribers, over random sequences of operations.
func TestMembershipBehavesLikeASet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(bubbled{t}, func(rt *rapid.T) {
			m := newSetModel()
			defer m.end()
			rt.Repeat(rapid.StateMachineActions(m))
		})
	})
}

// setModel is what a topic is in principle, beside the real one.
type setModel struct {
	real    *topic.Topic
	members []*topic.Member

	joined    map[int]bool
	got       []string // per member, everything it was sent
	published int
	delivered int

	gate chan struct{} // not nil while the real one is held up
}

func newSetModel() *setModel {
	m := &setModel{real: topic.Spawn("room", topic.Options{Verbatim: true}), joined: map[int]bool{}, got: make([]string, 6)}
	for range m.got {
		m.members = append(m.members, &topic.Member{Subscriber: &inbox{}})
	}
	return m
}

func (m *setModel) end() {
	m.letGo()
	m.real.Stop()
	<-time.After(10 * time.Millisecond) // lets the time limit for the search of a smaller failure run down
}

func (m *setModel) letGo() {
	if m.gate != nil {
		close(m.gate)
		m.gate = nil
	}
	synctest.Wait()
}

func (m *setModel) Join(rt *rapid.T) {
	i := rapid.IntRange(0, len(m.members)-1).Draw(rt, "who")
	m.real.Join(m.members[i])
	m.joined[i] = true
}

func (m *setModel) Leave(rt *rapid.T) {
	i := rapid.IntRange(0, len(m.members)-1).Draw(rt, "who")
	m.real.Leave(m.members[i], false, nil)
	delete(m.joined, i)
}

func (m *setModel) Publish(rt *rapid.T) {
	m.published++
	msg := fmt.Sprintf("%d ", m.published)
	if err := publish(m.real, rt.Context(), msg); err != nil {
		rt.Fatalf("Publish returned %v", err)
	}
	for i := range m.joined {
		m.got[i] += msg
		m.delivered++
	}
}

// Hold makes operations pile up, so that the topic handles several of them in one go. It takes a subscriber that comes
// and goes.
func (m *setModel) Hold(rt *rapid.T) {
	if m.gate != nil {
		rt.Skip("held already")
	}
	m.gate = make(chan struct{})
	holder := &topic.Member{Subscriber: blocker(m.gate)}
	m.real.Join(holder)
	m.Publish(rt)
	m.delivered++
	m.real.Leave(holder, false, nil)
	synctest.Wait()
}

func (m *setModel) Release(*rapid.T) { m.letGo() }

// Check holds whenever everything has settled.
func (m *setModel) Check(rt *rapid.T) {
	if m.gate != nil {
		return
	}
	synctest.Wait()
	for i, member := range m.members {
		if got := strings.Join(member.Subscriber.(*inbox).payloads(rt), ""); got != m.got[i] {
			rt.Fatalf("member %d got messages %s, want %s", i, got, m.got[i])
		}
	}
	s := m.real.Stats()
	if s.Published != uint64(m.published) || s.Delivered != uint64(m.delivered) || s.Dropped != 0 {
		rt.Fatalf("stats are %+v, want %d published and %d delivered", s, m.published, m.delivered)
	}
}
