//go:build linux && !386 && !s390x

package client

import (
	"encoding/binary"
	"math"
	"sync"
	"syscall"
	"unsafe"
)

// Where the kernel's struct tcp_info has what is asked for; see linux/tcp.h. Each kernel returns as much of it as it knows.
const (
	segmentSizeAt   = 84  // 32 bits: of the largest segment that the peer may send, in bytes
	bytesAckedAt    = 120 // 64 bits, since Linux 4.1
	bytesReceivedAt = 128 // 64 bits, since Linux 4.1
	segmentsInAt    = 140 // 32 bits, since Linux 4.2
	receiveWindowAt = 232 // 32 bits, since Linux 6.2
	tcpInfoSize     = receiveWindowAt + 4
)

// A peer does not send a part of a segment while it waits for more room, but for a probe now and then. So there may be bytes
// that it does not send when the receive window is below the size of a segment. That is 64 KiB within a machine, where half a
// window counts; by default, a window is 64 KiB at first.
const (
	leastRoom = 4 << 10
	mostRoom  = 32 << 10
)

// tcpInfo is one look at a socket.
type tcpInfo struct {
	data  [tcpInfoSize]byte
	size  uint32 // of what the kernel has written there
	errno syscall.Errno
	look  func(fd uintptr) // do, made once
}

var tcpInfos = sync.Pool{New: func() any {
	i := &tcpInfo{}
	i.look = i.do
	return i
}}

// socketArrivals asks the kernel what has arrived at a TCP socket. It does not block.
func socketArrivals(fd syscall.RawConn) (a arrivals, known bool) {
	i := tcpInfos.Get().(*tcpInfo)
	defer tcpInfos.Put(i)
	if i.ask(fd) {
		a, known = i.arrivals()
	}
	return a, known
}

// socketAcked asks the kernel how many bytes the peer of a TCP socket has acknowledged. It does not block.
func socketAcked(fd syscall.RawConn) (bytes uint64, known bool) {
	i := tcpInfos.Get().(*tcpInfo)
	defer tcpInfos.Put(i)
	if known = i.ask(fd) && i.size >= bytesAckedAt+8; known {
		bytes = binary.NativeEndian.Uint64(i.data[bytesAckedAt:])
	}
	return bytes, known
}

// ask reports false when the socket is closed, or is none of TCP.
func (i *tcpInfo) ask(fd syscall.RawConn) bool { return fd.Control(i.look) == nil && i.errno == 0 }

func (i *tcpInfo) do(fd uintptr) {
	i.size = tcpInfoSize
	// #nosec G103 -- the kernel writes size bytes at most to where the first points, and how many those were to where the second does
	_, _, i.errno = syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_TCP, syscall.TCP_INFO,
		uintptr(unsafe.Pointer(&i.data)), uintptr(unsafe.Pointer(&i.size)), 0)
	if i.errno == 0 && i.size >= segmentsInAt+4 && i.size < tcpInfoSize {
		i.guessWindow(fd)
	}
}

// guessWindow is for kernels that do not tell the receive window: it may be closed while bytes wait to be read.
func (i *tcpInfo) guessWindow(fd uintptr) {
	var unread, window uint32 = 0, math.MaxUint32
	// #nosec G103 -- the kernel writes the number there
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCINQ, uintptr(unsafe.Pointer(&unread)))
	if errno != 0 || unread > 0 {
		window = 0
	}
	binary.NativeEndian.PutUint32(i.data[receiveWindowAt:], window)
}

// arrivals returns what the kernel has told, if it has. The opening handshake has arrived, so no bytes at all means that
// nobody counts them.
func (i *tcpInfo) arrivals() (a arrivals, known bool) {
	a.bytes = binary.NativeEndian.Uint64(i.data[bytesReceivedAt:])
	a.segments = i.number(segmentsInAt)
	a.full = i.number(receiveWindowAt) < max(leastRoom, min(i.number(segmentSizeAt), mostRoom))
	return a, i.size >= segmentsInAt+4 && a.bytes > 0
}

// number returns the 32 bits at an offset.
func (i *tcpInfo) number(at int) uint32 { return binary.NativeEndian.Uint32(i.data[at:]) }
