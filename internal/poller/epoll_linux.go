package poller

import (
	"os"
	"sync/atomic"
	"syscall"

	"github.com/fanqie/tank-websocket-go-server/actor"
)

const supported = true

// readable is what a socket is armed for: something to read, or the peer's end of its bytes, once.
const readable = syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT

// maxEvents is how many sockets are told of at a time.
const maxEvents = 128

// epoll is a descriptor of the kernel's that waits for sockets, see epoll(7).
type epoll struct {
	// Immutable.
	fd    int
	file  *os.File // of fd, for Go to wait for it
	ended chan struct{}
	ref   *actor.Ref[message]

	closed atomic.Bool // the edge is to end

	// Owned by the actor: what do is to do, and what came of it.
	op      int
	event   syscall.EpollEvent
	failed  error
	control func(fd uintptr) // do, made once
}

func newEpoll(ref *actor.Ref[message]) (*epoll, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // or Go would wait for it with a thread
		_ = syscall.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	e := &epoll{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), ended: make(chan struct{}), ref: ref} // #nosec G115 -- a descriptor is not negative
	e.control = e.do
	raw, err := e.file.SyscallConn()
	if err != nil {
		_ = e.file.Close()
		return nil, err
	}
	go e.run(raw)
	return e, nil
}

// close ends it, and returns what is closed when its goroutine has ended. The actor calls it.
func (e *epoll) close() <-chan struct{} {
	e.closed.Store(true)
	_ = e.file.Close()
	return e.ended
}

// arm has a socket waited for. The actor calls it.
func (e *epoll) arm(s *Socket, first bool) error {
	e.op = syscall.EPOLL_CTL_MOD
	if first {
		e.op = syscall.EPOLL_CTL_ADD
	}
	e.event = syscall.EpollEvent{Events: readable, Fd: int32(s.number)} // #nosec G115 -- there are not so many descriptors
	if err := s.Raw.Control(e.control); err != nil {
		return err
	}
	return e.failed
}

// do makes the system call of arm. A closure for each would be allocated.
func (e *epoll) do(fd uintptr) {
	e.failed = os.NewSyscallError("epoll_ctl", syscall.EpollCtl(e.fd, e.op, int(fd), &e.event)) // #nosec G115 -- it is a descriptor
}

// run is the edge.
func (e *epoll) run(raw syscall.RawConn) {
	defer close(e.ended)
	var events [maxEvents]syscall.EpollEvent
	n := 0
	look := func(fd uintptr) bool {
		var err error
		n, err = syscall.EpollWait(int(fd), events[:], 0) // #nosec G115 -- it is a descriptor
		return n > 0 || err != nil
	}
	for raw.Read(look) == nil && n > 0 { // else it is closed, or a signal came, or the system has no room to wait for it
		numbers := make([]int32, n)
		for i, event := range events[:n] {
			numbers[i] = event.Fd
		}
		e.ref.Post(ready{e, numbers})
	}
	if !e.closed.Load() {
		e.ref.Post(ended{e})
	}
}
