package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/broker/brokertest"
	tankjs "github.com/fanqie/tank-websocket-go-server/clients/js"
)

// sharedTable is a database that several processes share, as docs/scale-out.md wants it: each row has a version, and stays when it is
// deleted.
type sharedTable struct {
	mu   sync.Mutex
	rows map[int]stockRow
}

// store sets a row, and its version.
func (s *sharedTable) store(row stockRow) stockRow {
	s.mu.Lock()
	defer s.mu.Unlock()
	row.Version = s.rows[row.ID].Version + 1
	s.rows[row.ID] = row
	return row
}

// read returns the rows, sorted.
func (s *sharedTable) read() []stockRow {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.rows), func(a, b stockRow) int { return cmp.Compare(a.ID, b.ID) })
}

// sharer is one of several processes that share the table.
type sharer struct {
	*tank.Manager
	broker *brokertest.Node
}

// change stores a row, and publishes it until the broker has it.
func (p *sharer) change(t *testing.T, s *sharedTable, row stockRow) {
	row = s.store(row)
	for retry := time.NewTicker(5 * time.Millisecond); ; <-retry.C {
		switch err := p.PublishJSON(context.Background(), "stock", row); {
		case err == nil:
			return
		case !errors.Is(err, tank.ErrBroker):
			t.Error(err)
			return
		}
	}
}

// serveSharedTable starts two processes that share a table, and in front of them a load balancer that gives each request to the other one
// than the one before. The page has the code of docs/scale-out.md, and notes what happens to it.
func serveSharedTable(t *testing.T) (*sharedTable, []*sharer, *server) {
	t.Helper()
	s := &sharedTable{rows: map[int]stockRow{}}
	script := adapt(t, block(t, "docs/scale-out.md", "js", `tank.request("stock"`),
		`onJoin: ({ recovered }) => recovered || start(),`, `onJoin({ recovered, why }) { note(recovered ? "recovered" : why); if (!recovered) start(); },`,
		`onGap: () => start(),`, `onGap({ why }) { note("gap " + why); start(); },`,
		`setTimeout(start, 1000 + 4000 * Math.random())`, `{ note("failed"); setTimeout(start, 20); }`,
		`return;`, `return note("old");`)
	html := `<!doctype html><link rel=icon href=data:,><title>stock</title><script type="module">
		window.notes_ = {};
		const note = (what) => { notes_[what] = (notes_[what] ?? 0) + 1; };
		const show = (rows) => { window.rows_ = [...rows.values()].filter((row) => !row.gone); };
	` + script + `window.tank_ = tank;</script>`
	w := brokertest.NewNetwork()
	var processes []*sharer
	var muxes []*http.ServeMux
	for range 2 {
		b := w.Node()
		var m *tank.Manager
		m = tank.NewInstance(anyOrigin, tank.WithBroker(b),
			tank.WithTopics("stock", tank.TopicOptions{History: tank.History{Messages: stockKept}}),
			tank.WithRequestHandler(func(*tank.Client, tank.Request) (any, error) {
				at, err := m.Position("stock")
				return map[string]any{"at": at, "state": s.read()}, err
			}))
		go m.Start()
		mux := http.NewServeMux()
		mux.Handle("/ws", m)
		mux.Handle("/tank.js", tankjs.Handler())
		mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, html) })
		processes, muxes = append(processes, &sharer{m, b}), append(muxes, mux)
	}
	var requests atomic.Uint64
	balancer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		muxes[requests.Add(1)%2].ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		for _, p := range processes {
			p.Shutdown(context.Background())
		}
		balancer.Close()
	})
	return s, processes, &server{t: t, url: balancer.URL + "/"}
}

// TestStatesOfSeveralProcesses: a page with a state comes back to one process or the other, both of which change the state, and lose their
// broker now and then. In the end it has what the table has.
func TestStatesOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	const cuts, rows = 100, 200 // so few rows that both processes change the same one
	s, processes, direct := serveSharedTable(t)
	behind, link := direct.behindLink(t)
	p := open(t, behind, "stock", look{})
	p.forgive("ERR_")
	p.wait(`window.rows_`)
	p.run(shortDelays)

	done := make(chan struct{})
	var publishers sync.WaitGroup
	for _, from := range processes {
		publishers.Go(func() {
			for ticker := time.NewTicker(5 * time.Millisecond); ; <-ticker.C {
				select {
				case <-done:
					return
				default:
					from.change(t, s, stockRow{ID: rand.IntN(rows), Count: rand.IntN(1000), Gone: rand.IntN(4) == 0})
				}
			}
		})
	}
	for i := range cuts {
		time.Sleep(rand.N(100 * time.Millisecond))
		if i%10 == 5 {
			b := processes[rand.IntN(2)].broker
			b.Cut()
			time.Sleep(rand.N(50 * time.Millisecond))
			b.Heal()
			continue
		}
		link.set(true)
		time.Sleep(rand.N(200 * time.Millisecond))
		link.set(false)
	}
	close(done)
	publishers.Wait()
	processes[0].change(t, s, stockRow{ID: rows})
	want, err := json.Marshal(slices.DeleteFunc(s.read(), func(row stockRow) bool { return row.Gone }))
	if err != nil {
		t.Fatal(err)
	}
	p.wait(`JSON.stringify(rows_.sort((a, b) => a.id - b.id)) === ` + quote(string(want)))

	notes := eval[map[string]int](p, `notes_`)
	t.Log(notes)
	for _, what := range []string{"recovered", "epoch"} {
		if notes[what] == 0 {
			t.Errorf("%s: never", what)
		}
	}
	if n := notes["unknown"] + notes["gap unknown"]; n == 0 {
		t.Error("the page was never told that the broker was away")
	}
}
