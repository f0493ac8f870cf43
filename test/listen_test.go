package test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// heard is what a loop over Manager.Subscribe gets.
type heard struct {
	publications []tank.Publication
	errs         []error
	more         chan struct{} // a value lets the loop take one more step; nil: it takes all
	done         chan struct{}
}

func hear(ctx context.Context, s *server, topic string, paced bool) *heard {
	h := &heard{done: make(chan struct{})}
	if paced {
		h.more = make(chan struct{})
	}
	go func() {
		defer close(h.done)
		for p, err := range s.Subscribe(ctx, topic) {
			if err != nil {
				h.errs = append(h.errs, err)
			} else {
				h.publications = append(h.publications, p)
			}
			if h.more != nil {
				<-h.more
			}
		}
	}()
	synctest.Wait()
	return h
}

func (h *heard) data() (all []string) {
	for _, p := range h.publications {
		all = append(all, p.Data)
	}
	return all
}

func TestSubscribeInsideTheProgram(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, byQuery, allowAll)
		ctx, cancel := context.WithCancel(t.Context())
		h := hear(ctx, s, "news", false)
		if n, topics := s.GetTopicSubscriberCount("news"), s.GetAllTopics(); n != 1 || len(topics) != 1 || topics[0].Subscribers != 1 || len(s.GetTopicSubscribers("news")) != 0 {
			t.Errorf("%d subscribers, topics %+v", n, topics)
		}
		ann := s.dial("ann")
		ann.subscribe(s, "news")
		must(t, s.BroadcastTopicMessage("news", "text"))
		must(t, s.PublishJSON(t.Context(), "news", 42))
		ann.send(`{"topic":"news","data":"from ann"}`)
		must(t, s.BroadcastTopicMessage("other", "not for it"))
		synctest.Wait()
		must(t, s.BroadcastMessage([]byte("nor this")))
		synctest.Wait()
		want := []tank.Publication{{Topic: "news", Data: "text"}, {Topic: "news", Data: "42", JSON: true}, {Topic: "news", Data: "from ann", From: "ann"}}
		if !slices.Equal(h.publications, want) {
			t.Errorf("heard %+v", h.publications)
		}
		for _, data := range []string{"text", "42", "from ann"} {
			ann.expectTopic("news", data)
		}
		ann.expect("nor this")
		cancel()
		<-h.done
		if len(h.errs) != 1 || !errors.Is(h.errs[0], context.Canceled) {
			t.Errorf("ended with %v", h.errs)
		}
		synctest.Wait()
		if n := s.GetTopicSubscriberCount("news"); n != 1 {
			t.Errorf("%d subscribers are left, want ann", n)
		}
	})
}

func TestSubscribeInsideTheProgramEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		for _, err := range s.Subscribe(t.Context(), "in\nvalid") {
			mustBe(t, err, tank.ErrInvalidTopic)
		}
		h := hear(t.Context(), s, "news", true)
		for i := range 3 {
			must(t, s.BroadcastTopicMessage("news", fmt.Sprint(i)))
		}
		done := make(chan error)
		go func() { done <- s.Shutdown(context.Background()) }()
		close(h.more)
		<-h.done
		must(t, <-done)
		if got := h.data(); !slices.Equal(got, []string{"0", "1", "2"}) || len(h.errs) != 1 || !errors.Is(h.errs[0], tank.ErrClosed) {
			t.Errorf("heard %v, ended with %v", got, h.errs)
		}
		for _, err := range s.Subscribe(t.Context(), "news") {
			mustBe(t, err, tank.ErrClosed)
		}
	})
	bubble(t, func(t *testing.T) { // by the loop itself; then the topic ends
		s := serve(t)
		go func() {
			time.Sleep(time.Second)
			s.BroadcastTopicMessage("news", "x")
		}()
		for range s.Subscribe(t.Context(), "news") {
			break
		}
		synctest.Wait()
		if n := len(s.GetAllTopics()); n != 0 {
			t.Errorf("%d topics are left", n)
		}
	})
}

// Before Start, and across the end of all clients, nothing is lost.
func TestSubscribeInsideTheProgramBeforeStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := mount(t, tank.NewInstance())
		h := hear(t.Context(), s, "news", false)
		must(t, s.BroadcastTopicMessage("news", "early"))
		go s.Start()
		p := s.dial("ann")
		p.subscribe(s, "news")
		p.conn.Close()
		synctest.Wait()
		must(t, s.BroadcastTopicMessage("news", "late"))
		synctest.Wait()
		if got := h.data(); !slices.Equal(got, []string{"early", "late"}) {
			t.Errorf("heard %v", got)
		}
	})
}

func TestSlowLoopInsideTheProgram(t *testing.T) {
	const messages, size, limit = 100, 1000, 10_000
	for policy, check := range map[tank.OutboxPolicy]func(t *testing.T, h *heard){
		tank.OutboxClose: func(t *testing.T, h *heard) { // a run without a gap, and then the reason
			got := h.data()
			for i, data := range got {
				if !strings.HasPrefix(data, fmt.Sprint(i, " ")) {
					t.Fatalf("heard %.20q at %d", data, i)
				}
			}
			if len(got) < limit/size/2 || len(got) > limit/size+1 || len(h.errs) != 1 || !errors.Is(h.errs[0], tank.ErrLimit) {
				t.Errorf("heard %d, ended with %v", len(got), h.errs)
			}
		},
		tank.OutboxDropOldest: func(t *testing.T, h *heard) {
			got := h.data()
			if last := got[len(got)-1]; !strings.HasPrefix(last, "99 ") || len(got) > limit/size+2 || len(h.errs) != 2 {
				t.Errorf("heard %d up to %.20q, with %v", len(got), last, h.errs)
			}
			var dropped int
			if fmt.Sscanf(h.errs[0].Error(), "tank: limit reached: %d publications", &dropped); dropped+len(got) != messages {
				t.Errorf("heard %d, and of %v", len(got), h.errs[0])
			}
		},
		tank.OutboxKeepLatest: func(t *testing.T, h *heard) {
			got := h.data()
			if last := got[len(got)-1]; !strings.HasPrefix(last, "99 ") || len(h.errs) != 2 {
				t.Errorf("heard %d up to %.20q, with %v", len(got), last, h.errs)
			}
		},
	} {
		t.Run(policy.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := serve(t, tank.WithOutboxPolicy(policy), tank.WithLimits(tank.Limits{OutboxBytes: limit}))
				ctx, cancel := context.WithCancel(t.Context())
				h := hear(ctx, s, "news", true)
				for i := range messages {
					must(t, s.BroadcastTopicMessage("news", fmt.Sprint(i, " ", strings.Repeat("x", size))))
					synctest.Wait()
				}
				before := s.Stats().Dropped + s.GetAllTopics()[0].Dropped
				close(h.more)
				synctest.Wait()
				cancel()
				<-h.done
				check(t, h)
				if lost := uint64(messages - len(h.publications)); before != lost {
					t.Errorf("%d messages count as dropped, want %d", before, lost)
				}
			})
		})
	}
}

// Many loops come and go while others publish: each hears a run without a gap.
func TestLoopsInsideTheProgramUnderStorms(t *testing.T) {
	m := tank.NewInstance()
	go m.Start()
	stop := make(chan struct{})
	var publishing, listening sync.WaitGroup
	publishing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				must(t, m.Publish(context.Background(), "news", fmt.Sprint(i)))
			}
		}
	})
	for range 16 {
		listening.Go(func() {
			for range cases(20, 200) {
				next := -1
				for p, err := range m.Subscribe(t.Context(), "news") {
					must(t, err)
					var n int
					fmt.Sscan(p.Data, &n)
					if next >= 0 && n != next {
						t.Errorf("heard %d, want %d", n, next)
					}
					if next = n + 1; n%37 == 0 {
						break
					}
				}
			}
		})
	}
	listening.Wait()
	close(stop)
	publishing.Wait()
	must(t, m.Shutdown(within(t, 10*time.Second)))
}

// A loop ends soon after its context, and does not go through all that is queued first.
func TestLoopInsideTheProgramEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		ctx, cancel := context.WithCancel(t.Context())
		steps, after := 0, 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			for _, err := range s.Subscribe(ctx, "news") {
				if err != nil {
					mustBe(t, err, context.Canceled)
					return
				}
				steps++
				if ctx.Err() != nil {
					after++
				}
				time.Sleep(time.Second)
			}
		}()
		synctest.Wait()
		for i := range 1000 {
			must(t, s.BroadcastTopicMessage("news", fmt.Sprint(i)))
		}
		time.Sleep(10*time.Second + time.Millisecond)
		cancel()
		<-done
		if after > 1 {
			t.Errorf("%d steps, of them %d after the end of the context", steps, after)
		}
	})
}
