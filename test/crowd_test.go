package test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// member is one of many clients, who reads on its own and notes what has come.
type member struct {
	*peer
	run    []int         // the numbers of the messages received
	closed int           // the code of the close frame received; 0: none
	ended  chan struct{} // closed when nothing more will come
}

// crowd connects n clients that subscribe to a topic. Those whom freeze names do not read.
func (s *server) crowd(n int, topic string, freeze func(i int) bool) []*member {
	s.t.Helper()
	members := make([]*member, n)
	for i := range members {
		p, resp := s.request(handshake{path: fmt.Sprint("/?user_id=u", i), buffer: 8 << 10})
		if resp.StatusCode != 101 {
			s.t.Fatalf("client %d is answered with %s", i, resp.Status)
		}
		m := &member{peer: p, ended: make(chan struct{})}
		m.send("sub:" + topic)
		if !freeze(i) {
			go m.read()
		}
		members[i] = m
	}
	synctest.Wait()
	if got := s.GetTopicSubscriberCount(topic); got != n {
		s.t.Fatalf("%d of %d clients are subscribed", got, n)
	}
	return members
}

// read is the life of a client in good health.
func (m *member) read() {
	defer close(m.ended)
	for {
		op, payload, err := m.receive()
		switch {
		case err != nil:
			return
		case op == opPing:
			m.write(frame(opPong, payload))
		case op == opClose:
			m.closed = int(payload[0])<<8 | int(payload[1])
			m.write(frame(opClose, payload))
		default:
			var msg struct{ Data string }
			json.Unmarshal([]byte(payload), &msg)
			number, _, _ := strings.Cut(msg.Data, " ")
			n, err := strconv.Atoi(number)
			if err != nil {
				m.t.Errorf("got %q", payload)
			}
			m.run = append(m.run, n)
		}
	}
}

// expectRun fails the test unless exactly the messages from 0 to n-1 have come, in order.
func (m *member) expectRun(n int) {
	m.t.Helper()
	if len(m.run) != n {
		m.t.Fatalf("%d messages came, want %d", len(m.run), n)
	}
	for i, got := range m.run {
		if got != i {
			m.t.Fatalf("message %d came in place of %d", got, i)
		}
	}
}

// padded is message n of a stream, in about a kilobyte.
func padded(n int) string { return fmt.Sprint(n, " ", strings.Repeat("x", 1000)) }

// A fifth of all clients stop reading: they are closed, and the others get everything, while memory stays bounded.
func TestManyClientsThatStopReading(t *testing.T) {
	bubble(t, func(t *testing.T) {
		clients := cases(500, 5000)
		const messages, outbox = 80, 32 << 10
		s := serve(t, tank.WithLimits(tank.Limits{OutboxBytes: outbox}), tank.WithHeartbeat(time.Hour, time.Hour))
		frozen := func(i int) bool { return i%5 == 0 }
		members := s.crowd(clients, "news", frozen)
		before, most := heap(), int64(0)
		for i := range messages {
			must(t, s.BroadcastTopicMessage("news", padded(i)))
			synctest.Wait()
			most = max(most, s.Stats().OutboxMemory)
		}
		if grown := int64(heap()) - int64(before); grown > 64<<20 { // what the peers have received and note, for the most part
			t.Errorf("the heap has grown by %d MiB", grown>>20)
		}
		if most > 512<<10 { // the same messages are shared by all who wait for them, but for a few bytes each
			t.Errorf("%d bytes were held for those who do not read", most)
		}
		if got := s.Stats(); got.Evicted != uint64(clients/5) {
			t.Errorf("%d clients were evicted, want %d", got.Evicted, clients/5)
		}
		time.Sleep(time.Minute)
		if n := s.GetClientCount(); n != clients*4/5 {
			t.Errorf("%d clients are left, want %d", n, clients*4/5)
		}
		must(t, s.Shutdown(within(t, time.Minute)))
		for i, m := range members {
			if frozen(i) {
				continue
			}
			<-m.ended
			if m.expectRun(messages); m.closed != 1001 {
				t.Fatalf("client %d was closed with %d", i, m.closed)
			}
		}
	})
}

// Shutdown in a storm: some clients are frozen, some have stopped in mid frame, and publishers go on until they are told.
func TestShutdownInAStorm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const publishers = 4
		clients := cases(1000, 5000)
		s := serve(t, tank.WithHeartbeat(time.Hour, time.Hour), tank.WithLimits(tank.Limits{CloseTimeout: time.Hour}))
		frozen := func(i int) bool { return i%10 == 0 }
		stuck := func(i int) bool { return i%10 == 1 }
		members := s.crowd(clients, "news", frozen)
		for i, m := range members {
			if stuck(i) {
				m.write([]byte{0x81, 0xfe, 0x10})
			}
		}
		for i := range 20 {
			must(t, s.BroadcastTopicMessage("news", padded(i)))
		}
		published := make(chan int, publishers)
		for range publishers { // these go on while it shuts down
			go func() {
				n := 0
				for s.BroadcastTopicMessage("noise", "x") == nil {
					n++
					time.Sleep(time.Millisecond)
				}
				published <- n
			}()
		}
		synctest.Wait()
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		mustBe(t, s.Shutdown(ctx), context.DeadlineExceeded)
		if took := time.Since(began); took > 2500*time.Millisecond {
			t.Errorf("it took %v, with a context of 2 s", took)
		}
		for range publishers {
			if n := <-published; n == 0 {
				t.Error("a publisher has published nothing")
			}
		}
		for i, m := range members {
			m.conn.Close() // those who were stuck have been hung up on
			if frozen(i) {
				continue
			}
			<-m.ended
			if m.expectRun(20); m.closed != 1001 {
				t.Fatalf("client %d was closed with %d", i, m.closed)
			}
		}
	})
}
