package natsbroker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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
			b.sort(m)
		case <-b.stop:
			return
		}
	}
}

// sort puts into the queue what comes from NATS, and the marks between.
func (b *Broker) sort(m *nats.Msg) {
	if m.Sub == nil {
		if m.Subject == resultMark {
			r := b.keeper.take()
			b.queue.putDo(func() { b.dispatcher.checked(r) })
		} else {
			b.queue.putCut(binary.BigEndian.Uint64(m.Data))
		}
		return
	}
	b.mu.RLock()
	f := b.bySub[m.Sub]
	b.mu.RUnlock()
	switch {
	case f == nil:
		if b.keeper != nil {
			b.keeper.hinted(m.Sub)
		}
	case f.keep != nil:
		b.queue.put(f, b.keeper.fromStream(m))
	default:
		b.queue.put(f, message{data: m.Data})
	}
}

// fromStream reads what the stream says of a message. Without a sequence, it is not from the stream.
func (k *keeper) fromStream(m *nats.Msg) message {
	one := message{data: m.Data}
	if fromServer(m.Header, jetstream.StreamHeader) != k.name {
		return one
	}
	one.seq, _ = parseSeq(fromServer(m.Header, jetstream.SequenceHeader))
	one.pred, _ = parseSeq(fromServer(m.Header, jetstream.LastSequenceHeader))
	if at, err := time.Parse(time.RFC3339Nano, fromServer(m.Header, jetstream.TimeStampHeaer)); err == nil {
		one.time = at.UnixNano()
	}
	return one
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

// dispatcher calls the Receivers, from one goroutine.
type dispatcher struct {
	b       *Broker
	touched []*feed // that have a batch

	// For what is kept.
	keeper  *keeper
	age     time.Duration
	epoch   string             // as of the last check; "": there was none
	made    time.Time          // when that stream was
	epochs  map[string]bool    // that there were
	waiting map[*feed]struct{} // those that suspect that the stream is another one
	fills   []*feed            // that wait for an edge
	running int                // edges
	held    int                // bytes held back, by all feeds
	maxHeld int
}

func newDispatcher(b *Broker) *dispatcher {
	return &dispatcher{b: b, keeper: b.keeper, age: b.options.Stream.Age, waiting: make(map[*feed]struct{}), epochs: make(map[string]bool), maxHeld: b.options.MaxPendingBytes}
}

func (d *dispatcher) run() {
	var entries []entry
	for {
		select {
		case <-d.b.queue.wake:
		case <-d.b.stop:
			return
		}
		entries = d.b.queue.take(entries)
		for _, e := range entries {
			if !d.handle(e) {
				return
			}
		}
		d.deliver()
		clear(entries)
	}
}

// handle returns false when the Broker is closed.
func (d *dispatcher) handle(e entry) bool {
	switch {
	case e.do != nil:
		e.do()
	case e.cut != 0:
		d.deliver()
		return d.interrupt(e.cut)
	case e.lost != nil && e.feed.keep != nil:
		d.dropped(e.feed)
	case e.lost != nil:
		e.feed.lose(e.lost)
	case e.feed.keep != nil:
		d.arrive(e.feed, e.message)
	default:
		p, err := decode(e.data)
		if err != nil {
			e.feed.lose(fmt.Errorf("%w; it was published to %q", err, e.feed.subject))
			break
		}
		d.add(e.feed, broker.Message{Publication: p})
	}
	return true
}

// add has a message delivered soon, with others.
func (d *dispatcher) add(f *feed, m broker.Message) {
	if len(f.batch) == 0 {
		d.touched = append(d.touched, f)
	}
	f.batch = append(f.batch, m)
	if len(f.batch) == maxBatch {
		f.deliver()
	}
}

// deliver delivers all that was added.
func (d *dispatcher) deliver() {
	for _, f := range d.touched {
		f.deliver()
	}
	clear(d.touched)
	d.touched = d.touched[:0]
}

// feedsThat returns those that are something.
func (b *Broker) feedsThat(are func(*feed) bool) []*feed {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var list []*feed
	for _, f := range b.feeds {
		if are(f) {
			list = append(list, f)
		}
	}
	return list
}

// kept returns the feeds of what is kept.
func (d *dispatcher) kept() []*feed {
	return d.b.feedsThat(func(f *feed) bool { return f.keep != nil })
}

// interrupt waits until subscriptions are in force again, and tells all of the gap before anything from the new network connection is
// delivered. What is kept is compared with the stream instead. It returns false when the Broker is closed.
func (d *dispatcher) interrupt(id uint64) bool {
	b := d.b
	now, ok := b.gate.wait(id)
	if !ok {
		return false
	}
	if b.keeper != nil {
		d.cut(d.kept())
	}
	for _, f := range b.feedsThat(func(f *feed) bool {
		return f.keep == nil && f.born < id && f.told < id // else it is younger than the gap, or has been told of it
	}) {
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
