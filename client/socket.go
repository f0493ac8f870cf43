package client

import (
	"net"
	"syscall"
)

// tryWriter is a connection that can be written to without blocking.
type tryWriter interface {
	// TryWrite writes what the connection takes at once, and returns how many bytes that is.
	TryWrite(p []byte) (n int, err error)
}

// rawSocket returns access to the file descriptor of a connection that is nothing but a socket, or nil. What wraps one,
// as TLS does, has to see what is read and written.
func rawSocket(c net.Conn) syscall.RawConn {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
		if raw, err := c.(syscall.Conn).SyscallConn(); err == nil && unblock(raw) == nil {
			return raw
		}
	}
	return nil
}
