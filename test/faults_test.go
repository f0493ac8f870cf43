package test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// Each test here repeats one fault so often that whatever it costs each time would show.

// errBroken is what broken callbacks panic with, when they are asked for by name.
var errBroken = errors.New("the callback is broken")

func brokenCheckOrigin(r *http.Request) bool {
	if r.Header.Get("Origin") == "broken" {
		panic(errBroken)
	}
	return true
}

func brokenAuthenticator(r *http.Request) (tank.Identity, error) {
	if r.Header.Get("Token") == "broken" {
		panic(errBroken)
	}
	return named(r.FormValue("user_id"), nil)
}

func brokenSubscribeAuthorizer(_ *tank.Client, topic string) error { return breakOn(topic) }

func brokenPublishAuthorizer(_ *tank.Client, p *tank.Publication) error { return breakOn(p.Topic) }

func breakOn(topic string) error {
	if topic == "broken" {
		panic(errBroken)
	}
	return nil
}

func brokenMessageHandler(*tank.Client, tank.Message) { panic(errBroken) }

// TestPanickingCallbacksCostTheirOwnConnectionOnly has each kind of callback panic a thousand times.
func TestPanickingCallbacksCostTheirOwnConnectionOnly(t *testing.T) {
	for _, c := range []struct {
		callback string      // as the stack calls it
		header   http.Header // that makes a request fail, or
		message  string      // that ends a connection
	}{
		{callback: "brokenCheckOrigin", header: http.Header{"Origin": {"broken"}}},
		{callback: "brokenAuthenticator", header: http.Header{"Token": {"broken"}}},
		{callback: "brokenSubscribeAuthorizer", message: "sub:broken"},
		{callback: "brokenPublishAuthorizer", message: `{"topic":"broken","data":"x"}`},
		{callback: "brokenMessageHandler", message: "anything else"},
	} {
		t.Run(c.callback, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				panics := cases(100, 1000)
				s := serve(t,
					tank.WithUpgrader(tank.Upgrader{CheckOrigin: brokenCheckOrigin}),
					tank.WithAuthenticator(brokenAuthenticator),
					atWill, // each connection sends a message, and inherits from the one before
					tank.WithSubscribeAuthorizer(brokenSubscribeAuthorizer),
					tank.WithPublishAuthorizer(brokenPublishAuthorizer),
					tank.WithMessageHandler(brokenMessageHandler))
				bystander := s.dial("bystander")
				bystander.subscribe(s, "news")
				s.expectEvents("connect bystander", "subscribe bystander news")
				began := time.Now()
				for i := range panics {
					if c.header != nil {
						s.expectAnswer500(c.header)
					} else {
						p := s.dial("ann")
						p.send(c.message)
						p.expectClose(1011)
						s.expectEvents("connect ann")
						if e := s.event(); e.EventType != tank.EventDisconnect || e.Reason != "1011 internal error" {
							t.Fatalf("got %+v", e)
						}
					}
					e := s.expectError(tank.CodeInternal)
					mustBe(t, e, errBroken)
					var panicked *actor.PanicError
					if !errors.As(e, &panicked) || !strings.Contains(string(panicked.Stack), "."+c.callback+"(") {
						t.Fatalf("got %+v, want an error with the stack of %s", e, c.callback)
					}
					if n := s.Stats().PanicsRecovered; n != uint64(i+1) {
						t.Fatalf("%d panics counted, want %d", n, i+1)
					}
					must(t, s.BroadcastTopicMessage("news", fmt.Sprint(i)))
					bystander.expectTopic("news", fmt.Sprint(i))
				}
				s.expectNoErrors() // so there was one event for each
				if took := time.Since(began); took != 0 {
					t.Errorf("%d panics held somebody up for %v", panics, took)
				}
				if got := s.Stats(); got.Clients != 1 || got.Topics != 1 || got.EventsDropped != 0 {
					t.Errorf("got %+v, want the bystander and its topic", got)
				}
			})
		})
	}
}

// expectAnswer500 fails the test unless a handshake with these headers is answered with 500 and no internals.
func (s *server) expectAnswer500(header http.Header) {
	s.t.Helper()
	p, resp := s.request(handshake{path: "/?user_id=ann", header: header})
	body, _ := io.ReadAll(resp.Body)
	p.conn.Close()
	if resp.StatusCode != http.StatusInternalServerError || string(body) != "Internal Server Error\n" {
		s.t.Fatalf("answered with %s: %s", resp.Status, body)
	}
}

// TestAMillionUnreadEventsHoldUpNobodyAndAreCounted leaves half a million events of each channel unread.
func TestAMillionUnreadEventsHoldUpNobodyAndAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const buffer = 8
		each := cases(50_000, 500_000)
		var ann *tank.Client
		s := serve(t, tank.WithConnEventBuffer(buffer), tank.WithErrorBuffer(buffer),
			tank.WithMessageHandler(func(c *tank.Client, _ tank.Message) { ann = c }))
		p, bystander := s.dial("ann"), s.dial("bystander")
		bystander.subscribe(s, "news")
		p.send("hello")
		synctest.Wait()
		began := time.Now()
		var both sync.WaitGroup
		both.Go(func() { // 3 connection events came before, and these are 2 a round
			for range (each - 4) / 2 {
				must(t, ann.Subscribe("news"))
				must(t, ann.Unsubscribe("news"))
			}
			must(t, ann.Subscribe("fruit"))
		})
		both.Go(func() {
			for range each {
				mustBe(t, s.Publish(t.Context(), "news", "\xff"), tank.ErrInvalidData)
			}
		})
		both.Wait()
		must(t, s.BroadcastTopicMessage("news", "all is well"))
		bystander.expectTopic("news", "all is well")
		synctest.Wait()
		if took := time.Since(began); took != 0 {
			t.Errorf("somebody waited for %v", took)
		}
		if n := s.Stats().EventsDropped; n != uint64(2*(each-buffer)) {
			t.Errorf("%d events counted as dropped, want %d", n, 2*(each-buffer))
		}

		// The oldest are kept, and once they are read there is room again.
		s.expectEvents("connect ann", "connect bystander", "subscribe bystander news", "subscribe ann news",
			"unsubscribe ann news", "subscribe ann news", "unsubscribe ann news", "subscribe ann news")
		for range buffer {
			mustBe(t, s.expectError(tank.CodeSerialization), tank.ErrInvalidData)
		}
		s.expectNoErrors()
		must(t, ann.Unsubscribe("fruit"))
		s.expectEvents("unsubscribe ann fruit")
		s.Publish(t.Context(), "news", "\xff")
		s.expectError(tank.CodeSerialization)
		if n := s.Stats().EventsDropped; n != uint64(2*(each-buffer)) {
			t.Errorf("%d events counted as dropped after the channels were read", n)
		}
	})
}

// TestTopicsThatComeAndGoLeaveNothingBehind has a thousand clients subscribe to a hundred topics each, which nobody else
// has, and leave them in both ways, again and again.
func TestTopicsThatComeAndGoLeaveNothingBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		clients, rounds := cases(100, 1000), cases(3, 10)
		if raceDetector { // a few rounds are enough to find races
			clients, rounds = 100, 2
		}
		const topicsEach = 100
		s := serve(t, tank.WithHeartbeat(time.Hour, time.Hour))
		peers := make([]io.ReadWriteCloser, clients)
		command := func(verb string, client, topics int) {
			var b []byte
			for i := range topics {
				b = append(b, frame(opText, fmt.Sprintf("%s:topic %d of client %d", verb, i, client))...)
			}
			peers[client].Write(b)
		}
		round := func(number, topics int) (bytes, goroutines int) {
			for i := range peers {
				if peers[i] == nil {
					peers[i] = s.plainDial()
				}
				command("sub", i, topics)
			}
			settle()
			if got := s.Stats(); got.Topics != clients*topics || got.Clients != clients {
				t.Fatalf("round %d: %d topics of %d clients, want %d of %d", number, got.Topics, got.Clients, clients*topics, clients)
			}
			for i := range peers {
				if (i+number)%2 == 0 {
					command("unsub", i, topics)
				} else {
					peers[i].Close()
					peers[i] = nil
				}
			}
			settle()
			if got, list := s.Stats(), s.GetAllTopics(); got.Topics != 0 || len(list) != 0 || got.Clients != clients/2 {
				t.Fatalf("round %d: %d topics in Stats, %d in the list, %d clients", number, got.Topics, len(list), got.Clients)
			}
			return int(heap()), runtime.NumGoroutine()
		}
		bytes, goroutines := round(0, topicsEach*5/4) // which makes maps as large as they will ever have to be
		for i := range rounds {
			b, g := round(i+1, topicsEach)
			if b > bytes+bytes/20 || g > goroutines {
				t.Errorf("%d bytes and %d goroutines after round %d, %d and %d after the first", b, g, i+1, bytes, goroutines)
			}
		}
		for _, p := range peers {
			if p != nil {
				p.Close()
			}
		}
	})
}

// settle waits until everything has come to rest, also what a limit on the rate of messages has held up.
func settle() {
	time.Sleep(10 * time.Second)
	synctest.Wait()
}

// plainDial connects without anything that would stay in memory until the end of the test.
func (s *server) plainDial() io.ReadWriteCloser {
	s.t.Helper()
	conn, err := s.listener.Dial(defaultBuffer)
	must(s.t, err)
	_, err = wstest.Upgrade(conn, wstest.Handshake{})
	must(s.t, err)
	return conn
}
