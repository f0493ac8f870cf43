//go:build unix && (!linux || 386)

package client

import "syscall"

// tryWrite writes to a socket that does not block.
func tryWrite(fd int, p []byte) (int, error) { return syscall.Write(fd, p) }
