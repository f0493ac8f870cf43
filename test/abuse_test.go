package test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// What some clients could do to others by way of the protections, and what could happen to those who mean no harm.

// A client whose memory cannot be had by closing it, because it is being written, costs no other its connection.
func TestBudgetTakesItFromWhoHasIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		clients := map[string]*tank.Client{}
		s := serve(t, tank.WithLimits(tank.Limits{TotalOutboxBytes: 1 << 20}),
			tank.WithMessageHandler(func(c *tank.Client, _ tank.Message) { clients[c.UserID()] = c }))
		connect := func(name string, buffer int) {
			s.connect(handshake{path: "/?user_id=" + name, buffer: buffer}).send("hello")
			synctest.Wait()
		}
		connect("mallory", 16) // who does not read
		for i := range 20 {    // they read slowly, and have next to nothing on their way
			name := fmt.Sprint("good", i)
			connect(name, 100)
			must(t, clients[name].Send(tank.Message{Data: make([]byte, 200), Binary: true}))
		}
		synctest.Wait()
		s.expectNoErrors()
		must(t, clients["mallory"].Send(tank.Message{Data: make([]byte, 1<<20), Binary: true}))
		if e := s.expectError(tank.CodeSlowClient); e.UserID != "mallory" {
			t.Errorf("got %+v", e)
		}
		s.expectNoErrors()
		if got := s.Stats(); got.Evicted != 1 || got.OutboxMemory > 10_000 || got.Clients != 20 {
			t.Errorf("got %+v", got)
		}
	})
}

// Small messages take more memory than their bytes.
func TestBudgetCountsWhatSmallMessagesTake(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		for range 20 {
			s.connect(handshake{path: "/", buffer: 16})
		}
		before := heap()
		for range 50_000 {
			must(t, s.BroadcastMessage([]byte("tick!")))
			synctest.Wait() // or there would be fewer batches
		}
		grown := int64(heap()) - int64(before)
		if held := s.Stats().OutboxMemory; held < grown*3/4 {
			t.Errorf("%d bytes are held by its own account, and %d by the heap's", held, grown)
		}
	})
}

func TestOneUserCannotTakeAllConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithLimits(tank.Limits{Connections: 10, ConnectionsPerUser: 2}),
			tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) { return named(r.URL.Query().Get("user_id"), nil) }))
		for range 100 {
			s.dial("mallory") // who keeps all that he gets, also those that were closed
		}
		if n := s.GetClientCount(); n > 4 {
			t.Errorf("mallory has %d connections", n)
		}
		s.dial("ann").expectNothing()
	})
}

// Pings that were sent at a good pace, but read at once when the handler had time again, are not too many.
func TestPingsBehindASlowHandlerAreNotTooMany(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithHeartbeat(time.Hour, time.Hour), tank.WithMessageHandler(func(*tank.Client, tank.Message) { time.Sleep(40 * time.Second) }))
		p := s.dial("ann")
		p.send("work")
		for range 39 * 5 { // half of what is allowed
			time.Sleep(time.Second / 5)
			p.write(frame(opPing, "x"))
		}
		time.Sleep(5 * time.Second)
		s.expectNoErrors()
		for range 500 { // that is no licence
			p.write(frame(opPing, "x"))
		}
		mustBe(t, s.expectError(tank.CodeLimit), tank.ErrLimit)
	})
}

// A socket may call itself full although its peer reads, if slowly: many bytes are freed at a time.
func TestSlowReaderOfARealSocketIsNotCut(t *testing.T) {
	t.Parallel() // it waits, for the most part
	m, server := overTCP(t, false, tank.WithLimits(tank.Limits{WriteTimeout: time.Second, OutboxBytes: 64 << 20}), tank.WithHeartbeat(time.Hour, time.Hour))
	p := rawTCP(t, server)
	<-m.ConnEvents
	for m.Stats().OutboxMemory < 300<<10 { // the system's buffers are full
		must(t, m.BroadcastMessage(make([]byte, 10<<10)))
	}
	pace := time.NewTicker(50 * time.Millisecond) // much less than the timeout, also on a machine with other work
	defer pace.Stop()
	for range cases(30, 80) { // for 1.5 or 4 times the timeout
		<-pace.C
		if _, err := p.conn.Read(make([]byte, 16<<10)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case e := <-m.Errors:
		t.Fatal(e)
	default:
	}
}

func TestDrainInOneBatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithDrain(time.Hour, math.MaxInt))
		for range 4 {
			go s.dial("").answer()
		}
		began := time.Now()
		must(t, s.Shutdown(context.Background()))
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestDrainEndsWhenAllHaveLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithDrain(time.Hour, 1))
		began := time.Now()
		for range 3 {
			p := s.dial("")
			go p.answer()
			time.AfterFunc(time.Minute, func() { p.conn.Close() })
		}
		must(t, s.Shutdown(context.Background()))
		if took := time.Since(began); took > time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}
