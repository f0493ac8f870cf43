package natsbroker

import (
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// feed is a subscription of the Broker's.
type feed struct {
	subject string // that NATS is asked for
	source  string // that the stream has it from, if it is kept
	name    string
	to      broker.Receiver
	born    uint64       // the last dial before it
	silent  *atomic.Bool // Broker.silent

	// Guarded by Broker.mu.
	sub    *nats.Subscription // nil: not yet
	denied error              // by the server

	// Guarded by queue.mu.
	dropping bool // what came last was dropped

	inForce atomic.Bool // the server has the subscription; only of what is kept
	begun   atomic.Bool // Began was called; stored by the dispatcher

	// The dispatcher's.
	keep  *keep // nil: what is published is not kept
	batch []broker.Message
	told  uint64 // network connection for whose sake Lost was called last; 0: something was delivered since

	mu    sync.Mutex // held while a method of the Receiver runs
	ended bool
}

// deliver hands over what has been gathered.
func (f *feed) deliver() {
	if len(f.batch) == 0 {
		return
	}
	batch := f.batch
	f.batch, f.told = nil, 0
	f.tell(func() { f.to.Deliver(batch) })
}

// tell calls a method of the Receiver, unless none may be called any more.
func (f *feed) tell(call func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended && !f.silent.Load() {
		call()
	}
}

// lose tells of a loss behind what has been gathered.
func (f *feed) lose(cause error) {
	f.deliver()
	f.tell(func() { f.to.Lost(cause) })
}

// over says that Unsubscribe or Close was called.
func (f *feed) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended
}

// end waits for a method of the Receiver that is running. None is called any more.
func (f *feed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
}
