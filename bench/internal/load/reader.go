package load

import (
	"errors"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// readBuffer is in bytes. It fits a processor's cache, and takes most of what a socket can have.
const readBuffer = 256 << 10

// events is how many sockets one call of epoll reports.
const events = 512

// read is the fleet's reader. It has a thread of its own, because it does nothing but system calls.
func (f *Fleet) read() {
	runtime.LockOSThread()
	defer close(f.stopped)
	buf := make([]byte, readBuffer)
	ready := make([]syscall.EpollEvent, events)
	for {
		n, err := syscall.EpollWait(f.epoll, ready, -1)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			f.fault(err)
			return
		}
		f.handover.Load()
		for _, e := range ready[:n] {
			if e.Fd >= 0 {
				f.readFrom(f.clients[e.Fd], buf)
			} else if !f.obey() {
				return
			}
		}
		f.tell()
	}
}

// obey runs an order. It returns false when there will be no more.
func (f *Fleet) obey() bool {
	var one [1]byte
	if n, err := syscall.Read(f.wakeup[0], one[:]); n == 0 || err != nil {
		return false
	}
	(<-f.orders)()
	return true
}

// readFrom reads once: who has more will be reported again, and the others get their turn.
func (f *Fleet) readFrom(c *client, buf []byte) {
	if c.gone {
		return
	}
	// A raw call: the socket does not block, so the scheduler need not know.
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(c.fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf))) // #nosec G103 -- the system call takes a pointer
	switch {
	case errno == syscall.EAGAIN, errno == syscall.EINTR:
	case errno != 0:
		c.broken("read: " + errno.Error())
	case n == 0:
		c.broken("the server hung up without a close frame")
	default:
		f.taken += int64(n)
		c.received(buf[:n])
	}
}

// tell adds what was counted to the total, and says so when that is the target.
func (f *Fleet) tell() {
	if f.counted == 0 {
		return
	}
	f.bytes.Add(f.taken)
	total := f.total.Add(f.counted)
	f.counted, f.taken = 0, 0
	if target := f.target.Load(); target >= 0 && total >= target {
		select {
		case f.hit <- time.Now():
		default:
		}
	}
}

// now is the wall clock in Unix nanoseconds, which the publisher on the same machine reads too.
func (f *Fleet) now() int64 { return time.Now().UnixNano() }
