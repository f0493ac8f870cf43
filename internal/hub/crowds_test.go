package hub

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// crowd connects so many peers, whose buffers take so many bytes. They do not read.
func crowd(t *testing.T, x *instance, peers, buffer int) []*memnet.Conn {
	t.Helper()
	l := serveHTTP(t, x)
	all := make([]*memnet.Conn, peers)
	for i := range all {
		all[i] = dial(t, l, fmt.Sprint(i), buffer)
	}
	return all
}

// TestDrainLooksAtEachClientOnce counts looks: with one look at all clients for each batch there are a hundred times as many.
func TestDrainLooksAtEachClientOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, batch = 500, 5
		m := start(t, func(c *Config, _ *client.Options) { c.DrainWindow, c.DrainBatch = time.Minute, batch })
		peers := crowd(t, m, clients, 64<<10)
		s := see(m, func(s *supervisor) *supervisor { return s })
		for _, conn := range peers {
			go func() { // answers the close frame
				io.Copy(io.Discard, io.LimitReader(conn, 4))
				conn.Close()
			}()
		}
		if err := m.shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		looked := s.departures.looked // it has ended
		if most := clients + 2*clients/batch; looked > most || looked < clients {
			t.Errorf("clients were looked at %d times, want %d to %d", looked, clients, most)
		}
	})
}

// A batch has as many clients as it should, although others are being closed already, and who comes late is drained as well.
func TestDrainPassesOverClientsThatAreClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := start(t, func(c *Config, o *client.Options) {
			c.HeartbeatInterval, o.CloseTimeout = 2*time.Hour, time.Hour
		})
		crowd(t, m, 30, 64<<10)
		all := m.all()
		for _, c := range all[:20] {
			c.Client.Close(wire.Close{Code: 1000})
		}
		step := func(most int) (closing int, left bool) {
			left = see(m, func(s *supervisor) bool {
				drainSome{most: most}.handle(s)
				return s.departures.next() != nil
			})
			synctest.Wait()
			for _, c := range m.all() {
				if c.Client.Closing() {
					closing++
				}
			}
			return closing, left
		}
		if closing, left := step(4); closing != 24 || !left {
			t.Fatalf("%d are closing, and %v are left", closing, left)
		}
		crowd(t, m, 3, 64<<10) // late
		if closing, left := step(6); closing != 30 || !left {
			t.Fatalf("%d are closing, and %v are left", closing, left)
		}
		if closing, left := step(6); closing != 33 || left {
			t.Fatalf("%d are closing, and %v are left", closing, left)
		}
		if closing, left := step(6); closing != 33 || left {
			t.Fatalf("%d are closing, and %v are left", closing, left)
		}
	})
}

// TestEvictionsShareALookAtAllClients lets every client wait for the same message, so that all have to be closed.
func TestEvictionsShareALookAtAllClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients = 500
		m := start(t, func(c *Config, _ *client.Options) { c.TotalOutboxBytes = 1000 })
		crowd(t, m, clients, 16)
		m.publish(t, Broadcast, string(make([]byte, 2000)))
		synctest.Wait()
		if n := m.options.Counters.Evicted.Load(); n != clients {
			t.Fatalf("%d clients were closed", n)
		}
		looked := see(m, func(s *supervisor) int { return s.candidates.looked })
		if most := (clients/maxCandidates + 2) * clients; looked > most {
			t.Errorf("clients were looked at %d times, want %d at most", looked, most)
		}
	})
}

// TestEvictionsBeginWithTheLargest compares the order with that of the queued bytes.
func TestEvictionsBeginWithTheLargest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients = 3 * maxCandidates
		m := start(t, func(_ *Config, o *client.Options) { o.WriteTimeout = time.Hour })
		crowd(t, m, clients, 16)
		all := m.all()
		for i, c := range all {
			send(t, c, 100*(1+i*7%clients))
		}
		synctest.Wait()
		slices.SortFunc(all, func(a, b *Session) int { return int(b.Client.Queued() - a.Client.Queued()) })
		see(m, func(s *supervisor) bool {
			for i, want := range all {
				got := s.candidates.next(s.sessions)
				if got != want {
					t.Errorf("client %d has %d queued bytes, want %d", i, got.Client.Queued(), want.Client.Queued())
				}
				got.Client.Evict(errBudget)
				for !got.Client.IsEmptied() { // as the supervisor awaits
					runtime.Gosched()
				}
			}
			if got := s.candidates.next(s.sessions); got != nil {
				t.Errorf("%v is still a candidate", got)
			}
			return true
		})
	})
}

// A client that has been a candidate and has little left is spared, and so is one that was found too long ago.
func TestCandidatesAreLookedAtAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients = 3 * maxCandidates
		m := start(t, func(_ *Config, o *client.Options) { o.WriteTimeout = time.Hour })
		peers := crowd(t, m, clients, 16)
		all := m.all()
		next := func() *Session {
			synctest.Wait()
			c := see(m, func(s *supervisor) *Session { return s.candidates.next(s.sessions) })
			c.Client.Evict(errBudget)
			return c
		}
		for i, c := range all {
			send(t, c, 10_000+i)
		}
		if c := next(); c != all[clients-1] {
			t.Errorf("%v is closed first", c)
		}
		for i := clients - maxCandidates; i < clients; i++ { // all candidates read
			go func() {
				for {
					if _, err := peers[i].Read(make([]byte, 4<<10)); err != nil {
						return
					}
				}
			}()
		}
		if c := next(); c != all[clients-maxCandidates-1] {
			t.Errorf("%v is closed next, and had %d queued bytes", c, c.Client.Queued())
		}
		send(t, all[3], 50_000)
		time.Sleep(candidacy)
		if c := next(); c != all[3] {
			t.Errorf("%v is closed, although another has more queued bytes", c)
		}
	})
}

// While a session is being closed for the budget, another call does not close a second one.
func TestOneSessionIsEvictedAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := start(t, func(c *Config, _ *client.Options) { c.TotalOutboxBytes = 300 << 10 })
		crowd(t, m, 3, 1<<10)
		for _, c := range m.all() {
			send(t, c, 90<<10)
		}
		synctest.Wait()
		send(t, m.all()[0], 90<<10)
		see(m, func(s *supervisor) int {
			for range 10 {
				overBudget{}.handle(s)
			}
			return 0
		})
		synctest.Wait()
		if n := m.options.Counters.Evicted.Load(); n != 1 {
			t.Errorf("%d sessions were evicted, want 1", n)
		}
		m.shutdown(t.Context())
	})
}

// A session that is gone is kept by nobody, also when it was a candidate for being closed over the budget.
func TestCandidatesKeepNoSessionThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, func(c *Config, o *client.Options) {
			c.TotalOutboxBytes = 100_000
			o.WriteTimeout, o.CloseTimeout = time.Minute, time.Second
		})
		l := serveHTTP(t, x)
		var conns []*memnet.Conn
		for range 10 {
			conns = append(conns, dial(t, l, "ann", 16))
		}
		for _, s := range x.all() {
			send(t, s, 10_500)
		}
		synctest.Wait()
		if n := x.options.Counters.Evicted.Load(); n != 1 {
			t.Fatalf("%d were evicted", n)
		}
		for _, c := range conns {
			c.Close()
		}
		time.Sleep(time.Hour)
		if n := x.Sessions(); n != 0 {
			t.Fatalf("%d sessions are left", n)
		}
		if kept := see(x, func(s *supervisor) int { return len(s.candidates.list) }); kept != 0 {
			t.Errorf("%d sessions that are gone are kept as candidates, an hour later", kept)
		}
	})
}
