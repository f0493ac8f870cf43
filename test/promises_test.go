package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// The promises are those of docs/protocol.md and of the package documentation.

func TestPromiseOnePublishersOrderIsKeptAndAllSubscribersSeeTheSameOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const publishers, each = 8, 200
		s := serve(t)
		peers := make([]*peer, 5)
		for i := range peers {
			peers[i] = s.dial("")
			peers[i].subscribe(s, "news")
		}
		for p := range publishers {
			go func() {
				for i := range each {
					must(t, s.BroadcastTopicMessage("news", fmt.Sprintf("%d %d", p, i)))
				}
			}()
		}
		var first []string
		for range publishers * each {
			_, text := peers[0].next()
			first = append(first, text)
		}
		next := make([]int, publishers)
		for _, text := range first {
			var p, i int
			if _, err := fmt.Sscanf(text, `{"topic":"news","data":"%d %d"}`, &p, &i); err != nil {
				t.Fatal(err)
			}
			if i != next[p] {
				t.Fatalf("publisher %d: got message %d, want %d", p, i, next[p])
			}
			next[p]++
		}
		for _, p := range peers[1:] {
			for _, want := range first {
				p.expect(want)
			}
		}
	})
}

func TestPromiseAtMostOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.dial("ann")
		for range 3 {
			p.send("sub:news")
		}
		p.send("unsub:news")
		p.send("sub:news")
		synctest.Wait()
		for i := range 100 {
			must(t, s.BroadcastTopicMessage("news", fmt.Sprint(i)))
		}
		for i := range 100 {
			p.expectTopic("news", fmt.Sprint(i))
		}
		p.expectNothing()
	})
}

func TestPromiseNoGapFromTheSubscribeEventToTheDisconnect(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		var publisher sync.WaitGroup
		publisher.Go(func() {
			for i := 0; ; i++ {
				if err := s.BroadcastTopicMessage("news", fmt.Sprint(i)); errors.Is(err, tank.ErrClosed) {
					return
				}
				if i%10 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		})
		var wg sync.WaitGroup
		for range 20 {
			p := s.dial("")
			wg.Go(func() {
				p.send("sub:news")
				last := -1
				for range 500 {
					_, text := p.next()
					var i int
					if _, err := fmt.Sscanf(text, `{"topic":"news","data":"%d"}`, &i); err != nil {
						t.Error(err)
					}
					if last >= 0 && i != last+1 {
						t.Errorf("got message %d behind %d", i, last)
					}
					last = i
				}
				p.conn.Close()
			})
		}
		wg.Wait()
		must(t, s.Shutdown(t.Context()))
		publisher.Wait()
	})
}

func TestPromisePublishAfterTheSubscribeEventIsDeliveredAndNoneAfterTheUnsubscribeEvent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.dial("ann")
		s.expectEvents("connect ann")
		for i := range 200 { // the topic actor comes and goes each time
			p.send("sub:news")
			s.expectEvents("subscribe ann news")
			must(t, s.BroadcastTopicMessage("news", fmt.Sprint(i)))
			p.send("unsub:news")
			s.expectEvents("unsubscribe ann news")
			must(t, s.BroadcastTopicMessage("news", "never"))
			p.expectTopic("news", fmt.Sprint(i))
		}
		p.expectNothing()
	})
}

// The reader of events does not sleep, so that it is as fast as can be to publish after one.
func TestPromiseBroadcastAfterTheConnectEventIsDelivered(t *testing.T) {
	s := serve(t)
	for range cases(500, 2000) {
		p, _ := s.request(handshake{path: "/"})
		for connected := false; !connected; {
			select {
			case e := <-s.ConnEvents:
				connected = e.EventType == tank.EventConnect
			default:
			}
		}
		if err := s.BroadcastMessage([]byte("welcome")); err != nil {
			t.Fatal(err)
		}
		p.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		p.expect("welcome")
		p.conn.Close()
	}
}

func TestPromiseNilMeansTakenAlsoWhenShuttingDown(t *testing.T) {
	for range 20 {
		bubble(t, func(t *testing.T) {
			s := serve(t)
			p := s.dial("ann")
			p.subscribe(s, "news")
			taken := make(chan []string)
			go func() {
				var list []string
				for i := 0; ; i++ {
					text := fmt.Sprint(i)
					err := s.BroadcastTopicMessage("news", text)
					if err != nil {
						mustBe(t, err, tank.ErrClosed)
						break
					}
					list = append(list, text)
				}
				taken <- list
			}()
			go s.Shutdown(within(t, time.Minute))
			for _, want := range <-taken {
				p.expectTopic("news", want)
			}
			p.expectClose(1001)
		})
	}
}

func TestPromisePublishNeverBlocksWithoutEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithLimits(tank.Limits{TopicQueueBytes: 1, OutboxBytes: 1 << 30}))
		p := s.dial("ann")
		p.subscribe(s, "news")
		go func() {
			for {
				if _, _, err := p.receive(); err != nil {
					return
				}
			}
		}()
		var wg sync.WaitGroup
		for range 64 { // many wait for the little room there is, and all get it
			wg.Go(func() {
				for range 50 {
					must(t, s.Publish(t.Context(), "news", strings.Repeat("x", 100)))
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		if got := s.GetAllTopics()[0]; got.Published != 64*50 {
			t.Fatalf("got %+v", got)
		}
	})
}

func TestLastOutFirstInRaceLosesNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		stop, cancel := context.WithCancel(t.Context())
		var publisher sync.WaitGroup
		publisher.Go(func() { // its topic ends and begins under its hands
			for stop.Err() == nil {
				must(t, s.BroadcastTopicMessage("news", "noise"))
				time.Sleep(time.Microsecond)
			}
		})
		var wg sync.WaitGroup
		for range 4 {
			p := s.dial("")
			wg.Go(func() {
				for range 100 {
					p.send("sub:news")
					p.expectTopic("news", "noise") // would wait for ever in a topic that nobody publishes to
					p.send("unsub:news")
				}
			})
		}
		wg.Wait()
		cancel()
		publisher.Wait()
		synctest.Wait()
		if left := s.GetAllTopics(); len(left) != 0 {
			t.Fatalf("topics without subscribers are left: %+v", left)
		}
	})
}

// A client's requests are not waited for one by one, but before anything that could tell.
func TestPromiseRequestsTakeEffectBeforeWhatComesBehindThem(t *testing.T) {
	for _, how := range []string{"message", "publish"} {
		t.Run(how, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var m *server
				m = serve(t,
					atWill,
					tank.WithMessageHandler(func(_ *tank.Client, msg tank.Message) {
						if err := m.BroadcastTopicMessage(string(msg.Data), "from the handler"); err != nil {
							t.Error(err)
						}
					}),
					tank.WithPublishAuthorizer(func(*tank.Client, *tank.Publication) error { return nil }))
				for round := range 50 {
					p := m.dial("")
					const topics = 200
					var burst []byte
					for i := range topics {
						burst = append(burst, frame(opText, fmt.Sprint("sub:topic", i))...)
					}
					last := fmt.Sprint("topic", topics-1)
					want := "from the handler"
					if how == "publish" {
						want = "from the client"
						burst = append(burst, frame(opText, fmt.Sprintf(`{"topic":%q,"data":%q}`, last, want))...)
					} else {
						burst = append(burst, frame(opText, last)...)
					}
					p.conn.SetReadDeadline(time.Now().Add(time.Second))
					p.write(burst)
					if _, got := p.next(); got != fmt.Sprintf(`{"topic":%q,"data":%q}`, last, want) {
						t.Fatalf("round %d: got %q", round, got)
					}
					p.conn.Close()
					synctest.Wait()
				}
			})
		})
	}
}

// A topic ends with its last subscriber. When that one comes back at once, what was published before it left must not come
// behind what is published now.
func TestPromiseOrderHoldsWhenATopicEndsAndBeginsAnew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, atWill)
		p := s.dial("ann")
		p.subscribe(s, "news")
		const messages = 20_000
		go func() {
			for i := range messages {
				if s.BroadcastTopicMessage("news", fmt.Sprint(i)) != nil {
					return // the test has failed
				}
				if i%50 == 0 {
					p.write(append(frame(opText, "unsub:news"), frame(opText, "sub:news")...))
				}
			}
			s.Shutdown(context.Background())
		}()
		last := -1
		for {
			op, payload, err := p.receive()
			if err != nil {
				t.Fatal(err)
			}
			if op == opClose {
				break
			}
			var msg struct{ Data string }
			must(t, json.Unmarshal([]byte(payload), &msg))
			if msg.Data == "" {
				continue // too late to subscribe: it is shutting down
			}
			n, err := strconv.Atoi(msg.Data)
			must(t, err)
			if n <= last {
				t.Fatalf("message %d came behind %d", n, last)
			}
			last = n
		}
	})
}
