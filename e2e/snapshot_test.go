package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	tankjs "github.com/fanqie/tank-websocket-go-server/clients/js"
)

// stock is a table whose changes a topic carries, as docs/history.md shows it.
type stock struct {
	tkws *tank.Manager

	mu      sync.Mutex // protects the table, and nothing else: reading it does not fit its position
	version int64
	rows    map[int]stockRow
}

type stockRow struct {
	ID      int   `json:"id"`
	Count   int   `json:"count"`
	Version int64 `json:"version"`
	Gone    bool  `json:"gone,omitempty"`
}

const (
	stockRows = 10_000 // so many that a change that a page lacks is not soon repaired by another one of its row
	stockKept = 40
)

// store is the database.
func (s *stock) store(row *stockRow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	row.Version = s.version
	if row.Gone {
		delete(s.rows, row.ID)
	} else {
		s.rows[row.ID] = *row
	}
}

// read returns the table, sorted.
func (s *stock) read() []stockRow {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.rows), func(a, b stockRow) int { return cmp.Compare(a.ID, b.ID) })
}

// change stores a change and publishes it, or resets the topic as if that were impossible.
func (s *stock) change(t *testing.T, row stockRow, publish bool) {
	s.store(&row)
	var err error
	if publish {
		err = s.tkws.PublishJSON(context.Background(), "stock", row)
	} else {
		err = s.tkws.Reset("stock")
	}
	if err != nil {
		t.Error(err)
	}
}

// ServeHTTP takes its time between the position and the state, and thereafter.
func (s *stock) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	at, err := s.tkws.Position("stock")
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	time.Sleep(rand.N(20 * time.Millisecond))
	state := s.read()
	if rand.IntN(2) == 0 {
		time.Sleep(150 * time.Millisecond) // too late
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"at": at, "state": state})
}

// keepChanging changes a row every few milliseconds, until it is told to stop. Then it adds a row that is not published, and a last row,
// whose id it returns.
func (s *stock) keepChanging(t *testing.T) (stop func() (last int)) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		row := stockRow{Gone: true}
		for ticker := time.NewTicker(3 * time.Millisecond); ; <-ticker.C {
			select {
			case <-done:
				return
			default:
			}
			if row.Gone || rand.IntN(4) > 0 {
				row = stockRow{ID: rand.IntN(stockRows), Count: rand.IntN(1000)}
			} else {
				row.Gone = true
			}
			s.change(t, row, rand.IntN(1000) > 0)
		}
	}()
	return func() int {
		close(done)
		<-ended
		s.change(t, stockRow{ID: stockRows}, false)
		s.change(t, stockRow{ID: stockRows + 1}, true)
		return stockRows + 1
	}
}

// serveStock starts the table, and a page with the code of docs/history.md, which notes what happens to it.
func serveStock(t *testing.T) (*stock, *server) {
	t.Helper()
	s := &stock{rows: map[int]stockRow{}, tkws: tank.NewInstance(
		tank.WithTopics("stock", tank.TopicOptions{History: tank.History{Messages: stockKept}}))}
	go s.tkws.Start()
	script := adapt(t, block(t, "docs/history.md", "js", `fetch("/stock"`),
		`stock?.close();`, `stock?.close(); note("loads"); let late = true;`,
		`onJoin: ({ recovered }) => recovered || start(),`, `onJoin({ recovered, why }) {
			note(recovered ? "recovered" : late ? "late" : why);
			late = false;
			if (!recovered) start();
		},`,
		`onGap: () => start(),`, `onGap({ why }) { note("gap " + why); start(); },`,
		`setTimeout(start, 1000 + 4000 * Math.random())`, `{ note("failed"); setTimeout(start, 20); }`,
		`return; // the state has it already`, `return note("old");`)
	html := `<!doctype html><link rel=icon href=data:,><title>stock</title><script type="module">
		window.notes_ = {};
		const note = (what) => { notes_[what] = (notes_[what] ?? 0) + 1; };
		const show = (rows) => { window.rows_ = rows; };
	` + script + `window.tank_ = tank;</script>`
	mux := http.NewServeMux()
	mux.Handle("/ws", s.tkws)
	mux.Handle("/stock", s)
	mux.Handle("/tank.js", tankjs.Handler())
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, html) })
	origin := httptest.NewServer(mux)
	t.Cleanup(func() {
		s.tkws.Shutdown(context.Background())
		origin.Close()
	})
	return s, &server{t: t, url: origin.URL + "/"}
}

// TestStatesSurviveCuts: a page with a state loses its link again and again while the state changes, and has what the server has in the
// end. Often it can resume, and often not. Some answers have changes that come again, and some come too late.
func TestStatesSurviveCuts(t *testing.T) {
	t.Parallel()
	const cuts = 200
	s, direct := serveStock(t)
	behind, link := direct.behindLink(t)
	p := open(t, behind, "stock", look{})
	p.forgive("ERR_")
	p.wait(`window.tank_`)
	p.run(shortDelays)
	stop := s.keepChanging(t)
	for i := range cuts {
		time.Sleep(rand.N(100 * time.Millisecond))
		link.set(true)
		time.Sleep(rand.N(200 * time.Millisecond)) // often longer than the history reaches back
		recovered := eval[int](p, `notes_.recovered ?? 0`)
		link.set(false)
		if i%5 == 4 { // it is seen to come back, and not only between two cuts
			p.wait(fmt.Sprintf(`notes_.recovered > %d`, recovered))
		}
	}
	last := stop()
	p.wait(fmt.Sprintf(`rows_.has(%d)`, last))
	want, err := json.Marshal(s.read())
	if err != nil {
		t.Fatal(err)
	}
	const shows = `JSON.stringify([...rows_.values()].sort((a, b) => a.id - b.id))`
	p.wait(shows + ` === ` + quote(string(want))) // what is behind an answer may still come

	notes := eval[map[string]int](p, `notes_`)
	t.Log(notes)
	for _, what := range []string{"recovered", "evicted", "late", "old", "failed"} {
		if notes[what] == 0 {
			t.Errorf("%s: never", what)
		}
	}
	if n := notes["epoch"] + notes["gap epoch"]; n == 0 {
		t.Error("the page was never told that the topic has begun anew")
	}
}
