package natsbroker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// rawHeaders publishes with a header block that no client of NATS would send.
func rawHeaders(t testing.TB, s *natsServer, subject, headers, data string) {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr())
	must(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "CONNECT {\"headers\":true,\"verbose\":false}\r\nHPUB %s %d %d\r\n%s%s\r\nPING\r\n", subject, len(headers), len(headers)+len(data), headers, data)
	must(t, err)
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if lines.Text() == "PONG" {
			return
		}
	}
	t.Fatal("no answer")
}

// TestHeadersOfOthersAreNotTheStreams: whoever publishes what is kept may send any headers.
func TestHeadersOfOthersAreNotTheStreams(t *testing.T) {
	s := startServer(t, withJetStream(t))
	n, other := slowNode(t, s, time.Hour), keepNode(t, s.url(), Options{})
	l := n.listen("x")
	nc := plainClient(t, s.url())
	forged := &nats.Msg{Subject: "tank.p.x", Data: []byte("forged"), Header: nats.Header{
		"Nats-Sequence": {"4000"}, "Nats-Last-Sequence": {"3000"}, "Nats-Stream": {"other"}, "Nats-Subject": {"tank.p.y"},
		"Nats-Time-Stamp": {"2200-01-01T00:00:00Z"}, "Nats-Num-Pending": {"7"}, "Nats-UpTo-Sequence": {"9"}, "Status": {"503"}, "Description": {"No Results"},
	}}
	publish := func() {
		t.Helper()
		must(t, nc.PublishMsg(forged))
		rawHeaders(t, s, "tank.p.x", "NATS/1.0 404 No Results\r\n\r\n", "status")
		rawHeaders(t, s, "tank.p.x", "NATS/1.0\r\nno colon\r\n\r\n", "damaged")
		rawHeaders(t, s, "tank.p.x", "HTTP/1.1 200\r\n\r\n", "damaged")
		must(t, nc.Flush())
	}
	publish()
	other.keep("x", "1")
	await(t, "what follows", func() bool { return l.got("1") })
	if !l.got("forged") || !l.got("status") {
		t.Errorf("%+v", l.all())
	}
	hear := n.deaf(l)
	publish()
	other.keep("x", "2")
	must(t, n.conn.Flush())
	await(t, "they are dropped", func() bool { return len(n.in) == 0 })
	hear()
	other.keep("x", "3")
	await(t, "what was fetched", func() bool { return l.got("2") && l.got("3") })
	publish()
	late := n.listen("x") // whose last message cannot be read
	other.keep("x", "4")
	await(t, "what follows", func() bool { return late.got("4") && l.got("4") })
	books := newBooks(t)
	books.audit(l, late)
	page, err := n.After(timeout(t, patience), "x", l.epoch(), 0, 100)
	must(t, err)
	if len(page.Messages) == 0 || page.Messages[len(page.Messages)-1].Data != "4" {
		t.Errorf("%+v", page)
	}
	if n.count("down")+other.count("down") > 0 {
		t.Errorf("%v", n.diary.all())
	}
	// Where the stream publishes, it alone counts.
	for _, h := range []nats.Header{{"Nats-Sequence": {"18446744073709551615"}, "Nats-Stream": {"tank"}}, {"Nats-Sequence": {"50"}, "Nats-Stream": {"other"}}} {
		must(t, nc.PublishMsg(&nats.Msg{Subject: "tank.d.x", Data: []byte("direct"), Header: h}))
	}
	must(t, nc.Flush())
	other.keep("x", "5")
	await(t, "what follows", func() bool { return l.got("5") })
	if l.got("direct") {
		t.Error("it came")
	}
	old := l.epoch() // a message that says all the right things costs an epoch
	must(t, nc.PublishMsg(&nats.Msg{Subject: "tank.d.x", Header: nats.Header{"Nats-Sequence": {"5000"}, "Nats-Stream": {"tank"}}}))
	must(t, nc.Flush())
	await(t, "another epoch", func() bool { _ = books.publish(other, "x", "6"); return l.epoch() != old })
	books.through(other, "7", l)
}

// TestGroupsWhoseNamesNest do not get in each other's way.
func TestGroupsWhoseNamesNest(t *testing.T) {
	s := startServer(t, withJetStream(t))
	groups := []string{"a", "a.p", "a.d", "a.c", "a.p.p", "a-p", "a.p.x"}
	var nodes []*node
	var ledgers []*ledger
	for _, g := range groups {
		n := open(t, Options{URL: s.url(), Mode: JetStream, Group: g})
		if !within(2*time.Second, n.isUp) {
			t.Fatalf("group %s: %v", g, n.diary.all())
		}
		nodes, ledgers = append(nodes, n), append(ledgers, n.listen("x"))
	}
	for i, n := range nodes {
		n.keep("x", groups[i])
		n.publish("plain", "p")
	}
	for i, l := range ledgers {
		await(t, "its own", func() bool { return l.got(groups[i]) })
		if list := l.all(); len(list) != 2 {
			t.Errorf("%s: %+v", groups[i], list)
		}
	}
	js := apiOf(t, s)
	for i, n := range nodes {
		stream, err := js.Stream(timeout(t, patience), n.keeper.name)
		must(t, err)
		info, err := stream.Info(timeout(t, patience))
		must(t, err)
		if info.State.Msgs != 1 {
			t.Errorf("%s has %d messages", groups[i], info.State.Msgs)
		}
	}
}

// TestPermissionsOfTheAPI: what the server does not permit is said soon, and used when it is permitted.
func TestPermissionsOfTheAPI(t *testing.T) {
	for what, subject := range map[string]string{
		"info": "$JS.API.STREAM.INFO.tank", "create": "$JS.API.STREAM.CREATE.tank", "get": "$JS.API.DIRECT.GET.tank", "answers": "_INBOX.>",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			permit := func(deny ...string) *server.Permissions {
				p := &server.Permissions{Publish: new(server.SubjectPermission), Subscribe: new(server.SubjectPermission)}
				if what == "answers" {
					p.Subscribe.Deny = deny
				} else {
					p.Publish.Deny = deny
				}
				return p
			}
			users := func(p *server.Permissions) []*server.User {
				return []*server.User{{Username: "u", Password: "p", Permissions: p}}
			}
			s := startServer(t, withJetStream(t), func(o *server.Options) { o.Users = users(permit(subject)) })
			begun := time.Now()
			n := open(t, Options{URL: s.url(), Mode: JetStream, NATS: []nats.Option{nats.UserInfo("u", "p")}})
			await(t, "down", func() bool { return n.count("down") == 1 })
			if cause := n.all()[0].text; !strings.Contains(strings.ToLower(cause), "permission") || time.Since(begun) > apiTimeout {
				t.Errorf("down after %v: %s", time.Since(begun), cause)
			}
			if n.isUp() {
				t.Error("up")
			}
			o := s.options.Clone()
			o.Users = users(permit("unused"))
			must(t, s.server.ReloadOptions(o))
			await(t, "up", n.isUp)
			l := n.listen("x")
			n.keep("x", "1")
			await(t, "it comes", func() bool { return l.got("1") })
		})
	}
}

// TestCloseEndsPublish also where the connection is another's, and stays.
func TestCloseEndsPublish(t *testing.T) {
	s := startServer(t, withJetStream(t))
	p := newSieve(t, s.addr())
	conn, err := nats.Connect(p.url(), Prepare)
	must(t, err)
	defer conn.Close()
	n := open(t, Options{Conn: conn, Mode: JetStream})
	await(t, "up", n.isUp)
	p.lose("tank.p.")
	done := make(chan error, 1)
	go func() {
		_, err := n.Publish(context.Background(), "x", broker.Publication{Data: "1", Keep: true})
		done <- err
	}()
	await(t, "it is under way", func() bool { n.keeper.mu.Lock(); defer n.keeper.mu.Unlock(); return len(n.keeper.lanes) == 1 })
	if err := n.Close(timeout(t, 50*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
	select {
	case err := <-done:
		if !errors.Is(err, ErrUnconfirmed) {
			t.Error(err)
		}
	case <-time.After(apiTimeout / 2):
		t.Error("Publish waits")
	}
}

// TestMuchOnASlowConnection: an answer may take as long as it needs, if it goes on.
func TestMuchOnASlowConnection(t *testing.T) {
	s := startServer(t, withJetStream(t))
	p, other := newSieve(t, s.addr()), keepNode(t, s.url(), Options{})
	n := nodeWith(t, p.url(), func(k *keeper) { k.answer = 100 * time.Millisecond })
	var ledgers []*ledger
	var subs []broker.Subscription
	for i := range 30 {
		l := &ledger{name: fmt.Sprint("x", i)}
		other.keep(l.name, strings.Repeat("x", 50_000))
		ledgers, subs = append(ledgers, l), append(subs, broker.Subscription{Name: l.name, Keep: true, To: l})
	}
	p.pace.Store(3_000) // half a second for all
	begun := time.Now()
	must(t, n.Subscribe(timeout(t, patience), subs))
	if took := time.Since(begun); took < 300*time.Millisecond {
		t.Errorf("that was no slow connection: %v", took)
	}
	for _, l := range ledgers {
		other.keep(l.name, "last")
	}
	for _, l := range ledgers {
		await(t, "the last", func() bool { return l.got("last") })
	}
	calm(t, ledgers...)
}

// TestSilentAPI: while JetStream answers nobody who asks for something, publications go on, and so does what is not kept.
func TestSilentAPI(t *testing.T) {
	s := startServer(t, withJetStream(t))
	p := newSieve(t, s.addr())
	n := nodeWith(t, p.url(), func(k *keeper) { k.answer = 100 * time.Millisecond })
	l, books := n.listen("x"), newBooks(t)
	p.lose("$JS.API.")
	late := []broker.Subscription{{Name: "late", Keep: true, To: &ledger{name: "late"}}}
	if err := n.Subscribe(timeout(t, 50*time.Millisecond), late); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Subscribe: %v", err)
	}
	if _, err := n.After(timeout(t, patience), "x", l.epoch(), 0, 1); err == nil || !strings.Contains(err.Error(), "did not answer") {
		t.Errorf("After: %v", err)
	}
	n.subscribe("plain")
	n.publish("plain", "1")
	n.awaitMessage("plain", "1")
	books.through(n, "1", l)
	p.pass()
	must(t, n.Subscribe(timeout(t, patience), late))
	books.through(n, "2", l)
	books.audit(l)
	calm(t, l)
}
