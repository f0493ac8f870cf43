package test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// A small message that comes behind a large one takes the memory of a small message, and Stats counts what is taken.
func TestOutboxesCountTheMemoryTheyKeep(t *testing.T) {
	const topics, large = 200, 150 << 10
	for name, opts := range map[string][]tank.Option{
		"plain":    nil,
		"deflated": {tank.WithCompression(1, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				limits := tank.WithLimits(tank.Limits{Subscriptions: topics, OutboxBytes: 8 << 20, MessageBurst: 1000, WriteTimeout: time.Hour})
				s := serve(t, append(opts, limits, tank.WithHeartbeat(time.Hour, time.Hour))...)
				h := handshake{path: "/", buffer: 1 << 10}
				if opts != nil {
					h.header = map[string][]string{"Sec-Websocket-Extensions": {"permessage-deflate"}}
				}
				p := s.connect(h)
				name := func(i int) string { return fmt.Sprint("topic", i) }
				for i := range topics {
					p.send("sub:" + name(i))
				}
				synctest.Wait()
				for i := range topics {
					must(t, s.BroadcastTopicMessage(name(i), incompressible(large)))
					p.skipLarge()
				}
				must(t, s.BroadcastMessage([]byte(incompressible(64<<10)))) // which nobody reads
				synctest.Wait()
				before := heap()
				for range 10 {
					for i := range topics {
						must(t, s.BroadcastTopicMessage(name(i), "tiny"))
						synctest.Wait() // or there would be fewer batches
					}
				}
				grown, held := int64(heap())-int64(before), s.Stats().OutboxMemory-64<<10
				if grown > 4<<20 || held < grown*3/4 {
					t.Errorf("the heap has grown by %d bytes, of which %d are accounted for", grown, held)
				}
			})
		})
	}
}

// A part of a batch keeps all of its memory: what is left of it when messages were dropped counts that, once for all clients.
func TestOutboxesCountWhatPartsKeep(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const clients, limit = 50, 100 << 10
		s := serve(t, tank.WithOutboxPolicy(tank.OutboxDropOldest), tank.WithLimits(tank.Limits{OutboxBytes: limit, WriteTimeout: time.Hour}),
			tank.WithHeartbeat(time.Hour, time.Hour))
		for range clients {
			s.connect(handshake{path: "/", buffer: 16})
		}
		must(t, s.BroadcastMessage(make([]byte, 100)))
		synctest.Wait()
		before := heap()
		for range 300 { // in one batch, of which clients keep the last messages
			must(t, s.BroadcastMessage(make([]byte, 400)))
		}
		synctest.Wait()
		for range 50 {
			must(t, s.BroadcastMessage(make([]byte, 400)))
			synctest.Wait()
		}
		grown, held := int64(heap())-int64(before), s.Stats().OutboxMemory
		if held < grown*3/4 || held > 2*grown+limit {
			t.Errorf("the heap has grown by %d bytes, of which %d are accounted for", grown, held)
		}
	})
}

// skipLarge reads a frame of 64 KiB or more, compressed or not.
func (p *peer) skipLarge() {
	p.t.Helper()
	if f, err := p.conn.ReadFrame(); err != nil || len(f.Payload) < 64<<10 {
		p.t.Fatalf("got a frame of %d bytes, %v", len(f.Payload), err)
	}
}

// incompressible is text that does not get shorter.
func incompressible(n int) string {
	var b strings.Builder
	for x := uint32(1); b.Len() < n; x = x*1664525 + 1013904223 {
		b.WriteByte(" !#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~"[x>>24%92])
	}
	return b.String()
}
