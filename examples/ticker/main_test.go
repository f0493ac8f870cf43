package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
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

// TestAPageRecoversPrices of a short absence, for all symbols that it shows, and is told when it was away for too long.
func TestAPageRecoversPrices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := open(t)
		page := s.DialV2("/ws")
		const shown = 48
		for _, symbol := range m.symbols[:shown] {
			page.Subscribe(topicOf(symbol))
		}
		time.Sleep(time.Second + tick/2)
		page.Cut()
		page.Rest()
		left := page.Position(topicOf(m.symbols[0]))
		const away = 3 * time.Second
		time.Sleep(away)
		for topic, got := range page.Resume() {
			if !got.Recovered {
				t.Errorf("%s: %+v", topic, got)
			}
		}
		made := record(newMarket(7), time.Minute)
		for seen := 0; seen < shown*int(away/tick); seen++ { // in the right order, of which ClientV2 makes sure
			got := page.Next()
			symbol := strings.TrimPrefix(got.Topic, "price:")
			if want := made[symbol][got.Seq-1]; got.Seq <= left.Seq || got.Data != want {
				t.Fatalf("number %d of %s is %s, want %s", got.Seq, symbol, got.Data, want)
			}
		}

		page.Cut()
		page.Rest()
		time.Sleep(2 * history)
		if got := page.Resume()[topicOf(m.symbols[0])]; got.Recovered || got.Why != "evicted" {
			t.Errorf("after a long absence: %+v", got)
		}
	})
}

// TestHistoryIsSmall although it is that of all symbols, whether or not anybody is there.
func TestHistoryIsSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMarket(7)
		tkws := newInstance(len(m.symbols))
		tanktest.Serve(t, tkws)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go m.run(ctx, tkws)
		most := int64(0)
		for range 16 {
			time.Sleep(time.Second)
			synctest.Wait()
			most = max(most, tkws.Stats().HistoryMemory)
		}
		if most < 1<<20 || most > 3<<20 {
			t.Errorf("the prices of %v of %d symbols take %d bytes", history, len(m.symbols), most)
		}
	})
}

// TestOnlyTheLatestPriceIsKept of each symbol, once a page that does not read is further behind than it may be.
func TestOnlyTheLatestPriceIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		m, s := open(t)
		shown := m.symbols[:12]
		slow := s.Dial("/ws", tanktest.ReadBuffer(1<<10))
		for _, symbol := range shown {
			slow.Subscribe(topicOf(symbol))
		}
		slow.Freeze()
		for slow.Conn().Stats().Dropped == 0 {
			time.Sleep(tick)
		}
		time.Sleep(tick / 2)
		// One price of each, those of the tick that made it too much, and what is being written.
		if waiting := slow.Conn().Stats().OutboxBytes; waiting > 3<<10 {
			t.Errorf("%d bytes wait for a page that shows %d prices", waiting, len(shown))
		}
		now := int(time.Since(began)/tick) - 1
		slow.Thaw()
		slow.Send("skipped?") // the answer comes behind all prices
		last := make(map[string]string)
		for got := slow.Next(); got.Topic != ""; got = slow.Next() {
			last[got.Topic] = got.Data
		}
		made := record(newMarket(7), time.Since(began))
		for _, symbol := range shown {
			if want := made[symbol][now]; last[topicOf(symbol)] != want {
				t.Errorf("%s costs %s, and the page has %s", symbol, want, last[topicOf(symbol)])
			}
		}
	})
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
			break
		}

		page := s.DialV2("/ws")
		if got := string(page.Request("skipped?")); got != `{"skipped":0}` {
			t.Errorf("a page is told %s", got)
		}
		page.RequestRefused("bad_message", "whatever")
		page.RequestRefused("bad_message", 7)
	})
}

// TestPricesOnASlowLinkAreFresh: what comes through is never much older than what waits for the link, however long it goes on.
func TestPricesOnASlowLinkAreFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := open(t)
		shown := m.symbols[:12] // as on a phone
		page := s.Dial("/slow")
		for _, symbol := range shown {
			page.Subscribe(topicOf(symbol))
		}
		const (
			during   = 30 * time.Second
			mostLate = 3 * time.Second
		)
		made := record(newMarket(7), during)
		began, bytes, seen := time.Now(), 0, make(map[string]int)
		for time.Since(began) < during-mostLate {
			got := page.Next()
			symbol := strings.TrimPrefix(got.Topic, "price:")
			bytes += len(`{"topic":"","data":""}`) + len(got.Topic) + len(got.Data)
			seen[symbol]++
			now := int(time.Since(began) / tick)
			recent := made[symbol][max(0, now-int(mostLate/tick)) : now+2]
			if !slices.Contains(recent, got.Data) {
				t.Fatalf("after %v, %s costs %s, which it did not for the last %v: %v", time.Since(began), symbol, got.Data, mostLate, recent)
			}
		}
		if perSecond := float64(bytes) / (during - mostLate).Seconds(); perSecond > slowLink {
			t.Errorf("%.0f bytes come through in a second, want %d at most", perSecond, slowLink)
		}
		for _, symbol := range shown {
			if seen[symbol] < 20 {
				t.Errorf("%s had %d prices in half a minute", symbol, seen[symbol])
			}
		}
		if stats := page.Conn().Stats(); stats.Dropped == 0 || stats.Closing {
			t.Errorf("the page on a slow link has %+v", stats)
		}
	})
}

// record returns all prices that a market will make, by symbol.
func record(m *market, during time.Duration) map[string][]string {
	made := make(map[string][]string)
	for range during/tick + 2 {
		for i, symbol := range m.symbols {
			made[symbol] = append(made[symbol], m.step(i))
		}
	}
	return made
}

// TestServeSendsPagesAway when it ends, those on a slow link included.
func TestServeSendsPagesAway(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, listener, newMarket(1)) }()
	var pages []*websocket.Conn
	for _, path := range []string{"/ws", "/slow"} {
		ws, _, err := websocket.Dial(t.Context(), "ws://"+listener.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ws.CloseNow()
		if err := ws.Write(t.Context(), websocket.MessageText, []byte("sub:price:ALPHA.AND")); err != nil {
			t.Fatal(err)
		}
		if _, text, err := ws.Read(t.Context()); err != nil || !strings.HasPrefix(string(text), `{"topic":"price:ALPHA.AND","data":"`) {
			t.Fatalf("%s: got %s, %v", path, text, err)
		}
		pages = append(pages, ws)
	}
	end()
	for _, ws := range pages {
		for err = nil; err == nil; {
			_, _, err = ws.Read(t.Context())
		}
		if websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("a page was sent away with %v", err)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("serve returned %v", err)
	}
}

func TestPageAndSymbols(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := open(t)
		for path, want := range map[string]string{
			"/": "text/html; charset=utf-8", "/js/main.js": "text/javascript; charset=utf-8", "/symbols": "application/json",
		} {
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

// BenchmarkPricesThatNobodyWants is what a tick costs without any page. It is due 20 times a second.
func BenchmarkPricesThatNobodyWants(b *testing.B) {
	m := newMarket(1)
	tkws := newInstance(len(m.symbols))
	go tkws.Start()
	defer tkws.Shutdown(context.Background())
	for b.Loop() {
		if err := m.publish(b.Context(), tkws); err != nil {
			b.Fatal(err)
		}
	}
}
