//go:build unix && (!linux || 386)

package client

import "syscall"

// rawWrite is syscall.Write.
func rawWrite(fd int, p []byte) (int, error) { return syscall.Write(fd, p) }
