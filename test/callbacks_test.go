package test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// callbacks has every callback of an instance call the same function, and allow everything. It is armed for one of them
// at a time, and one call.
type callbacks struct {
	armed  chan string // buffered, for one name
	action func(*tank.Client)
}

// callbackNames are those of all callbacks that can be set. In the first two there is no Client yet.
var callbackNames = []string{"CheckOrigin", "authenticator", "subscribe authorizer", "publish authorizer", "message handler"}

func (c *callbacks) called(name string, client *tank.Client) {
	select {
	case armed := <-c.armed:
		if armed == name {
			c.action(client)
		} else {
			c.armed <- armed
		}
	default:
	}
}

func (c *callbacks) options() []tank.Option {
	return []tank.Option{
		tank.WithUpgrader(tank.Upgrader{CheckOrigin: func(*http.Request) bool {
			c.called("CheckOrigin", nil)
			return true
		}}),
		tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
			c.called("authenticator", nil)
			return named(r.FormValue("user_id"), nil)
		}),
		tank.WithSubscribeAuthorizer(func(from *tank.Client, _ string) error {
			c.called("subscribe authorizer", from)
			return nil
		}),
		tank.WithPublishAuthorizer(func(from *tank.Client, _ *tank.Publication) error {
			c.called("publish authorizer", from)
			return nil
		}),
		tank.WithMessageHandler(func(from *tank.Client, _ tank.Message) { c.called("message handler", from) }),
	}
}

// insideEachCallback runs a test for each callback: call makes the armed one run, by a request or by a message of ann's,
// and returns the answer to the request, or nil.
func insideEachCallback(t *testing.T, test func(s *server, c *callbacks, ann *peer, call func() *http.Response), opts ...tank.Option) {
	for i, name := range callbackNames {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := &callbacks{armed: make(chan string, 1)}
				s := serve(t, append(opts, c.options()...)...)
				ann := s.dial("ann")
				test(s, c, ann, func() *http.Response {
					c.armed <- name
					if i < 2 {
						_, resp := s.request(handshake{path: "/?user_id=late"})
						return resp
					}
					ann.send([]string{"sub:more", `{"topic":"more","data":"x"}`, "hello"}[i-2])
					return nil
				})
			})
		})
	}
}

func TestCloseUserInsideEachCallback(t *testing.T) {
	insideEachCallback(t, func(s *server, c *callbacks, ann *peer, call func() *http.Response) {
		second := s.dial("ann")
		closed := make(chan int, 1)
		c.action = func(*tank.Client) { closed <- s.CloseUser("ann") }
		if resp := call(); resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
			s.t.Fatalf("answered with %s", resp.Status)
		}
		if n := <-closed; n != 2 {
			s.t.Fatalf("closed %d, want both connections", n)
		}
		ann.expectClose(1000)
		second.expectClose(1000)
		s.expectNoErrors()
	})
}

func TestShutdownInsideEachCallback(t *testing.T) {
	insideEachCallback(t, func(s *server, c *callbacks, ann *peer, call func() *http.Response) {
		bystander := s.dial("bystander")
		outcome := make(chan error, 1)
		inClient := false
		c.action = func(client *tank.Client) {
			inClient = client != nil
			outcome <- s.Shutdown(context.Background())
		}
		goodbye := func(p *peer) { p.expectClose(1001) }
		var both sync.WaitGroup
		both.Go(func() { goodbye(ann) })
		both.Go(func() { goodbye(bystander) })
		if resp := call(); resp != nil && resp.StatusCode != http.StatusServiceUnavailable {
			s.t.Fatalf("answered with %s", resp.Status)
		}
		if err := <-outcome; errors.Is(err, tank.ErrBusy) != inClient || !inClient && err != nil {
			s.t.Fatalf("Shutdown returned %v; only in a client's goroutine it is busy", err)
		}
		both.Wait()
		mustBe(s.t, s.BroadcastMessage(nil), tank.ErrClosed)
	})
}

func TestPublishInsideEachCallback(t *testing.T) {
	limits := tank.WithLimits(tank.Limits{TopicQueueBytes: 1, PublishTimeout: time.Second}) // so that each publication waits
	insideEachCallback(t, func(s *server, c *callbacks, ann *peer, call func() *http.Response) {
		const messages = 1000
		bystander := s.dial("bystander")
		for _, p := range []*peer{ann, bystander} {
			p.subscribe(s, "news")
		}
		c.action = func(*tank.Client) {
			for i := range messages {
				must(s.t, s.BroadcastTopicMessage("news", fmt.Sprint(i)))
			}
			must(s.t, s.BroadcastMessage([]byte("last")))
		}
		call()
		for _, p := range []*peer{ann, bystander} {
			var got []string
			for range messages + 1 {
				_, text := p.next()
				if text != "last" { // which may overtake
					got = append(got, text)
				}
			}
			for i, text := range got {
				if want := fmt.Sprintf(`{"topic":"news","data":"%d"}`, i); text != want {
					s.t.Fatalf("got %s, want %s", text, want)
				}
			}
		}
		s.expectNoErrors()
	}, limits)
}

func TestHandlerThatSubscribesItsOwnClientThousandsOfTimesAndCloses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const times = 5000
		var s *server
		s = handled(t, map[string]func(*tank.Client){
			"go": func(c *tank.Client) {
				for i := range times {
					must(t, c.Subscribe("own"))
					must(t, s.BroadcastTopicMessage("own", fmt.Sprint(i)))
					must(t, c.Unsubscribe("own"))
					mustBe(t, c.Unsubscribe("own"), tank.ErrNotFound)
					must(t, s.BroadcastTopicMessage("own", "too late"))
				}
				must(t, c.Subscribe("kept"))
			},
			"close": func(c *tank.Client) {
				must(t, c.Close(4000, "done"))
				mustBe(t, c.Close(4001, "again"), tank.ErrClosed)
				mustBe(t, c.Send(tank.Message{}), tank.ErrClosed)
			},
		}, tank.WithConnEventBuffer(2*times+10))
		p, bystander := s.dial("ann"), s.dial("bystander")
		began := time.Now()
		p.send("go")
		got := map[string]bool{}
		for range times { // each of another topic actor, so in whatever order
			_, text := p.next()
			got[text] = true
		}
		for i := range times {
			if text := fmt.Sprintf(`{"topic":"own","data":"%d"}`, i); !got[text] {
				t.Fatalf("%s is lost", text)
			}
		}
		p.send("close")
		if reason := p.expectClose(4000); reason != "done" {
			t.Fatalf("reason %q", reason)
		}
		must(t, s.BroadcastMessage([]byte("all is well")))
		bystander.expect("all is well")
		synctest.Wait()
		if got := s.Stats(); got.Topics != 0 || got.Clients != 1 || got.EventsDropped != 0 {
			t.Fatalf("got %+v", got)
		}
		if n := len(s.ConnEvents); n != 2+2*times+2 {
			t.Fatalf("%d connection events, want %d", n, 2+2*times+2)
		}
		if took := time.Since(began); took != 0 {
			t.Fatalf("somebody waited for %v", took)
		}
	})
}

func TestSettersWhileRequestsCome(t *testing.T) {
	defer tank.SetCustomUpgrader(tank.Upgrader{})
	bubble(t, func(t *testing.T) {
		s := serve(t)
		ended := make(chan struct{})
		var setters sync.WaitGroup
		for i := range 4 {
			setters.Go(func() {
				for {
					select {
					case <-ended:
						return
					default:
						tank.SetCustomUpgrader(tank.Upgrader{Subprotocols: []string{fmt.Sprint("p", i)}})
						s.SetHTTPServer(&http.Server{ReadHeaderTimeout: time.Second})
						time.Sleep(time.Microsecond)
					}
				}
			})
		}
		tank.SetCustomUpgrader(tank.Upgrader{Subprotocols: []string{"p0"}})
		for range 500 {
			p, resp := s.request(handshake{path: "/", header: http.Header{"Sec-Websocket-Protocol": {"p0, p1, p2, p3"}}})
			if got := resp.Header.Get("Sec-Websocket-Protocol"); resp.StatusCode != 101 || len(got) != 2 || got[0] != 'p' {
				t.Fatalf("answered with %s and subprotocol %q", resp.Status, got)
			}
			p.conn.Close()
			time.Sleep(time.Microsecond)
		}
		close(ended)
		setters.Wait()
		s.SetHTTPServer(s.http)
		must(t, s.Shutdown(within(t, time.Minute)))
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			t.Fatalf("the server set last still serves: %v", err)
		}
	})
}
