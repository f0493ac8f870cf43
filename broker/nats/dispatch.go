package natsbroker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

const (
	// incoming is how many messages NATS may be ahead of the goroutine that takes them, which never waits. A read from the network
	// brings 32 KiB, which are fewer than half as many: each has a line of 12 bytes or more.
	incoming = 8192
	// maxBatch is how many messages a Receiver gets at once.
	maxBatch = 1024
)

// Causes that Receivers are told.
var (
	errSlow        = errors.New("natsbroker: messages were dropped, because they came faster than they were taken")
	errInterrupted = errors.New("natsbroker: the connection was interrupted")
)

// read moves messages from NATS to the queue.
func (b *Broker) read() {
	for {
		if len(b.in) == 0 {
			select {
			case b.room <- struct{}{}:
			default:
			}
		}
		select {
		case m := <-b.in:
			if m.Sub == nil {
				b.queue.putCut(binary.BigEndian.Uint64(m.Data))
				continue
			}
			b.mu.RLock()
			f := b.bySub[m.Sub]
			b.mu.RUnlock()
			if f != nil {
				b.queue.put(f, m.Data)
			}
		case <-b.stop:
			return
		}
	}
}

// awaitRoom is called before NATS reads from the network. It waits for read, if that is behind.
func (b *Broker) awaitRoom() {
	for len(b.in) > incoming/2 {
		select {
		case <-b.room:
		case <-b.stop:
			return
		}
	}
}

// putCut puts a mark behind what came from the last network connection, and before what comes from the next.
func (b *Broker) putCut(id uint64) {
	select {
	case b.in <- &nats.Msg{Data: binary.BigEndian.AppendUint64(nil, id)}:
	case <-b.stop:
	}
}

// dispatch calls the Receivers.
func (b *Broker) dispatch() {
	var entries []entry
	var touched []*feed
	deliver := func() {
		for _, f := range touched {
			f.deliver()
		}
		clear(touched)
		touched = touched[:0]
	}
	for {
		select {
		case <-b.queue.wake:
		case <-b.stop:
			return
		}
		entries = b.queue.take(entries)
		for _, e := range entries {
			switch {
			case e.cut != 0:
				deliver()
				if !b.interrupt(e.cut) {
					return
				}
			case e.lost != nil:
				e.feed.lose(e.lost)
			default:
				p, err := decode(e.data)
				if err != nil {
					e.feed.lose(fmt.Errorf("%w; it was published to %q", err, e.feed.subject))
					continue
				}
				if len(e.feed.batch) == 0 {
					touched = append(touched, e.feed)
				}
				e.feed.batch = append(e.feed.batch, broker.Message{Publication: p})
				if len(e.feed.batch) == maxBatch {
					e.feed.deliver()
				}
			}
		}
		deliver()
		clear(entries)
	}
}

// interrupt waits until subscriptions are in force again, and tells all of the gap before anything from the new network connection is
// delivered. It returns false when the Broker is closed.
func (b *Broker) interrupt(id uint64) bool {
	now, ok := b.gate.wait(id)
	if !ok {
		return false
	}
	b.mu.RLock()
	feeds := slices.Collect(maps.Values(b.feeds))
	b.mu.RUnlock()
	feeds = slices.DeleteFunc(feeds, func(f *feed) bool {
		return f.born >= id || f.told >= id // it is younger than the gap, or has been told of it
	})
	for _, f := range feeds {
		f.lose(errInterrupted)
		f.told = now
	}
	b.gate.pass(id)
	return true
}

// gate holds the dispatcher back at the end of a network connection.
type gate struct {
	mu       sync.Mutex
	changed  sync.Cond
	open     uint64 // network connection that has all subscriptions in force
	passed   uint64 // dial before whose mark all has been dispatched
	isClosed bool
}

func newGate() *gate {
	g := new(gate)
	g.changed.L = &g.mu
	return g
}

// wait returns once a network connection as young as id has all subscriptions in force; false: the gate was closed.
func (g *gate) wait(id uint64) (open uint64, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.open < id && !g.isClosed {
		g.changed.Wait()
	}
	return g.open, !g.isClosed
}

func (g *gate) pass(id uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.passed = id
	g.changed.Broadcast()
}

// let opens the gate for a network connection, and returns once all have been told who have to be.
func (g *gate) let(open, cut uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = open
	g.changed.Broadcast()
	for g.passed < cut && !g.isClosed {
		g.changed.Wait()
	}
	return !g.isClosed
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isClosed = true
	g.changed.Broadcast()
}
