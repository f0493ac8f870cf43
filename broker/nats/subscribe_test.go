package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// TestSubscribedThenPublished: what the server accepts afterwards comes, whoever publishes it.
func TestSubscribedThenPublished(t *testing.T) {
	s := startServer(t)
	p := newProxy(t, s.addr())
	other, n := plainClient(t, s.url()), upNode(t, Options{URL: p.url()})
	for i := range 300 {
		name := fmt.Sprint(i)
		n.subscribe(name)
		must(t, other.Publish("tank.c."+name, []byte("x")))
		must(t, other.Flush())
		n.awaitMessage(name, "x")
	}
}

// TestSubscribeIsCalledAgain with the same subscriptions and others.
func TestSubscribeIsCalledAgain(t *testing.T) {
	s := startServer(t)
	n := upNode(t, Options{URL: s.url()})
	ended, end := context.WithCancel(context.Background())
	end()
	subs := n.wish("a", "b")
	if err := n.Subscribe(ended, subs); !errors.Is(err, context.Canceled) {
		t.Errorf("Subscribe: %v", err)
	}
	all := append(subs, n.wish("c")...)
	must(t, n.Subscribe(timeout(t, patience), all))
	must(t, n.Subscribe(timeout(t, patience), all))
	for _, name := range []string{"a", "b", "c"} {
		n.publish(name, "1")
		n.awaitMessage(name, "1")
	}
	if n.count("message") != 3 {
		t.Errorf("%v", n.all())
	}
	if err := n.Subscribe(timeout(t, patience), []broker.Subscription{{Name: "z", To: all[0].To}}); err == nil {
		t.Error("a Receiver has two names")
	}
	n.Unsubscribe(all)
	await(t, "the server is told", func() bool { return n.conn.NumSubscriptions() == 0 })
}

// TestUnsubscribeWaits for the Receiver, which is not called afterwards. Another one of the same name is.
func TestUnsubscribeWaits(t *testing.T) {
	s := startServer(t)
	n := upNode(t, Options{URL: s.url()})
	r := &reader{diary: new(diary), name: "x", block: make(chan struct{})}
	sub := []broker.Subscription{{Name: "x", To: r}}
	must(t, n.Subscribe(timeout(t, patience), sub))
	n.publish("x", "1")
	await(t, "it is called", func() bool { return r.has("message", "x", "1") })
	n.subscribe("x")
	n.publish("x", "2")
	done := make(chan bool)
	go func() {
		n.Unsubscribe(sub)
		r.add(occurrence{what: "ended"})
		close(done)
	}()
	if within(100*time.Millisecond, func() bool { return r.count("ended") > 0 }) {
		t.Error("Unsubscribe returned while Deliver was running")
	}
	close(r.block)
	<-done
	n.publish("x", "3")
	n.awaitMessage("x", "3")
	if list := r.all(); list[len(list)-1].what != "ended" || r.has("message", "x", "3") {
		t.Errorf("called after Unsubscribe: %v", list)
	}
	n.Unsubscribe(sub) // once more
}

// careful is a Receiver that notices calls after its end, and two at a time.
type careful struct {
	t     testing.TB
	mu    sync.Mutex
	ended bool
}

func (c *careful) check() {
	if !c.mu.TryLock() {
		c.t.Error("called while it is being ended, or by two goroutines")
		return
	}
	defer c.mu.Unlock()
	if c.ended {
		c.t.Error("called after its end")
	}
}
func (c *careful) Began(string, uint64)     {}
func (c *careful) Lost(error)               { c.check() }
func (c *careful) Deliver([]broker.Message) { c.check() }

// TestFlaps: subscriptions come and go while much is published and the connection breaks. None is called after its end.
func TestFlaps(t *testing.T) {
	s := startServer(t)
	p := newProxy(t, s.addr())
	n, other := upNode(t, Options{URL: p.url()}), plainClient(t, s.url())
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = other.Publish("tank.c.x", []byte("x"))
			}
		}
	})
	for i := range 300 {
		if i%100 == 50 {
			p.cut()
			p.heal()
		}
		c := &careful{t: t}
		sub := []broker.Subscription{{Name: "x", To: c}}
		must(t, n.Subscribe(timeout(t, patience), sub))
		n.Unsubscribe(sub)
		c.mu.Lock()
		c.ended = true
		c.mu.Unlock()
	}
	close(stop)
	wg.Wait()
}

// TestCloseWhileSubscribing: nothing is left on a connection of the user's.
func TestCloseWhileSubscribing(t *testing.T) {
	s := startServer(t)
	names := make([]string, 3000)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	for _, mode := range modes {
		nc := plainClient(t, s.url(), Prepare)
		n := upNode(t, Options{Conn: nc, Mode: mode})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		before := nc.NumSubscriptions()
		go func() { done <- n.Subscribe(ctx, n.wish(names...)) }()
		await(t, "begun", func() bool { return nc.NumSubscriptions() > before })
		cancel()
		<-done
		must(t, n.Close(timeout(t, patience)))
		if left := nc.NumSubscriptions(); left > 0 {
			t.Errorf("%d subscriptions are left", left)
		}
	}
}

// TestCloseRightAfterOpen: nothing is left on a connection of the user's.
func TestCloseRightAfterOpen(t *testing.T) {
	s := startServer(t, withJetStream(t))
	nc := plainClient(t, s.url(), Prepare)
	for range 300 {
		n := open(t, Options{Conn: nc, Mode: JetStream})
		must(t, n.Close(timeout(t, patience)))
		if left := nc.NumSubscriptions(); left > 1 { // NATS has one for answers
			t.Fatalf("%d subscriptions are left", left)
		}
	}
}

// TestPermissions: what a node may not do is an error, or is reported.
func TestPermissions(t *testing.T) {
	s := startServer(t, func(o *server.Options) {
		may := &server.Permissions{
			Publish:   &server.SubjectPermission{Deny: []string{"tank.c.secret"}},
			Subscribe: &server.SubjectPermission{Deny: []string{"tank.c.secret"}},
		}
		o.Users = []*server.User{{Username: "u", Password: "p", Permissions: may}}
	})
	n := upNode(t, Options{URL: s.url(), Mode: Confirmed, NATS: []nats.Option{nats.UserInfo("u", "p")}})
	n.subscribe("x")
	subs := n.wish("secret")
	for range 3 {
		if err := n.Subscribe(timeout(t, patience), subs); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("Subscribe: %v", err)
		}
	}
	n.Unsubscribe(subs)
	for range 3 {
		if _, err := n.Publish(context.Background(), "secret", broker.Publication{}); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("Publish: %v", err)
		}
		n.publish("x", "1")
	}
	n.awaitMessage("x", "1")
	if n.count("down") > 0 {
		t.Errorf("%v", n.all())
	}
}

// TestWrongPassword is no connection, for as long as it is wrong.
func TestWrongPassword(t *testing.T) {
	s := startServer(t, func(o *server.Options) { o.Username, o.Password = "u", "p" })
	n := open(t, Options{URL: s.url(), NATS: []nats.Option{nats.UserInfo("u", "wrong")}})
	await(t, "down", func() bool { return n.count("down") == 1 })
	if !strings.Contains(strings.ToLower(n.all()[0].text), "authorization") {
		t.Errorf("%v", n.all())
	}
	s.stop()
	s.options.Password = "wrong"
	s.start()
	await(t, "up", n.isUp)
}

// TestConfirmed: nil says that the server has it.
func TestConfirmed(t *testing.T) {
	s := startServer(t)
	p := newProxy(t, s.addr())
	n := upNode(t, Options{URL: p.url(), Mode: Confirmed})
	n.publish("x", "1")
	p.stall()
	if _, err := n.Publish(timeout(t, 50*time.Millisecond), "x", broker.Publication{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Publish: %v", err)
	}
	failed := make(chan error)
	go func() {
		_, err := n.Publish(context.Background(), "x", broker.Publication{})
		failed <- err
	}()
	await(t, "begun", func() bool { return n.session.Load().handed.Load() == 3 })
	p.cut()
	if err := <-failed; !errors.Is(err, ErrUnconfirmed) || errors.Is(err, broker.ErrDown) {
		t.Errorf("Publish: %v", err)
	}
	await(t, "down", func() bool { return !n.isUp() })
	if _, err := n.Publish(context.Background(), "x", broker.Publication{}); !errors.Is(err, broker.ErrDown) {
		t.Errorf("Publish: %v", err)
	}
	if n.all()[1].doubt != 0 {
		t.Errorf("%v", n.all())
	}
}

// TestUpWaitsForTheServer: after a reconnect, Lost and Up come once the server has all subscriptions, and nothing is published before.
func TestUpWaitsForTheServer(t *testing.T) {
	s := startServer(t)
	p := newProxy(t, s.addr())
	n := upNode(t, Options{URL: p.url()})
	n.subscribe("x", "y")
	p.cut()
	await(t, "down", func() bool { return !n.isUp() })
	p.heal()
	p.hold()
	await(t, "there is a connection", n.conn.IsConnected)
	if within(200*time.Millisecond, func() bool { return n.isUp() || n.count("lost") > 0 }) {
		t.Errorf("told while the server does not have the subscriptions: %v", n.all())
	}
	if _, err := n.Publish(context.Background(), "x", broker.Publication{}); !errors.Is(err, broker.ErrDown) {
		t.Errorf("Publish: %v", err)
	}
	p.heal()
	await(t, "up", n.isUp)
	if list := n.all(); len(list) != 5 || list[2].what != "lost" || list[3].what != "lost" {
		t.Errorf("%v", list)
	}
}

// TestSubscribeWaitsForTheServer, and so does a second attempt.
func TestSubscribeWaitsForTheServer(t *testing.T) {
	s := startServer(t)
	p := newProxy(t, s.addr())
	n := upNode(t, Options{URL: p.url()})
	p.hold()
	subs := n.wish("x")
	for range 2 {
		if err := n.Subscribe(timeout(t, 50*time.Millisecond), subs); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Subscribe: %v", err)
		}
	}
	p.heal()
	must(t, n.Subscribe(timeout(t, patience), subs))
}

// TestAnotherConnectionConfirmsNothing: what was published on one network connection is not confirmed by the next.
func TestAnotherConnectionConfirmsNothing(t *testing.T) {
	s := startServer(t)
	p := newProxy(t, s.addr())
	n := upNode(t, Options{URL: p.url(), Mode: Confirmed})
	p.stall()
	failed := make(chan error)
	go func() {
		_, err := n.Publish(context.Background(), "x", broker.Publication{})
		failed <- err
	}()
	session := n.session.Load()
	await(t, "it is on its way", func() bool { return session.handed.Load() == 1 && len(session.kick) == 0 })
	n.watch.alive.Store(session.id + 1)
	defer n.watch.alive.Store(session.id)
	p.heal()
	if err := <-failed; !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("Publish: %v", err)
	}
	if _, err := n.Publish(context.Background(), "x", broker.Publication{}); !errors.Is(err, broker.ErrDown) {
		t.Errorf("Publish: %v", err)
	}
}
