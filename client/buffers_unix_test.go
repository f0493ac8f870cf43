//go:build unix

package client_test

import "syscall"

// withSmallBuffers makes the receive buffer of a peer's socket, and its segments, as small as those of a slow link.
func withSmallBuffers(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 8<<10)
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1000)
	})
}
