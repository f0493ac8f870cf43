//go:build unix

package client

import (
	"io"
	"os"
	"sync"
	"syscall"
)

// canTry says that the socket of a connection can be read and written without blocking.
const canTry = true

// socket writes to a file descriptor that does not block, as all of net's do not.
type socket struct{ raw syscall.RawConn }

// attempt is one system call: its arguments and what came of it.
type attempt struct {
	p     []byte
	n     int
	err   error
	write func(fd uintptr) bool // do, made once
}

var attempts = sync.Pool{New: func() any {
	a := &attempt{}
	a.write = a.do
	return a
}}

func (s socket) TryWrite(p []byte) (int, error) {
	a := attempts.Get().(*attempt)
	defer attempts.Put(a)
	a.p = p
	err := s.raw.Write(a.write)
	n, failed := a.n, a.err
	a.p, a.n, a.err = nil, 0, nil
	if err != nil { // closed, or past its deadline
		return 0, err
	}
	return n, failed
}

// do reports true in any case: net would wait otherwise.
func (a *attempt) do(fd uintptr) bool {
	n, err := again(syscall.Write, fd, a.p)
	if err == nil {
		a.n = n
	} else if err != syscall.EAGAIN {
		a.err = os.NewSyscallError("write", err)
	}
	return true
}

// again makes a system call until no signal interrupts it.
func again(call func(fd int, p []byte) (int, error), fd uintptr, p []byte) (n int, err error) {
	for {
		if n, err = call(int(fd), p); err != syscall.EINTR {
			return n, err
		}
	}
}

// fill reads what has come, or reports false when nothing has, for net to wait.
func (r *reader) fill(fd uintptr) bool {
	into := r.into
	if into == nil {
		r.input = inputs.Get().(*input)
		into = r.input[:]
	}
	n, err := again(syscall.Read, fd, into)
	switch {
	case err == nil && n > 0:
		r.got = n
		return true
	case err == nil:
		r.err = io.EOF
	case err != syscall.EAGAIN:
		r.err = os.NewSyscallError("read", err)
	}
	if r.into == nil {
		r.release()
	}
	return r.err != nil
}
