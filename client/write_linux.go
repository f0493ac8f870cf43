//go:build !386

package client

import (
	"syscall"
	"unsafe"
)

// longWrite is the number of bytes past which a write takes so long that other goroutines should get the processor meanwhile.
const longWrite = 256 << 10

// tryFlags make a write not block, even when the socket does, and raise no signal.
const tryFlags = syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL

// rawWrite writes to a socket what that takes at once, without telling Go's scheduler. That takes the processor away from goroutines
// in system calls that last. Such a write does not last; but it makes a peer runnable, and so is just where the system may run something
// else for some milliseconds, after which the goroutine would have to queue up for a processor.
func rawWrite(fd int, p []byte) (int, error) {
	if len(p) > longWrite {
		return syscall.SendmsgN(fd, p, nil, nil, tryFlags)
	}
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), tryFlags, 0, 0) // #nosec G103 G115 -- the system call takes a pointer, and a descriptor
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil // #nosec G115 -- at most len(p)
}
