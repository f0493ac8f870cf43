//go:build unix

package client

import (
	"cmp"
	"io"
	"os"
	"sync"
	"syscall"
)

// unblock has a socket not block. None of net's does; but whoever calls Fd of the file that File returns, as middleware may to look at an
// option, makes both block.
func unblock(raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) { failed = syscall.SetNonblock(int(fd), true) })
	return cmp.Or(err, failed)
}

// socket writes to a file descriptor that does not block, see unblock.
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
	n, err := again(rawWrite, fd, a.p)
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

// intake is one wait for what a peer sends.
type intake struct {
	r    *reader
	into []byte // nil: an input, which is taken when something has come
	n    int
	err  error
	read func(fd uintptr) bool // do, made once
}

var intakes = sync.Pool{New: func() any {
	i := &intake{}
	i.read = i.do
	return i
}}

// readSocket reads what has come to a socket, or waits for it.
func (r *reader) readSocket(into []byte) (int, error) {
	i := intakes.Get().(*intake)
	defer intakes.Put(i)
	i.r, i.into = r, into
	err := r.socket.Raw.Read(i.read)
	if i.err != nil {
		err = i.err
	}
	n := i.n
	*i = intake{read: i.read}
	return n, err
}

// do reads what has come, or reports false when nothing has, for net to wait.
func (i *intake) do(fd uintptr) bool {
	into := i.into
	if into == nil {
		i.r.buf = inputs.Get().(*input)[:]
		into = i.r.buf
	}
	n, err := again(syscall.Read, fd, into)
	switch {
	case err == nil && n > 0:
		i.n = n
		return true
	case err == nil:
		i.err = io.EOF
	case err != syscall.EAGAIN:
		i.err = os.NewSyscallError("read", err)
	}
	if i.into == nil {
		i.r.release()
	}
	return i.err != nil
}
