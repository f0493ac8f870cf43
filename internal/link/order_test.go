package link

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/fanqie/tank-websocket-go-server/broker"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// log is a broker, and the owner of a link, that notes what it is asked. The first Subscribe after the talk's waits for the gate.
type log struct {
	mu   sync.Mutex
	said []string
	gate chan struct{}
}

func (l *log) note(what string, subs []broker.Subscription) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range subs {
		l.said = append(l.said, what+" "+s.Name)
	}
}

func (l *log) Open(w broker.Watcher) error { w.Up(); return nil }
func (l *log) Subscribe(_ context.Context, subs []broker.Subscription) error {
	if subs[0].Name == "wait" {
		<-l.gate
	}
	l.note("subscribe", subs)
	return nil
}
func (l *log) Unsubscribe(subs []broker.Subscription) { l.note("unsubscribe", subs) }
func (l *log) Publish(context.Context, string, broker.Publication) (broker.Receipt, error) {
	return broker.Receipt{}, nil
}
func (l *log) Close(context.Context) error { return nil }
func (l *log) InForce(*topic.Topic)        {}
func (l *log) Connected(error)             {}
func (l *log) Failed(error)                {}
func (l *log) Missing(int, error)          {}
func (l *log) Heard(string)                {}

// TestNewBeforeOld: a topic takes the place of another one of its name without a moment in which neither has a subscription.
func TestNewBeforeOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &log{gate: make(chan struct{})}
		l := New(b, nil, "node", b)
		l.Open()
		synctest.Wait()
		old, wait, young := spawn("x"), spawn("wait"), spawn("x")
		l.Enter(old)
		synctest.Wait()
		l.Enter(wait)
		synctest.Wait() // the link is in Subscribe: what follows comes in one batch
		l.Leave(old)
		l.Enter(young)
		close(b.gate)
		synctest.Wait()
		want := []string{"subscribe " + talk, "subscribe x", "subscribe wait", "subscribe x", "unsubscribe x"}
		if !slices.Equal(b.said, want) {
			t.Errorf("got %q, want %q", b.said, want)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
		for _, one := range []*topic.Topic{old, wait, young} {
			one.Stop()
		}
	})
}

func spawn(name string) *topic.Topic { return topic.Spawn(name, topic.Options{Joining: true}) }
