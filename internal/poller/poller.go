// Package poller waits for many sockets at once, so that a connection from which nothing comes needs no goroutine.
//
// A Poller has one descriptor of the kernel's (epoll), in which each socket is armed for one event, and which is itself waited for like any
// connection: by a goroutine, not a thread. That goroutine is an edge. It posts what is ready to an actor, which alone knows the sockets,
// and starts a goroutine for each.
//
//	socket's goroutine --wait--> actor --arms--> kernel --> edge --ready--> actor --> socket's goroutine, a new one
//	whoever closes the socket --release--> actor --> socket's goroutine, a new one
package poller

import (
	"context"
	"iter"
	"sync/atomic"
	"syscall"

	"github.com/fanqie/tank-websocket-go-server/actor"
)

// Owner is told when its socket is worth reading from.
type Owner interface {
	// Readable is called in a goroutine of its own when there is something to read, or the socket has failed or was released, and at
	// times without a reason.
	Readable()
}

// Socket is what a Poller knows of a connection.
type Socket struct {
	// Immutable.
	Raw   syscall.RawConn
	Owner Owner

	// Owned by the poller's actor.
	number   int  // index+1 in sockets, 0 before it is there
	waiting  bool // the owner is to be told
	released bool // it is closed
}

// Poller is the handle of a poller. It is safe for concurrent use.
//
// It has a descriptor and a goroutine while there are sockets that it was given by Wait and not by Forget.
type Poller struct {
	ref     *actor.Ref[message]
	waiting atomic.Int64 // sockets whose owners are to be told. Written by the actor
}

// New makes a Poller, or returns nil where the system has none.
func New() *Poller {
	if !supported {
		return nil
	}
	p := &Poller{}
	l := &lobby{poller: p}
	p.ref = actor.Spawn(actor.Options{Restarts: -1}, l.receive)
	return p
}

// Wait has the owner of a socket told, once, when there is something to read. The caller is the socket's goroutine, and must not touch the
// connection any more: the owner may be told before Wait returns. It never blocks.
func (p *Poller) Wait(s *Socket) { p.ref.Post(wait{s}) }

// Release has the owner told now if it waits, and whenever it waits again. It is for whoever closes the socket, behind that, because the
// kernel says nothing of sockets that are closed. It never blocks.
func (p *Poller) Release(s *Socket) { p.ref.Post(release{s}) }

// Forget ends what Wait has begun. The caller is the socket's goroutine, which has not called Wait since its owner was told. It waits for
// the actor, and, behind the last socket, for the end of the poller's goroutine.
func (p *Poller) Forget(s *Socket) {
	ended, _ := actor.Call(context.Background(), p.ref, func(r actor.Request[<-chan struct{}]) message { return forget{r, s} })
	if ended != nil {
		<-ended
	}
}

// Waiting returns for how many sockets it waits. It never blocks.
func (p *Poller) Waiting() int { return int(p.waiting.Load()) }

// message is what the actor understands.
type message interface{ handle(*lobby) }

type (
	wait    struct{ *Socket }
	release struct{ *Socket }
	forget  struct { // answered with what is closed when the poller's goroutine has ended, or nil when it goes on
		actor.Request[<-chan struct{}]
		*Socket
	}
	ready struct { // from the edge
		from    *epoll
		numbers []int32
	}
	ended struct{ from *epoll } // from the edge, which something has kept from going on
)

// lobby is the actor's state: the sockets, each at its number. All its methods run in the actor.
type lobby struct {
	poller  *Poller
	kernel  *epoll // nil: there are no sockets
	sockets []*Socket
	free    []int // numbers
}

func (l *lobby) receive(mail iter.Seq[message]) {
	for m := range mail {
		m.handle(l)
	}
}

func (m wait) handle(l *lobby) {
	s := m.Socket
	s.waiting = true
	l.poller.waiting.Add(1)
	if s.released || l.arm(s) != nil {
		l.tell(s)
	}
}

// arm has the kernel look at a socket.
func (l *lobby) arm(s *Socket) error {
	if l.kernel == nil {
		k, err := newEpoll(l.poller.ref)
		if err != nil {
			return err
		}
		l.kernel = k
	}
	if s.number > 0 {
		return l.kernel.arm(s, false)
	}
	if n := len(l.free); n > 0 {
		s.number = l.free[n-1]
		l.free = l.free[:n-1]
		l.sockets[s.number-1] = s
	} else {
		l.sockets = append(l.sockets, s)
		s.number = len(l.sockets)
	}
	err := l.kernel.arm(s, true)
	if err != nil { // it is not there, and the next time is the first
		l.drop(s)
	}
	return err
}

// drop takes a socket's number away, if it has one.
func (l *lobby) drop(s *Socket) {
	if s.number > 0 {
		l.sockets[s.number-1] = nil
		l.free = append(l.free, s.number)
		s.number = 0
	}
}

// tell tells a socket's owner that it need not wait any more, if it does.
func (l *lobby) tell(s *Socket) {
	if s.waiting {
		s.waiting = false
		l.poller.waiting.Add(-1)
		go s.Owner.Readable()
	}
}

func (m release) handle(l *lobby) {
	m.released = true
	l.tell(m.Socket)
}

func (m ready) handle(l *lobby) {
	if m.from != l.kernel {
		return // its sockets are forgotten
	}
	for _, n := range m.numbers {
		if s := l.sockets[n-1]; s != nil { // it may be another one by now, whose owner looks for nothing
			l.tell(s)
		}
	}
}

func (m forget) handle(l *lobby) {
	l.drop(m.Socket)
	if l.kernel == nil || len(l.free) < len(l.sockets) {
		m.Reply(nil)
		return
	}
	m.Reply(l.end())
}

func (m ended) handle(l *lobby) {
	if m.from != l.kernel {
		return
	}
	for _, s := range l.sockets {
		if s != nil {
			s.number = 0
			l.tell(s)
		}
	}
	l.end()
}

// end gives up the kernel's descriptor. The next socket that waits gets another one.
func (l *lobby) end() <-chan struct{} {
	ended := l.kernel.close()
	l.kernel, l.sockets, l.free = nil, nil, nil
	return ended
}
