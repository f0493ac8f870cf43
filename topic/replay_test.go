package topic_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/internal/budget"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// reader2 is a Subscriber that speaks tank.v2, and keeps the payloads of all frames.
type reader2 struct {
	encoding wire.Encoding
	payloads []string
	batches  []*wire.Batch
}

func (s *reader2) Deliver(b *wire.Batch) (taken, idle bool) {
	s.batches = append(s.batches, b)
	for frames := b.For(s.encoding); len(frames) > 0; {
		n := wire.FramesLen(frames, 1)
		s.payloads = append(s.payloads, string(frames[wire.HeaderLen(frames[1]):n]))
		frames = frames[n:]
	}
	return true, false
}

func (s *reader2) Flush()                  {}
func (s *reader2) Encoding() wire.Encoding { return s.encoding }

func newReader2() *reader2 { return &reader2{encoding: wire.V2} }

// take returns what has come since the last call.
func (s *reader2) take() []string {
	synctest.Wait()
	got := s.payloads
	s.payloads = nil
	return got
}

// reply2 is the answer to a subscription.
type reply2 struct {
	ID uint64
	OK struct {
		Epoch     string
		Seq, From uint64
		Recovered *bool
		Why       string
	}
}

func (s *reader2) takeReply(t tester) (reply reply2, behind []string) {
	t.Helper()
	got := s.take()
	if len(got) == 0 || json.Unmarshal([]byte(got[0]), &reply) != nil || reply.OK.Epoch == "" {
		t.Fatalf("got %.300q, want a reply first", got)
	}
	return reply, got[1:]
}

// frame2 is a publication of the topic "room".
func frame2(seq uint64, data string) string { return fmt.Sprintf(`["room",%d,%q]`, seq, data) }

// kept is one message that was published.
type kept struct {
	data string
	at   time.Time
}

// TestReplaysAreWhatWasPublished runs random programs of publications, pauses and resumes against a topic, and compares each reply and
// each replay with all that was published.
func TestReplaysAreWhatWasPublished(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limits := topic.History{
			Messages: rapid.SampledFrom([]int{0, 1, 2, 7, 50, 400}).Draw(rt, "messages"),
			Bytes:    rapid.SampledFrom([]int{0, 500, 3_000, 100_000, 1 << 20}).Draw(rt, "bytes"),
			Age:      rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(rt, "age"),
		}
		steps := rapid.SliceOfN(rapid.SampledFrom([]string{"publish", "publish", "pause", "resume", "resume", "last", "reset"}), 1, 40).Draw(rt, "steps")
		var numbers []int
		for range steps {
			numbers = append(numbers, rapid.IntRange(0, 1000).Draw(rt, "number"))
		}
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = runReplays(t, limits, steps, numbers) })
		if failure != "" {
			rt.Fatal(failure)
		}
	})
}

func runReplays(t *testing.T, limits topic.History, steps []string, numbers []int) string {
	held := budget.New(0, nil)
	x := topic.Spawn("room", topic.Options{History: limits, Budget: held})
	defer func() {
		x.Stop()
		synctest.Wait()
		if held.Held() != 0 {
			t.Errorf("%d bytes are held by a topic that has ended", held.Held())
		}
	}()
	var all []kept // of this epoch
	for i, step := range steps {
		n := numbers[i]
		switch step {
		case "publish":
			for j := range n%37 + 1 {
				data := fmt.Sprint("message ", len(all), " ", strings.Repeat("x", n*(j%5)))
				if err := publish(x, t.Context(), data); err != nil {
					return err.Error()
				}
				all = append(all, kept{data, time.Now()})
				if n%3 == 0 {
					synctest.Wait() // which makes a batch of it
				}
			}
		case "pause":
			time.Sleep(time.Duration(n) * 100 * time.Millisecond)
			x.Sweep()
		case "reset":
			if err := x.Reset(t.Context()); err != nil {
				return err.Error()
			}
			all = nil
		case "resume", "last":
			if failure := resumeOnce(t, x, limits, all, step, n); failure != "" {
				return fmt.Sprintf("step %d: %s", i, failure)
			}
		}
		synctest.Wait()
		if limits.Bytes > 0 && x.Kept() > int64(limits.Bytes)+1<<10 {
			return fmt.Sprintf("step %d: %d bytes are kept", i, x.Kept())
		}
		if x.Kept() != held.Held() {
			return fmt.Sprintf("step %d: %d bytes are kept, and %d counted", i, x.Kept(), held.Held())
		}
	}
	return ""
}

// resumeOnce subscribes with a position or a number of messages, and checks what comes.
func resumeOnce(t *testing.T, x *topic.Topic, limits topic.History, all []kept, step string, n int) string {
	page, err := x.History(t.Context(), wire.Position{}, 1<<30)
	if err != nil {
		return err.Error()
	}
	low := page.From.Seq + 1
	if failure := checkLow(limits, all, low); failure != "" {
		return failure
	}
	ask := &topic.Ask{ID: uint64(n) + 1, Most: []int{1 << 30, 20_000, 100}[n%3]}
	last := uint64(len(all))
	since := uint64(n) % (last + 2)
	switch step {
	case "resume":
		ask.Since = wire.Position{Epoch: page.From.Epoch, Seq: since}
	default:
		ask.Last = uint64(n%60) + 1
	}
	s := newReader2()
	m := (&topic.Member{Subscriber: s}).Asking(ask)
	x.Join(m)
	defer x.Leave(m, false, nil)
	reply, behind := s.takeReply(t)
	for room, i := ask.Most, last; ; i-- { // what fits
		if i < low {
			break
		}
		if room -= len(frame2(i, all[i-1].data)) + header(len(frame2(i, all[i-1].data))); room < 0 {
			low = i + 1
			break
		}
	}
	from := last
	if step == "resume" {
		recovered := since >= low-1 && since <= last
		if reply.OK.Recovered == nil || *reply.OK.Recovered != recovered {
			return fmt.Sprintf("since %d of %d, low %d: got %+v, want recovered %v", since, last, low, reply.OK, recovered)
		}
		if recovered {
			from = since
		}
		if want := whyNot(limits, recovered, since, last); reply.OK.Why != want {
			return fmt.Sprintf("why is %q, want %q", reply.OK.Why, want)
		}
	} else {
		from = max(low-1, last-min(last, ask.Last))
	}
	if reply.OK.Seq != last || reply.OK.From != from || reply.ID != ask.ID {
		return fmt.Sprintf("got %+v, want %d from %d", reply, last, from)
	}
	for i := from; i < last; i++ {
		if len(behind) == 0 || behind[0] != frame2(i+1, all[i].data) {
			return fmt.Sprintf("the replay goes on with %.100q, want number %d", behind, i+1)
		}
		behind = behind[1:]
	}
	if len(behind) > 0 {
		return fmt.Sprintf("%.100q comes behind the replay", behind)
	}
	return ""
}

func whyNot(limits topic.History, recovered bool, since, last uint64) string {
	switch {
	case recovered:
		return ""
	case since > last:
		return wire.MissedAhead
	case !limits.IsOn():
		return wire.MissedOff
	}
	return wire.MissedEvicted
}

func header(payload int) int {
	switch {
	case payload < 126:
		return 2
	case payload <= 65535:
		return 4
	}
	return 10
}

// checkLow says what is wrong with the number of the oldest message that is kept.
func checkLow(limits topic.History, all []kept, low uint64) string {
	last := uint64(len(all))
	least := uint64(1)
	if most := uint64(limits.Messages); most > 0 && last > most {
		least = last - most + 1
	}
	if low < least {
		return fmt.Sprintf("number %d is kept, which is over the limit in messages: the last is %d", low, last)
	}
	if limits.Bytes == 0 && limits.Age == 0 && low != least && limits.Messages > 0 {
		return fmt.Sprintf("number %d is the oldest that is kept, want %d", low, least)
	}
	if limits.Age > 0 {
		for i := low; i <= last; i++ {
			if age := time.Since(all[i-1].at); age > limits.Age*9/8 {
				return fmt.Sprintf("number %d is %v old, and still kept", i, age)
			}
		}
		for i := least; i < low && limits.Bytes == 0; i++ {
			if age := time.Since(all[i-1].at); age < limits.Age {
				return fmt.Sprintf("number %d is only %v old, and dropped", i, age)
			}
		}
	}
	return ""
}
