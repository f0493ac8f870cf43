package e2e

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// topicsPage shows how many numbers it has: all below it, or there would be a hole.
const topicsPage = `<!doctype html><link rel=icon href=data:,><title>list</title><script type="module">
	import { Topics } from "./topics.js";
	Object.assign(window, { has_: -1, loads_: 0, holes_: [], states_: [] });
	console.warn = () => {};
	const live = new Topics(location.origin.replace(/^http/, "ws") + "/ws", { onState: (state) => states_.push(state) });
	live.subscribe("list", (n) => {
		if (has_ < 0 || n > has_) holes_.push([has_, n]);
		has_ = Math.max(has_, n + 1);
	}, async () => {
		const answer = await fetch("/state");
		if (!answer.ok) throw new Error(answer.status);
		const { at, state } = await answer.json();
		has_ = state;
		loads_++;
		return at;
	});
</script>`

// TestTopicsMissNothing: the client that docs/protocol-v2.md shows has a list without a hole at every moment, through cuts, with a
// state that comes late or not at all, and with a topic that keeps too little for some of the cuts.
func TestTopicsMissNothing(t *testing.T) {
	t.Parallel()
	file := adapt(t, block(t, "docs/protocol-v2.md", "js", "class Topics"), "30_000, 500", "200, 10") // milliseconds of backoff
	m := tank.NewInstance(tank.WithTopics("list", tank.TopicOptions{History: tank.History{Messages: 400}}))
	go m.Start()
	var next, asked atomic.Int64 // the next number to publish, and how often the state was asked for
	mux := http.NewServeMux()
	mux.Handle("/ws", m)
	mux.HandleFunc("/topics.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		io.WriteString(w, file)
	})
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, topicsPage) })
	mux.HandleFunc("/state", func(w http.ResponseWriter, _ *http.Request) {
		at, err := m.Position("list")
		state, n := next.Load(), asked.Add(1)
		if err != nil || n%3 == 0 {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		time.Sleep(time.Duration(n%2) * 600 * time.Millisecond) // every other one is too late for what is kept
		_ = json.NewEncoder(w).Encode(map[string]any{"at": at, "state": state})
	})
	origin := httptest.NewServer(mux)
	t.Cleanup(func() {
		m.Shutdown(context.Background())
		origin.Close()
	})
	link := newCutter(t, origin.Listener.Addr().String())
	p := open(t, &server{t: t, url: "http://" + link.listener.Addr().String() + "/"}, "list", look{})
	p.forgive("Failed to load resource")
	p.wait(`window.has_ >= 0`)

	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for ticker := time.NewTicker(time.Millisecond); ; <-ticker.C {
			select {
			case <-stop:
				return
			default:
			}
			if err := m.PublishJSON(context.Background(), "list", next.Add(1)-1); err != nil { // the state has it first
				t.Error(err)
			}
		}
	}()
	for i := range 30 {
		time.Sleep(rand.N(400 * time.Millisecond))
		link.set(true)
		time.Sleep(rand.N(200 * time.Millisecond))
		if i%10 == 9 {
			m.Reset("list")
		}
		link.set(false)
	}
	close(stop)
	<-stopped
	p.wait(`has_ === ` + strconv.FormatInt(next.Load(), 10))
	if got := eval[string](p, `JSON.stringify(holes_)`); got != "[]" {
		t.Errorf("numbers are missing: %s", got)
	}
	loads, opened := eval[int](p, `loads_`), eval[int](p, `states_.filter((state) => state === "open").length`)
	t.Logf("%d states were loaded in %d connections", loads, opened)
	if loads < 3 || opened < 10 {
		t.Errorf("%d states were loaded in %d connections: is this test still looking at the right thing?", loads, opened)
	}
}
