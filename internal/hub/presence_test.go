package hub

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// withPresence is an instance for clients of tank.v2 whose topics know who is in them.
func withPresence(t *testing.T) (*instance, *memnet.Listener) {
	t.Helper()
	x := start(t, func(c *Config, _ *client.Options) {
		c.Presence = func(string) Presence { return Presence{Enabled: true, Grace: 10 * time.Second, Max: 10} }
	})
	return x, serveHTTP(t, x)
}

// watcher is a client of tank.v2 in the test.
type watcher struct {
	t       *testing.T
	conn    *memnet.Conn
	ws      *wstest.Conn
	session *Session
}

// enter connects a user and subscribes it to the topic news.
func enter(t *testing.T, x *instance, l *memnet.Listener, user string, watches bool) *watcher {
	t.Helper()
	conn, err := l.Dial(64 << 10)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	w := &watcher{t: t, conn: conn}
	if w.ws, err = wstest.Upgrade(conn, wstest.Handshake{Target: "/?" + user, Header: "Sec-WebSocket-Protocol: tank.v2\r\n"}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	all := x.all()
	w.session = all[len(all)-1]
	w.ask(x, watches)
	return w
}

func (w *watcher) ask(x *instance, watches bool) {
	x.postSubscribe(w.session, "news", "", &Ask{ID: 1, Watch: watches})
	synctest.Wait()
}

// told returns in short what has come.
func (w *watcher) told() (all []string) {
	w.t.Helper()
	synctest.Wait()
	for w.ws.R.Buffered()+len(w.conn.Buffered()) > 0 {
		f, err := w.ws.ReadFrame()
		if err != nil {
			w.t.Fatal(err)
		}
		type here struct {
			N   int
			In  map[string]any
			Out []string
		}
		var said struct {
			OK    *struct{ Here *here }
			Reset any
			Here  *here
		}
		if err := json.Unmarshal(f.Payload, &said); err != nil {
			w.t.Fatal(err)
		}
		text := func(what string, h *here) {
			slices.Sort(h.Out)
			all = append(all, strings.TrimSpace(fmt.Sprint(what, h.N, " +", slices.Sorted(maps.Keys(h.In)), " -", h.Out)))
		}
		switch {
		case said.OK != nil && said.OK.Here != nil:
			text("all ", said.OK.Here)
		case said.OK != nil:
			all = append(all, "ok")
		case said.Reset != nil:
			all = append(all, "reset")
		case said.Here != nil:
			text("", said.Here)
		default:
			all = append(all, string(f.Payload))
		}
	}
	return all
}

func (w *watcher) want(want ...string) {
	w.t.Helper()
	if got := w.told(); !slices.Equal(got, want) {
		w.t.Errorf("told %q, want %q", got, want)
	}
}

// panics makes the topic news panic so many times, which is a bug in this library and has to be put in.
func (x *instance) panics(t *testing.T, times int) {
	t.Helper()
	found, err := actor.Call(t.Context(), x.supervisor, func(r actor.Request[*topic.Topic]) message { return lookup{Request: r, topic: "news"} })
	if err != nil || found == nil {
		t.Fatalf("no topic: %v", err)
	}
	for range times {
		found.Join(nil)
	}
	synctest.Wait()
	for range times {
		select {
		case f := <-x.faults:
			if f.Kind != TopicPanicked {
				t.Errorf("reported %+v", f)
			}
		default:
			t.Fatal("a panic was not reported")
		}
	}
}

// TestATopicThatPanicsKnowsWhoIsInIt as before, and goes on to tell it.
func TestATopicThatPanicsKnowsWhoIsInIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, l := withPresence(t)
		ann := enter(t, x, l, "ann", true)
		ann.want("all 1 +[ann] -[]")
		bob := enter(t, x, l, "bob", false)
		bob.want("ok")
		x.panics(t, 2)
		time.Sleep(2 * time.Second)
		ann.want("2 +[bob] -[]")
		bob.conn.Close()
		time.Sleep(5 * time.Second)
		x.panics(t, 2)
		ann.want()
		time.Sleep(8 * time.Second)
		ann.want("1 +[] -[bob]")
	})
}

// TestAWatchedTopicThatIsGivenUp says so with a reset. Who watches asks again, is told who is there by then, and what changes.
func TestAWatchedTopicThatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, l := withPresence(t)
		ann, bob, cid := enter(t, x, l, "ann", true), enter(t, x, l, "bob", true), enter(t, x, l, "cid", false)
		time.Sleep(2 * time.Second)
		for _, w := range []*watcher{ann, bob, cid} {
			w.told()
		}
		dan := enter(t, x, l, "dan", false)
		dan.conn.Close() // who has time to come back, but the new topic does not know that
		synctest.Wait()
		ann.told()
		bob.told()
		x.panics(t, actor.DefaultRestarts+1)
		ann.want("reset")
		bob.want("reset")
		cid.want("reset")
		ann.ask(x, true)
		ann.want("all 3 +[ann bob cid] -[]")
		cid.conn.Close()
		time.Sleep(2 * time.Second)
		ann.told() // about herself and those who came to the new topic with her
		bob.want() // until he asks, too
		time.Sleep(12 * time.Second)
		ann.want("2 +[] -[cid]")
		bob.ask(x, true)
		bob.want("all 2 +[ann bob] -[]")
		eve := enter(t, x, l, "eve", false)
		eve.want("ok")
		time.Sleep(2 * time.Second)
		ann.want("3 +[eve] -[]")
		bob.want("3 +[eve] -[]")
		if here, err := x.Present(time.Second, "news"); err != nil || here.Users != 3 || len(here.In) != 3 {
			t.Errorf("the server is told %+v, %v", here, err)
		}
	})
}
