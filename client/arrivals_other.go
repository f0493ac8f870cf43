//go:build !linux || 386 || s390x

package client

import "syscall"

// socketArrivals does not know here.
func socketArrivals(syscall.RawConn) (arrivals, bool) { return arrivals{}, false }

// socketAcked does not know here.
func socketAcked(syscall.RawConn) (uint64, bool) { return 0, false }
