package inspector_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/inspector"
)

// crowded subscribes one client to many topics.
func (w *watched) crowded(topics int) {
	c := w.connect("ann", 1<<20)
	for i := range topics {
		if err := c.Subscribe(fmt.Sprintf("topic %06d", i)); err != nil {
			w.t.Fatal(err)
		}
	}
	synctest.Wait()
}

var anyNumber = tank.WithLimits(tank.Limits{Subscriptions: math.MaxInt})

func heap() int64 {
	runtime.GC()
	runtime.GC() // what pools hold goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestNothingIsKeptWhenNobodyLooks: a minute after the last look.
func TestNothingIsKeptWhenNobodyLooks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const topics = 20_000
		w := watch(t, anyNumber)
		w.crowded(topics)
		before, goroutines := heap(), runtime.NumGoroutine()
		for range 3 {
			get[page[topic]](w, "/api/topics?sort=-rate")
			get[page[member]](w, "/api/topic?name=topic+000000")
			get[page[tank.ClientStats]](w, "/api/clients")
			get[health](w, "/api/health")
			time.Sleep(2 * time.Second)
		}
		while := heap() - before
		if while < topics*100 {
			t.Errorf("somebody looks, and only %d bytes are kept: what is this test about?", while)
		}
		if n := len(get[health](w, "/api/health").Samples); n == 0 {
			t.Error("there are no samples while somebody looks")
		}
		time.Sleep(59 * time.Second)
		if n := len(get[health](w, "/api/health").Samples); n == 0 {
			t.Error("what somebody looked at 59 seconds ago is forgotten")
		}
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if after := heap() - before; after > while/20 {
			t.Errorf("%d bytes are kept when nobody looks, of %d", after, while)
		}
		if n := runtime.NumGoroutine(); n > goroutines {
			t.Errorf("%d goroutines run when nobody looks, %d did before", n, goroutines)
		}
		if n := len(get[health](w, "/api/health").Samples); n != 0 {
			t.Errorf("%d samples are there at the first look", n)
		}
	})
}

func TestAHundredThousandTopics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const topics = 100_000
		w := watch(t, anyNumber)
		w.crowded(topics)
		p := get[page[topic]](w, "/api/topics?sort=-name&size=100&page=500")
		if p.Total != topics || p.Pages != 1000 || len(p.Items) != 100 || p.Items[0].Name != "topic 050099" {
			t.Errorf("got %d of %d topics on %d pages, the first of which is %+v", len(p.Items), p.Total, p.Pages, p.Items[0])
		}
		if p = get[page[topic]](w, "/api/topics?q=9999"); p.Matched != 19 {
			t.Errorf("%d topics have 9999 in their names, want 19", p.Matched)
		}
	})
}

// FuzzQuery: whatever is asked is answered, with what was asked for or with what is wrong about it.
func FuzzQuery(f *testing.F) {
	for _, path := range []string{"api/topics", "api/topic", "api/clients", "api/client", "api/health", "static/index.html", ""} {
		for _, query := range []string{"", "q=x&sort=-name&page=2&size=3", "name=news", "id=x", "page=99999999999999999999", "%zz", "a;b"} {
			f.Add(path, query)
		}
	}
	h := inspector.Handler(tank.NewInstance())
	f.Fuzz(func(t *testing.T, path, query string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.Path, r.URL.RawQuery = path, query
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		switch answer.Code {
		case 200, 308, 400, 404:
		default:
			t.Errorf("answered with %d: %s", answer.Code, answer.Body)
		}
		if answer.Header().Get("Content-Type") == "application/json" && !json.Valid(answer.Body.Bytes()) {
			t.Errorf("answered with %q", answer.Body)
		}
	})
}

// BenchmarkTopics is a page of a table of topics: of what was found out last, and anew, which happens once a second at most.
func BenchmarkTopics(b *testing.B) {
	for _, topics := range []int{1000, 100_000} {
		m, h := benchmarked(b, topics)
		for _, query := range []string{"", "?sort=-rate", "?q=9&sort=-rate"} {
			b.Run(fmt.Sprintf("topics=%d/%s", topics, query), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/api/topics"+query, nil))
				}
			})
		}
		b.Run(fmt.Sprintf("topics=%d/anew", topics), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				inspector.Handler(m).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/api/topics?sort=-rate", nil))
			}
		})
	}
}

// benchmarked is a running instance with many topics.
func benchmarked(b *testing.B, topics int) (*tank.Manager, http.Handler) {
	m := tank.NewInstance(anyNumber)
	go m.Start()
	server := httptest.NewServer(m)
	b.Cleanup(func() {
		m.Shutdown(b.Context())
		server.Close()
	})
	ws, _, err := websocket.Dial(b.Context(), server.URL, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ws.CloseNow() })
	c := (<-m.ConnEvents).ClientID
	for i := range topics {
		if err := m.GetClient(c).Subscribe(fmt.Sprintf("topic %06d", i)); err != nil {
			b.Fatal(err)
		}
	}
	return m, inspector.Handler(m)
}
