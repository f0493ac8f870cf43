package tank

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
)

// crowd connects so many peers, whose buffers take so many bytes. They do not read.
func crowd(t *testing.T, m *Manager, peers, buffer int) []*memnet.Conn {
	t.Helper()
	l := memnet.Listen()
	server := &http.Server{Handler: m}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	all := make([]*memnet.Conn, peers)
	for i := range all {
		conn, err := l.Dial(buffer)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprintf(conn, "GET /?user_id=%d HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", i)
		if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
			t.Fatal(err)
		}
		all[i] = conn
		synctest.Wait() // the answer is sent before the client is registered
	}
	return all
}

// see lets the supervisor's state be seen.
func see[T any](m *Manager, get func(*supervisor) T) T {
	answer := make(chan T, 1)
	m.supervisor.Post(look(func(s *supervisor) { answer <- get(s) }))
	return <-answer
}

// TestDrainLooksAtEachClientOnce counts looks: with one look at all clients for each batch there are a hundred times as many.
func TestDrainLooksAtEachClientOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, batch = 500, 5
		m := NewInstance(WithDrain(time.Minute, batch))
		go m.Start()
		peers := crowd(t, m, clients, 64<<10)
		s := see(m, func(s *supervisor) *supervisor { return s })
		for _, conn := range peers {
			go func() { // answers the close frame
				io.Copy(io.Discard, io.LimitReader(conn, 4))
				conn.Close()
			}()
		}
		if err := m.Shutdown(t.Context()); err != nil {
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
		m := NewInstance(WithLimits(Limits{CloseTimeout: time.Hour}), WithHeartbeat(2*time.Hour, time.Hour))
		go m.Start()
		defer func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			m.Shutdown(ctx)
		}()
		crowd(t, m, 30, 64<<10)
		all := m.GetAllClients()
		for _, c := range all[:20] {
			c.Close(1000, "")
		}
		step := func(most int) (closing int, left bool) {
			left = see(m, func(s *supervisor) bool {
				drainSome{most: most}.handle(s)
				return s.departures.next() != nil
			})
			synctest.Wait()
			for _, c := range m.GetAllClients() {
				if c.conn.Closing() {
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
		m := NewInstance(WithLimits(Limits{TotalOutboxBytes: 1000}))
		go m.Start()
		defer m.Shutdown(context.Background())
		crowd(t, m, clients, 16)
		if err := m.BroadcastMessage(make([]byte, 2000)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := m.Stats().Evicted; n != clients {
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
		m := NewInstance(WithLimits(Limits{WriteTimeout: time.Hour}))
		go m.Start()
		defer m.Shutdown(context.Background())
		crowd(t, m, clients, 16)
		all := m.GetAllClients()
		for i, c := range all {
			if err := c.Send(Message{Data: make([]byte, 100*(1+i*7%clients))}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		slices.SortFunc(all, func(a, b *Client) int { return int(b.conn.Queued() - a.conn.Queued()) })
		see(m, func(s *supervisor) bool {
			for i, want := range all {
				got := s.candidates.next(s.clients)
				if got != want {
					t.Errorf("client %d has %d queued bytes, want %d", i, got.conn.Queued(), want.conn.Queued())
				}
				got.conn.Evict(errBudget)
			}
			if got := s.candidates.next(s.clients); got != nil {
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
		m := NewInstance(WithLimits(Limits{WriteTimeout: time.Hour}), WithHeartbeat(time.Hour, time.Hour))
		go m.Start()
		defer m.Shutdown(context.Background())
		peers := crowd(t, m, clients, 16)
		all := m.GetAllClients()
		send := func(c *Client, bytes int) {
			if err := c.Send(Message{Data: make([]byte, bytes)}); err != nil {
				t.Fatal(err)
			}
		}
		next := func() *Client {
			synctest.Wait()
			c := see(m, func(s *supervisor) *Client { return s.candidates.next(s.clients) })
			c.conn.Evict(errBudget)
			return c
		}
		for i, c := range all {
			send(c, 10_000+i)
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
			t.Errorf("%v is closed next, and had %d queued bytes", c, c.conn.Queued())
		}
		send(all[3], 50_000)
		time.Sleep(candidacy)
		if c := next(); c != all[3] {
			t.Errorf("%v is closed, although another has more queued bytes", c)
		}
	})
}
