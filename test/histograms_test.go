package test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// bucket returns the one bucket of a histogram that has something in it, as its upper bound, and how much that is.
func bucket(t *testing.T, h tank.Histogram) (bound float64, count uint64) {
	t.Helper()
	if len(h.Counts) != len(h.Bounds)+1 || !slices.IsSorted(h.Bounds) {
		t.Fatalf("histogram is malformed: %+v", h)
	}
	for i, n := range h.Counts {
		if n == 0 {
			continue
		}
		if count > 0 || i == len(h.Bounds) {
			t.Fatalf("got %+v, want one bucket with a bound", h)
		}
		bound, count = h.Bounds[i], n
	}
	return bound, count
}

func TestBatchesAreCountedBySize(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		s.dial("ann").subscribe(s, "news")
		for range 5 {
			must(t, s.BroadcastTopicMessage("news", "x"))
			must(t, s.BroadcastMessage([]byte("to all")))
			synctest.Wait()
		}
		must(t, s.BroadcastTopicMessage("to nobody", "x"))
		h := s.Histograms().BatchMessages
		if bound, count := bucket(t, h); bound != 1 || count != 10 || h.Sum != 10 {
			t.Errorf("got %+v, want 10 batches of 1", h)
		}
		if got := s.Stats().Published; got != 10 {
			t.Errorf("%d messages were published, want 10", got)
		}
	})
}

// TestWriteLatencyIsSampled: a message in 16 is timed, from its publish to the end of its write.
func TestWriteLatencyIsSampled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const messages = 1600
		s := serve(t, tank.WithHeartbeat(time.Hour, time.Minute))
		p := s.connect(handshake{path: "/", buffer: 1})
		p.subscribe(s, "news")
		for range messages {
			must(t, s.BroadcastTopicMessage("news", "x"))
			synctest.Wait()
			time.Sleep(2 * time.Second) // less than the write timeout
			p.expectTopic("news", "x")
			synctest.Wait()
		}
		h := s.Histograms().WriteLatency
		bound, count := bucket(t, h)
		if bound != 2.5 || h.Sum != 2*float64(count) {
			t.Errorf("got %+v, want 2 s for each", h)
		}
		if count < messages/32 || count > messages/8 { // five standard deviations
			t.Errorf("%d of %d messages were looked at, want one in 16", count, messages)
		}
	})
}

// TestWriteLatencyCountsOneSubscriber: that many more subscribers do not make more samples, and each has its turn.
func TestWriteLatencyCountsOneSubscriber(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const messages = 1600
		s := serve(t, tank.WithHeartbeat(time.Hour, time.Minute))
		for range 10 {
			s.dial("").subscribe(s, "news")
		}
		s.connect(handshake{path: "/", buffer: 1}).subscribe(s, "news") // does not read
		for range messages {
			must(t, s.BroadcastTopicMessage("news", ""))
			synctest.Wait()
		}
		h := s.Histograms().WriteLatency
		if _, count := bucket(t, h); count < messages/32 || count > messages/8 {
			t.Errorf("%d of %d messages were looked at, want one in 16", count, messages)
		}
	})
}

func TestOutboxesAreLookedAtOnceInAHeartbeatInterval(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const interval = time.Minute
		s := serve(t, tank.WithHeartbeat(interval, 10*time.Second), tank.WithLimits(tank.Limits{WriteTimeout: time.Hour}))
		for range 3 {
			go answerPings(s.dial(""))
		}
		time.Sleep(10 * interval)
		synctest.Wait()
		h := s.Histograms().OutboxBytes
		if bound, count := bucket(t, h); bound != 0 || count != 30 || h.Sum != 0 {
			t.Errorf("got %+v, want 30 times nothing", h)
		}
		slow := s.connect(handshake{path: "/", buffer: 1})
		slow.subscribe(s, "news")
		const size = 3000
		must(t, s.BroadcastTopicMessage("news", strings.Repeat("x", size-4-len(`{"topic":"news","data":""}`))))
		time.Sleep(interval) // then it is cut
		h = s.Histograms().OutboxBytes
		if h.Sum != size || h.Counts[2] != 1 || h.Bounds[2] != 4096 {
			t.Errorf("got %+v, want %d bytes once", h, size)
		}
	})
}

func answerPings(p *peer) {
	for {
		op, payload, err := p.receive()
		if err != nil || op == opClose {
			p.conn.Close()
			return
		}
		p.write(frame(opPong, payload))
	}
}

func TestRequestsAndBytesAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithLimits(tank.Limits{Connections: 2}), tank.WithUpgrader(tank.Upgrader{EnableCompression: true}))
		p := s.dial("ann")
		p.send("hello")
		p.write(frame(opBinary, "\x00\x01"))
		s.dial("bob")
		for _, header := range []http.Header{nil, {"Origin": {"https://elsewhere.example"}}} {
			if _, resp := s.request(handshake{path: "/", header: header}); resp.StatusCode != http.StatusServiceUnavailable {
				t.Fatalf("answered with %s, want 503", resp.Status)
			}
		}
		p.conn.Close()
		synctest.Wait()
		if _, resp := s.request(handshake{path: "/", header: http.Header{"Origin": {"https://elsewhere.example"}}}); resp.StatusCode != http.StatusForbidden {
			t.Fatalf("answered with %s, want 403", resp.Status)
		}
		synctest.Wait()
		if got := s.Stats(); got.Accepted != 2 || got.Refused != 3 || got.MessagesIn != 2 || got.BytesIn != 7 {
			t.Errorf("got %+v, want 2 accepted, 3 refused, 2 messages and 7 bytes", got)
		}
		squeezed := s.connect(handshake{path: "/", header: http.Header{"Sec-Websocket-Extensions": {"permessage-deflate"}}})
		message := frame(opText, deflate(t, strings.Repeat("x", 1000)))
		message[0] |= 0x40 // RSV1, RFC 7692 section 6
		squeezed.write(message)
		synctest.Wait()
		if got := s.Stats().BytesIn; got != 1007 {
			t.Errorf("%d bytes came in, want 1007", got)
		}
	})
}
