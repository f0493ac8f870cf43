package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	tank "github.com/fanqie/tank-websocket-go-server"
	natsbroker "github.com/fanqie/tank-websocket-go-server/broker/nats"
	"github.com/fanqie/tank-websocket-go-server/examples/internal/servertest"
	"github.com/fanqie/tank-websocket-go-server/examples/internal/web"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// The test binary is the broker, too, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == brokerCommand {
		os.Exit(brokerMain(os.Args[2:]))
	}
	goleak.VerifyTestMain(m)
}

var quiet = slog.New(slog.DiscardHandler)

const patience = 20 * time.Second

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !condition(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func startBroker(t *testing.T) *process {
	t.Helper()
	addr, err := freeAddr()
	must(t, err)
	p := &process{addr: addr, dir: t.TempDir()}
	must(t, p.start())
	t.Cleanup(func() { must(t, p.kill()) })
	return p
}

// fixture is two nodes of a group, served in memory, and their broker, which is a process.
type fixture struct {
	*testing.T
	broker  *process
	nodes   []*node
	servers []*tanktest.Server
}

func setUp(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t, broker: startBroker(t)}
	for range nodeCount {
		n, err := newNode("nats://"+f.broker.addr, quiet)
		must(t, err)
		s := tanktest.Serve(t, n.tkws)
		s.Patience = patience
		go n.stay()
		f.nodes, f.servers = append(f.nodes, n), append(f.servers, s)
	}
	for i, n := range f.nodes {
		await(t, "the loop has begun", func() bool { return n.tkws.GetTopicSubscriberCount(room) == 1 })
		f.page(i, "nobody").Unsubscribe(room) // to which it was subscribed, so the node gets what is published from now on
	}
	return f
}

// page is a page on a node, in the room.
func (f *fixture) page(node int, name string) *tanktest.ClientV2 {
	f.Helper()
	c := f.servers[node].DialV2("/ws", tanktest.User(name))
	c.Subscribe(room)
	return c
}

// expect reads the next message of a page, which has to be of the room.
func (f *fixture) expect(c *tanktest.ClientV2, from, text string) {
	f.Helper()
	var got said
	if m := c.Next(); m.Topic != room || json.Unmarshal([]byte(m.Data), &got) != nil || got.From != from || got.Text != text {
		f.Fatalf("got %v, want %q from %s", m, text, from)
	}
}

// expectBack reads what a page is told when its node has the broker again: that it has, and, of a broker that keeps nothing, that messages
// may be missing. Either comes first.
func (f *fixture) expectBack(c *tanktest.ClientV2) {
	f.Helper()
	want := []string{"interrupted"}
	if mode != natsbroker.JetStream {
		want = []string{"gap", "interrupted"}
	}
	var got []string
	for range want {
		got = append(got, c.Next().Notice)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		f.Fatalf("the page was told %q, want %q", got, want)
	}
}

func TestTheBrokerIsKilled(t *testing.T) {
	f := setUp(t)
	ada, lin := f.page(0, "Ada"), f.page(1, "Lin")
	ada.Publish(room, said{ID: "1", Text: "Hello"})
	f.expect(ada, "Ada", "Hello")
	f.expect(lin, "Ada", "Hello")

	must(t, f.broker.kill())
	ada.ExpectInterrupted(true)
	lin.ExpectInterrupted(true)
	if refusal := ada.PublishRefused("unavailable", room, said{ID: "2", Text: "Are you there?"}, tanktest.Key("2")); !refusal.Retry {
		t.Error("the page is not told to try again")
	}
	must(t, f.broker.start())
	f.expectBack(ada)
	f.expectBack(lin)
	for range 2 { // the answer to the first might have been lost
		ada.Publish(room, said{ID: "2", Text: "Are you there?"}, tanktest.Key("2"))
	}
	lin.Publish(room, said{ID: "3", Text: "Yes"})
	for _, c := range []*tanktest.ClientV2{ada, lin} {
		f.expect(c, "Ada", "Are you there?")
		f.expect(c, "Lin", "Yes")
		c.ExpectNothing()
	}
}

// TestOneOrderAcrossKills: both nodes publish all the time, and again with the same key when that fails, while the broker is killed. Pages
// of both get all of it once, in one order, and are not told of a gap.
func TestOneOrderAcrossKills(t *testing.T) {
	if mode != natsbroker.JetStream {
		t.Skip("the order is that of each node")
	}
	const kills = 3
	f := setUp(t)
	pages := []*tanktest.ClientV2{f.page(0, "Ada"), f.page(1, "Lin")}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var publishers sync.WaitGroup
	var over atomic.Bool
	var published atomic.Int64
	for i, n := range f.nodes {
		publishers.Go(func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for j := 0; !over.Load() && ctx.Err() == nil; j++ {
				text := strconv.Itoa(i) + ":" + strconv.Itoa(j)
				p := tank.Publication{Topic: room, Data: text, Key: text}
				for _, err := n.tkws.PublishMessage(ctx, p); err != nil && ctx.Err() == nil; _, err = n.tkws.PublishMessage(ctx, p) {
					<-tick.C
				}
				published.Add(1)
			}
		})
	}
	for range kills {
		before := published.Load()
		await(t, "both nodes publish", func() bool { return published.Load() > before+50 })
		must(t, f.broker.kill())
		must(t, f.broker.start())
	}
	over.Store(true)
	publishers.Wait()
	var got [nodeCount][]string
	for i, c := range pages {
		for len(got[i]) < int(published.Load()) {
			switch m := c.Next(); m.Notice {
			case "":
				got[i] = append(got[i], m.Data)
			case "interrupted":
			default:
				t.Fatalf("page %d got %v", i, m)
			}
		}
		c.ExpectNothing()
	}
	if !slices.Equal(got[0], got[1]) {
		t.Error("the pages have different orders")
	}
	for i := range f.nodes {
		last := -1
		for _, text := range got[0] {
			if rest, is := strings.CutPrefix(text, strconv.Itoa(i)+":"); is {
				j, err := strconv.Atoi(rest)
				if must(t, err); j != last+1 {
					t.Fatalf("of node %d, %d comes behind %d", i, j, last)
				}
				last = j
			}
		}
	}
}

func TestOneNodeIsUnplugged(t *testing.T) {
	f := setUp(t)
	ada, lin := f.page(0, "Ada"), f.page(1, "Lin")
	f.nodes[0].cable.plug(false)
	ada.ExpectInterrupted(true)
	ada.PublishRefused("unavailable", room, said{ID: "1", Text: "Hello"})
	lin.Publish(room, said{ID: "2", Text: "I go on"})
	f.expect(lin, "Lin", "I go on")
	f.nodes[0].cable.plug(true)
	f.expectBack(ada)
	if mode == natsbroker.JetStream {
		f.expect(ada, "Lin", "I go on")
	}
	ada.Publish(room, said{ID: "1", Text: "Hello"})
	f.expect(ada, "Ada", "Hello")
	f.expect(lin, "Ada", "Hello")
}

func TestTheOtherNodeHasTheLastMessages(t *testing.T) {
	f := setUp(t)
	ada := f.page(0, "Ada")
	for _, text := range []string{"one", "two", "three"} {
		ada.Publish(room, said{ID: text, Text: text})
		f.expect(ada, "Ada", text)
	}
	await(t, "the other node has them", func() bool { return f.nodes[1].kept() == 3 })
	moved := f.servers[1].DialV2("/ws", tanktest.User("Ada"))
	answer := moved.Subscribe(room, tanktest.Since(ada.Position(room)), tanktest.Last(history.Messages))
	if answer.Recovered != (mode == natsbroker.JetStream) { // where positions are those of the group
		t.Errorf("on the other node, the page is answered %+v", answer)
	} else if !answer.Recovered {
		for _, text := range []string{"one", "two", "three"} {
			f.expect(moved, "Ada", text)
		}
	}
	moved.ExpectNothing()
}

// TestWhatWasSaidOutlivesTheBroker: a node that is new after the kill has it.
func TestWhatWasSaidOutlivesTheBroker(t *testing.T) {
	if mode != natsbroker.JetStream {
		t.Skip("nothing is kept by the broker")
	}
	f := setUp(t)
	ada := f.page(0, "Ada")
	ada.Publish(room, said{ID: "1", Text: "Hello"})
	f.expect(ada, "Ada", "Hello")
	must(t, f.broker.kill())
	must(t, f.broker.start())
	n, err := newNode("nats://"+f.broker.addr, quiet)
	must(t, err)
	s := tanktest.Serve(t, n.tkws)
	s.Patience = patience
	lin := s.DialV2("/ws", tanktest.User("Lin"))
	await(t, "the node has the broker", func() bool { return n.tkws.Ready() == nil })
	lin.Subscribe(room, tanktest.Last(history.Messages))
	for m := lin.Next(); ; m = lin.Next() {
		if m.Notice == "interrupted" { // which it was at the beginning
			continue
		}
		var got said
		if m.Topic != room || json.Unmarshal([]byte(m.Data), &got) != nil || got.Text != "Hello" {
			t.Errorf("got %v", m)
		}
		break
	}
}

func TestWhatIsRefused(t *testing.T) {
	f := setUp(t)
	for _, name := range []string{"", " ", strings.Repeat("x", maxName+1)} {
		if answer := f.servers[0].DialRefused("/ws", tanktest.User(name)); answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("the name %q is answered with %s", name, answer.Status)
		}
	}
	for _, origin := range []string{"https://example.com", "null", "http://", "%"} {
		if answer := f.servers[0].DialRefused("/ws", tanktest.User("Ada"), tanktest.Header("Origin", origin)); answer.StatusCode != http.StatusForbidden {
			t.Errorf("a page of %s is answered with %s", origin, answer.Status)
		}
	}
	ada := f.servers[0].DialV2("/ws", tanktest.User("Ada"), tanktest.Header("Origin", "http://tank.test:8080"))
	ada.SubscribeRefused("forbidden", "news")
	ada.Subscribe(room)
	for _, data := range []any{"text", 1, said{Text: "x"}, said{ID: "1"}, said{ID: "1", Text: " "},
		said{ID: "1", Text: strings.Repeat("x", maxText+1)}, said{ID: strings.Repeat("x", maxID+1), Text: "x"}} {
		ada.PublishRefused("forbidden", room, data)
	}
	ada.PublishRefused("forbidden", "news", said{ID: "1", Text: "x"})
	ada.Publish(room, said{ID: "1", From: "Lin", Text: " " + strings.Repeat("火", maxText) + " ", Time: 1})
	f.expect(ada, "Ada", strings.Repeat("火", maxText))
}

func TestTheProcess(t *testing.T) {
	p := startBroker(t)
	first, since := p.status()
	if first == 0 || since.IsZero() {
		t.Fatal("it does not run")
	}
	if err := p.start(); !errors.Is(err, errRunning) {
		t.Errorf("a second start: %v", err)
	}
	must(t, p.kill())
	must(t, p.kill())
	if pid, ended := p.status(); pid != 0 || !ended.After(since) {
		t.Errorf("after kill, the process is %d since %v", pid, ended)
	}
	if isAlive(first) {
		t.Error("it is alive after kill")
	}
	must(t, p.start())
	second, _ := p.status()
	found, err := os.FindProcess(second)
	must(t, err)
	must(t, found.Kill()) // by somebody else
	await(t, "the end is noticed", func() bool { pid, _ := p.status(); return pid == 0 })
	must(t, p.start())
}

func isAlive(pid int) bool {
	p, err := os.FindProcess(pid)
	return err == nil && p.Signal(syscall.Signal(0)) == nil
}

func TestTheProcessDoesNotOutliveTheProgram(t *testing.T) {
	addr, err := freeAddr()
	must(t, err)
	dir := filepath.Join(t.TempDir(), "store")
	cmd := exec.Command(os.Args[0], brokerCommand, addr, dir)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	ready := make([]byte, len("ready\n"))
	if _, err := io.ReadFull(out, ready); err != nil || string(ready) != "ready\n" {
		t.Fatalf("it says %q: %v", ready, err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("it stores nothing: %v", err)
	}
	must(t, in.Close())
	must(t, cmd.Wait())
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("its files are left: %v", err)
	}
}

func TestABrokerThatCannotStart(t *testing.T) {
	for _, args := range [][]string{{}, {"127.0.0.1"}, {"127.0.0.1", "x"}, {"127.0.0.1:http", "x"}} {
		if err := serveNATS(args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
	if err := (&process{addr: "127.0.0.1", dir: t.TempDir()}).start(); err == nil {
		t.Error("it has started without a port")
	}
	for _, addr := range []string{"127.0.0.1", "127.0.0.1:http"} {
		if _, err := newCluster(addr, quiet); err == nil {
			t.Errorf("the address %q is taken", addr)
		}
	}
}

// begin is the whole program, until the end of the test.
func begin(t *testing.T) *cluster {
	t.Helper()
	c, err := newCluster("127.0.0.1:0", quiet)
	must(t, err)
	t.Cleanup(func() {
		pid, _ := c.broker.status()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if pid != 0 && isAlive(pid) {
			t.Error("the broker is alive at the end")
		}
		if _, err := os.Stat(c.broker.dir); !os.IsNotExist(err) {
			t.Errorf("files are left: %v", err)
		}
	})
	return c
}

func TestTheDeskObeys(t *testing.T) {
	c := begin(t)
	desk := tanktest.Serve(t, newDesk(c, quiet))
	desk.Patience = patience
	page := desk.DialV2("/")
	page.RequestRefused("not_found", order{Do: "dance"})
	page.RequestRefused("not_found", order{Do: "cut", Node: nodeCount})
	page.RequestRefused("not_found", order{Do: "cut", Node: -1})
	page.RequestRefused("bad_message", "kill")
	page.RequestRefused("failed", order{Do: "start"})
	interrupted := func() (list []bool) {
		for _, n := range c.look().Nodes {
			list = append(list, n.Interrupted)
		}
		return list
	}
	is := func(want ...bool) func() bool { return func() bool { return slices.Equal(interrupted(), want) } }
	await(t, "both nodes have the broker", is(false, false))
	page.Request(order{Do: "cut", Node: 1})
	await(t, "node 2 is alone", is(false, true))
	if s := c.look(); !s.Nodes[0].Plugged || s.Nodes[1].Plugged {
		t.Errorf("unplugged are %+v", s.Nodes)
	}
	page.Request(order{Do: "join", Node: 1})
	await(t, "node 2 is back", is(false, false))
	page.Request(order{Do: "kill"})
	if s := c.look(); s.PID != 0 {
		t.Errorf("after kill, the process is %d", s.PID)
	}
	await(t, "both nodes are alone", is(true, true))
	page.Request(order{Do: "start"})
	await(t, "both nodes are back", is(false, false))
}

// TestThePage is served with a policy that lets it connect to the nodes, and is told how the cluster is.
func TestThePage(t *testing.T) {
	c := begin(t)
	answer, err := http.Get(c.url())
	must(t, err)
	body, err := io.ReadAll(answer.Body)
	must(t, errors.Join(err, answer.Body.Close()))
	http.DefaultClient.CloseIdleConnections()
	if policy := answer.Header.Get("Content-Security-Policy"); answer.StatusCode != http.StatusOK || !strings.Contains(string(body), "panes") ||
		!strings.HasSuffix(policy, websocketsOf(c.ports)) {
		t.Errorf("answered with %s, the policy %q and\n%s", answer.Status, policy, body)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, c.url()+"ws", &websocket.DialOptions{Subprotocols: []string{"tank.v2"}})
	must(t, err)
	defer ws.CloseNow()
	must(t, ws.Write(ctx, websocket.MessageText, []byte(`{"id":1,"sub":"cluster","last":1}`)))
	for told := false; !told; {
		_, text, err := ws.Read(ctx)
		must(t, err)
		var s state
		var frame []json.RawMessage
		if json.Unmarshal(text, &frame) == nil && len(frame) > 2 && string(frame[0]) == `"cluster"` {
			must(t, json.Unmarshal(frame[2], &s))
			told = s.PID != 0 && len(s.Nodes) == nodeCount && s.Nodes[0].Port == c.ports[0] && !s.Nodes[0].Interrupted
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, "127.0.0.1:0", quiet); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func TestSlowPeersAreCutOff(t *testing.T) {
	tkws := tank.NewInstance(tank.WithMessageHandler(func(c *tank.Client, m tank.Message) { c.Send(m) }))
	go tkws.Start()
	defer tkws.Shutdown(context.Background())
	servertest.Check(t, web.NewServer(pageHandler(tkws, nil), quiet), func(addr string) (alive func()) {
		ws, _, err := websocket.Dial(t.Context(), "ws://"+addr+"/ws", nil)
		must(t, err)
		return func() {
			defer ws.CloseNow()
			must(t, ws.Write(t.Context(), websocket.MessageText, []byte("hello")))
			if _, text, err := ws.Read(t.Context()); err != nil || string(text) != "hello" {
				t.Errorf("got %s, %v", text, err)
			}
		}
	})
}
