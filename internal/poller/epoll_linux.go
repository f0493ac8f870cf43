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

// waiting is a descriptor of the kernel's that waits for sockets.
type waiting struct {
	// Immutable.
	fd    int
	file  *os.File // of fd, for Go to wait for it
	ended chan struct{}
	ref   *actor.Ref[message]

	closed atomic.Bool // the edge is to end

	// Owned by the actor.
	arming  syscall.EpollEvent
	op      int
	failed  error
	control func(fd uintptr) // do, made once
}

func newWaiting(ref *actor.Ref[message]) (*waiting, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // or Go would wait for it with a thread
		_ = syscall.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	w := &waiting{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), ended: make(chan struct{}), ref: ref} // #nosec G115 -- a descriptor is not negative
	w.control = w.do
	raw, err := w.file.SyscallConn()
	if err != nil {
		_ = w.file.Close()
		return nil, err
	}
	go w.run(raw)
	return w, nil
}

// close ends it, and returns what is closed when its goroutine has ended. The actor calls it.
func (w *waiting) close() <-chan struct{} {
	w.closed.Store(true)
	_ = w.file.Close()
	return w.ended
}

// arm has a socket waited for. The actor calls it.
func (w *waiting) arm(s *Socket, first bool) error {
	w.op = syscall.EPOLL_CTL_MOD
	if first {
		w.op = syscall.EPOLL_CTL_ADD
	}
	w.arming = syscall.EpollEvent{Events: readable, Fd: int32(s.number)} // #nosec G115 -- there are not so many descriptors
	if err := s.Raw.Control(w.control); err != nil {
		return err
	}
	return w.failed
}

func (w *waiting) do(fd uintptr) {
	w.failed = os.NewSyscallError("epoll_ctl", syscall.EpollCtl(w.fd, w.op, int(fd), &w.arming)) // #nosec G115 -- it is a descriptor
}

// run is the edge.
func (w *waiting) run(raw syscall.RawConn) {
	defer close(w.ended)
	var events [maxEvents]syscall.EpollEvent
	n := 0
	look := func(fd uintptr) bool {
		var err error
		n, err = syscall.EpollWait(int(fd), events[:], 0) // #nosec G115 -- it is a descriptor
		return n > 0 || err != nil
	}
	for raw.Read(look) == nil && n > 0 { // else it is closed, or a signal came, or the system has no room to wait for it
		numbers := make([]int32, n)
		for i, e := range events[:n] {
			numbers[i] = e.Fd
		}
		w.ref.Post(ready{w, numbers})
	}
	if !w.closed.Load() {
		w.ref.Post(ended{w})
	}
}
