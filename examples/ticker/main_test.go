package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/coder/websocket"

	"github.com/fanqie/tank-websocket-go-server/examples/internal/servertest"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open starts a market in a bubble.
func open(t *testing.T) (*market, *tanktest.Server) {
	m := newMarket(7)
	tkws := newInstance(len(m.symbols))
	s := tanktest.ServeHandler(t, handler(tkws, m), tkws)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go m.run(ctx, tkws)
	return m, s
}

func TestEachSymbolTicksTwentyTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := open(t)
		if len(m.symbols) < 300 {
			t.Errorf("there are %d symbols, want hundreds", len(m.symbols))
		}
		c := s.Dial("/ws")
		for _, symbol := range m.symbols {
			c.Subscribe(topicOf(symbol))
		}
		seen := make(map[string]int)
		until := time.Now().Add(2 * time.Second)
		for time.Now().Before(until) {
			seen[c.Next().Topic]++
		}
		for _, symbol := range m.symbols {
			if n := seen[topicOf(symbol)]; n < 39 || n > 41 {
				t.Fatalf("%s had %d prices in 2 s, want 40", symbol, n)
			}
		}
	})
}

func TestThePricesOfASeedAreTheSame(t *testing.T) {
	a, b, other := newMarket(1), newMarket(1), newMarket(2)
	same := true
	for i := range a.symbols {
		p, q := a.step(i), b.step(i)
		if p != q {
			t.Fatalf("%s costs %s and %s", a.symbols[i], p, q)
		}
		same = same && p == other.step(i)
	}
	if same {
		t.Error("another seed makes the same prices")
	}
}

// TestAPageThatIsBehindGetsTheLatestPrices, and is told how many it has missed.
func TestAPageThatIsBehindGetsTheLatestPrices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := open(t)
		slow := s.Dial("/ws", tanktest.ReadBuffer(1<<10))
		for _, symbol := range m.symbols {
			slow.Subscribe(topicOf(symbol))
		}
		slow.Freeze()
		time.Sleep(4 * time.Second) // less than the write timeout
		frozen := slow.Conn().Stats()
		if frozen.Dropped == 0 || frozen.OutboxBytes > 2*outboxBytes {
			t.Errorf("while it does not read, it has %+v", frozen)
		}
		slow.Thaw()
		slow.Send("skipped?")
		slow.Send("whatever")
		for {
			text := slow.Next().Data
			var got struct{ Skipped uint64 }
			if !strings.Contains(text, "skipped") {
				continue
			}
			if err := json.Unmarshal([]byte(text), &got); err != nil || got.Skipped < frozen.Dropped {
				t.Errorf("it is told %s, %v; it has missed %d", text, err, frozen.Dropped)
			}
			return
		}
	})
}

func TestPageAndSymbols(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := open(t)
		for path, want := range map[string]string{"/": "text/html; charset=utf-8", "/symbols": "application/json"} {
			answer, err := s.Client().Get("http://ticker.test" + path)
			if err != nil {
				t.Fatal(err)
			}
			var symbols []string
			if path == "/symbols" {
				if err := json.NewDecoder(answer.Body).Decode(&symbols); err != nil || len(symbols) != len(m.symbols) {
					t.Errorf("%d symbols, %v", len(symbols), err)
				}
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != want {
				t.Errorf("%s is answered with %s, %s", path, answer.Status, answer.Header.Get("Content-Type"))
			}
		}
	})
}

func TestSlowPeersAreCutOff(t *testing.T) {
	m := newMarket(1)
	tkws := newInstance(len(m.symbols))
	go tkws.Start()
	defer tkws.Shutdown(context.Background())
	servertest.Check(t, newServer(handler(tkws, m)), func(addr string) (alive func()) {
		ws, _, err := websocket.Dial(t.Context(), "ws://"+addr+"/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		return func() {
			defer ws.CloseNow()
			if err := ws.Write(t.Context(), websocket.MessageText, []byte("skipped?")); err != nil {
				t.Fatal(err)
			}
			if _, text, err := ws.Read(t.Context()); err != nil || string(text) != `{"skipped":0}` {
				t.Errorf("got %s, %v", text, err)
			}
		}
	})
}
