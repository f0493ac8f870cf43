package natsbroker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

var modes = map[string]Mode{"core": Core, "confirmed": Confirmed}

// strange are names that NATS would take for something else, or that are almost the same.
var strange = []string{"", "=", "x=41", "xA", "a.b", "a.*", "*", ">", "a b", "日本", " ", "$SYS.x", "127\xe9", "\x00close", "A", "a", "\u00e9", "e\u0301",
	strings.Repeat("é", 127)}

func TestPublicationsComeBackAsTheyWere(t *testing.T) {
	s := startServer(t)
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			a, b := upNode(t, Options{URL: s.url(), Mode: mode}), upNode(t, Options{URL: s.url(), Mode: mode})
			got := make(chan broker.Message, 100)
			for _, n := range []*node{a, b} {
				must(t, n.Subscribe(timeout(t, patience), []broker.Subscription{{Name: "x", To: channel(got)}}))
			}
			for _, p := range []broker.Publication{
				{}, {Data: "text"}, {Data: "\xfftext"}, {Data: "\xff\x01\x00\x00\x00"}, {Data: `{"a":1}`, JSON: true}, {Data: "k", Key: "key"}, {From: "me"},
				{Data: "\x00\xfe", Key: "k\x00", From: "日本", JSON: true},
			} {
				receipt, err := a.Publish(context.Background(), "x", p)
				if err != nil || receipt != (broker.Receipt{}) {
					t.Errorf("%+v: %+v, %v", p, receipt, err)
				}
				for range 2 {
					if m := <-got; m != (broker.Message{Publication: p}) {
						t.Errorf("%+v came as %+v", p, m)
					}
				}
			}
		})
	}
}

// channel is a Receiver.
type channel chan broker.Message

func (c channel) Began(string, uint64) { panic("this broker keeps nothing") }
func (c channel) Lost(error)           {}
func (c channel) Deliver(list []broker.Message) {
	for _, m := range list {
		c <- m
	}
}

func TestNamesAreKeptApart(t *testing.T) {
	s := startServer(t)
	n := upNode(t, Options{URL: s.url()})
	n.subscribe(strange...)
	for _, name := range strange {
		n.publish(name, "to "+name)
	}
	for _, name := range strange {
		n.awaitMessage(name, "to "+name)
	}
	if got := n.count("message"); got != len(strange) {
		t.Errorf("%d publications came as %d messages: %q", len(strange), got, n.all())
	}
}

func TestGroupsAreKeptApart(t *testing.T) {
	s := startServer(t)
	a, b := upNode(t, Options{URL: s.url(), Group: "a"}), upNode(t, Options{URL: s.url(), Group: "a.b"})
	a.subscribe("x")
	b.subscribe("x")
	a.publish("x", "1")
	b.publish("x", "2")
	a.awaitMessage("x", "1")
	b.awaitMessage("x", "2")
	if a.count("message") != 1 || b.count("message") != 1 {
		t.Errorf("%q %q", a.all(), b.all())
	}
}

// TestAnyClientOfNATSCanTakePart with plain text, and what it cannot know is reported and skipped.
func TestAnyClientOfNATSCanTakePart(t *testing.T) {
	s := startServer(t)
	n, other := upNode(t, Options{URL: s.url(), Group: "g"}), plainClient(t, s.url())
	n.subscribe("日 x")
	sub, err := other.SubscribeSync("g.c.=E6=97=A5=20x")
	must(t, err)
	must(t, other.Flush())
	must(t, other.Publish("g.c.=E6=97=A5=20x", []byte("hello")))
	n.awaitMessage("日 x", "hello")
	n.publish("日 x", "hi")
	for _, want := range []string{"hello", "hi"} {
		m, err := sub.NextMsg(patience)
		must(t, err)
		if string(m.Data) != want {
			t.Errorf("it is %q, want %q", m.Data, want)
		}
	}
	for _, bad := range []string{"\xff\x02new", "\xff", "\xff\x01\x80abc", "\xff\x01\x00\x05abc"} {
		before := n.count("lost")
		must(t, other.Publish("g.c.=E6=97=A5=20x", []byte(bad)))
		await(t, "lost", func() bool { return n.count("lost") > before })
	}
	n.publish("日 x", "end")
	n.awaitMessage("日 x", "end")
	if !strings.Contains(fmt.Sprint(n.all()), "version 2") {
		t.Errorf("nothing says what is wrong: %q", n.all())
	}
	if n.count("message") != 3 {
		t.Errorf("%q", n.all())
	}
}

func TestTooBig(t *testing.T) {
	s := startServer(t, func(o *server.Options) { o.MaxPayload = 1000 })
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			n := upNode(t, Options{URL: s.url(), Mode: mode})
			n.subscribe("x")
			for _, p := range []broker.Publication{{Data: strings.Repeat("x", 1001)}, {Data: strings.Repeat("x", 999), Key: "key"}} {
				if _, err := n.Publish(context.Background(), "x", p); !errors.Is(err, broker.ErrTooBig) {
					t.Errorf("%v", err)
				}
			}
			for _, name := range []string{strings.Repeat("n", 5000), strings.Repeat(".", 1400)} {
				if _, err := n.Publish(context.Background(), name, broker.Publication{}); !errors.Is(err, broker.ErrTooBig) {
					t.Errorf("%v", err)
				}
				if err := n.Subscribe(timeout(t, patience), n.wish(name)); !errors.Is(err, broker.ErrTooBig) {
					t.Errorf("%v", err)
				}
			}
			n.publish("x", strings.Repeat("x", 1000))
			n.awaitMessage("x", strings.Repeat("x", 1000))
			if n.count("down") > 0 {
				t.Errorf("the connection broke: %q", n.all())
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	s := startServer(t)
	for want, o := range map[string]Options{
		"unknown mode": {Mode: 7}, "letters, digits": {Group: "a.*"}, "empty token": {Group: "a..b"},
		"129 bytes": {Group: strings.Repeat("g", 129)}, "not negative": {MaxPending: -1}, "NoEcho": {NATS: []nats.Option{nats.NoEcho()}},
		"parse": {URL: "nats://a:b:c:%zz"}, "Prepare": {Conn: plainClient(t, s.url())},
		"URL and options": {Conn: plainClient(t, s.url(), Prepare), URL: s.url()},
		"no such file":    {NATS: []nats.Option{nats.RootCAs("/does/not/exist")}},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func TestConnOfTheUsers(t *testing.T) {
	s := startServer(t)
	reconnected := make(chan bool, 10)
	nc := plainClient(t, s.url(), nats.ReconnectHandler(func(*nats.Conn) { reconnected <- true }), Prepare)
	n := upNode(t, Options{Conn: nc})
	if _, err := New(Options{Conn: nc}); err == nil {
		t.Error("two Brokers have one connection")
	}
	n.subscribe("x")
	n.publish("x", "1")
	n.awaitMessage("x", "1")
	s.stop()
	await(t, "down", func() bool { return !n.isUp() })
	s.start()
	await(t, "up", n.isUp)
	<-reconnected // as before
	n.publish("x", "2")
	n.awaitMessage("x", "2")
	must(t, n.Close(timeout(t, patience)))
	if nc.IsClosed() || nc.NumSubscriptions() != 0 {
		t.Errorf("closed %v, with %d subscriptions", nc.IsClosed(), nc.NumSubscriptions())
	}
	again := upNode(t, Options{Conn: nc})
	again.subscribe("x")
	again.publish("x", "3")
	again.awaitMessage("x", "3")
}

// TestServerInTheSameProcess: the dialer of an in-process server is wrapped, too.
func TestServerInTheSameProcess(t *testing.T) {
	s := startServer(t)
	n := upNode(t, Options{NATS: []nats.Option{nats.InProcessServer(s.server)}})
	n.subscribe("x")
	n.publish("x", "1")
	n.awaitMessage("x", "1")
	n.watch.end(n.watch.alive.Load(), errors.New("test"))
	await(t, "down and up", func() bool { return n.count("up") == 2 })
	n.publish("x", "2")
	n.awaitMessage("x", "2")
	if n.count("lost") != 1 || n.all()[2].text != "test" {
		t.Errorf("%v", n.all())
	}
}

// TestTLS: the connection below TLS is watched.
func TestTLS(t *testing.T) {
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	s := startServer(t, func(o *server.Options) {
		o.TLS, o.TLSConfig = true, &tls.Config{Certificates: certified.TLS.Certificates}
	})
	p := newProxy(t, s.addr())
	roots := certified.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	n := upNode(t, Options{URL: p.url(), NATS: []nats.Option{nats.Secure(&tls.Config{RootCAs: roots, ServerName: "example.com"})}})
	n.subscribe("x")
	for i := range 3 {
		n.publish("x", fmt.Sprint(i))
		n.awaitMessage("x", fmt.Sprint(i))
		p.cut()
		await(t, "down", func() bool { return !n.isUp() })
		p.heal()
		await(t, "up", n.isUp)
	}
	if n.count("lost") != 3 {
		t.Errorf("%v", n.all())
	}
}

// TestConnectionThatNATSGivesUp is replaced.
func TestConnectionThatNATSGivesUp(t *testing.T) {
	s := startServer(t)
	n := upNode(t, Options{URL: s.url()})
	n.subscribe("x")
	n.conn.Close()
	await(t, "down and up", func() bool { return n.count("up") == 2 })
	n.publish("x", "again")
	n.awaitMessage("x", "again")
	if n.count("down") != 1 || n.count("lost") != 1 {
		t.Errorf("%q", n.all())
	}
}

func TestClose(t *testing.T) {
	s := startServer(t)
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			b, err := New(Options{URL: s.url(), Mode: mode})
			must(t, err)
			if _, err := b.Publish(context.Background(), "x", broker.Publication{}); !errors.Is(err, broker.ErrClosed) {
				t.Errorf("Publish before Open: %v", err)
			}
			listener, n := upNode(t, Options{URL: s.url()}), upNode(t, Options{URL: s.url(), Mode: mode})
			listener.subscribe("x")
			subs := n.subscribe("x")
			for i := range 1000 {
				n.publish("x", fmt.Sprint(i))
				if mode == Confirmed && i > 50 {
					break
				}
			}
			n.publish("x", "last")
			must(t, n.Close(timeout(t, patience)))
			told := len(n.all())
			listener.awaitMessage("x", "last")
			if _, err := n.Publish(context.Background(), "x", broker.Publication{}); !errors.Is(err, broker.ErrClosed) {
				t.Errorf("Publish after Close: %v", err)
			}
			if err := n.Subscribe(timeout(t, patience), subs); !errors.Is(err, broker.ErrClosed) {
				t.Errorf("Subscribe after Close: %v", err)
			}
			n.Unsubscribe(subs)
			listener.publish("x", "later")
			listener.awaitMessage("x", "later")
			if len(n.all()) != told || n.count("down") != 0 {
				t.Errorf("told after Close: %q", n.all()[told:])
			}
		})
	}
}

// TestCloseEndsWithItsContext, also while a Receiver waits.
func TestCloseEndsWithItsContext(t *testing.T) {
	s := startServer(t)
	n := upNode(t, Options{URL: s.url()})
	r := &reader{diary: n.diary, name: "x", block: make(chan struct{})}
	must(t, n.Subscribe(timeout(t, patience), []broker.Subscription{{Name: "x", To: r}}))
	n.publish("x", "1")
	n.awaitMessage("x", "1")
	n.publish("x", "2")
	n.publish("x", "3")
	if err := n.Close(timeout(t, 50*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
	close(r.block)
	n.wg.Wait()
	if n.count("message") != 1 {
		t.Errorf("called after Close: %v", n.all())
	}
}

// TestCloseWaitsForTheServer to have what was published.
func TestCloseWaitsForTheServer(t *testing.T) {
	s := startServer(t)
	p := newProxy(t, s.addr())
	n := upNode(t, Options{URL: p.url()})
	p.stall()
	n.publish("x", "1")
	if err := n.Close(timeout(t, 50*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
}

// TestSeveralAddresses: the first one is not there.
func TestSeveralAddresses(t *testing.T) {
	away, s := newServer(t), startServer(t)
	for _, urls := range []string{away.url() + "," + s.url(), s.url() + ", " + away.url()} {
		n := upNode(t, Options{URL: urls})
		n.subscribe("x")
		n.publish("x", "1")
		n.awaitMessage("x", "1")
	}
}
