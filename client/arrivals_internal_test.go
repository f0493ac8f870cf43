//go:build linux && !386 && !s390x

package client

import (
	"net"
	"syscall"
	"testing"
	"time"
)

// socketPair returns the two ends of a TCP connection.
func socketPair(t *testing.T) (peer net.Conn, socket syscall.RawConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if peer, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return peer, rawSocket(accepted)
}

// awaitArrivals waits until so many bytes have arrived.
func awaitArrivals(t *testing.T, socket syscall.RawConn, bytes uint64) arrivals {
	t.Helper()
	for began := time.Now(); time.Since(began) < 10*time.Second; {
		if a, known := socketArrivals(socket); known && a.bytes == bytes {
			return a
		}
	}
	t.Fatalf("%d bytes have not arrived", bytes)
	return arrivals{}
}

func TestTheKernelTellsWhatHasArrived(t *testing.T) {
	peer, socket := socketPair(t)
	if a, known := socketArrivals(socket); known {
		t.Fatalf("%+v is known, although a system that does not count says the same", a)
	}
	peer.Write(make([]byte, 1000))
	first := awaitArrivals(t, socket, 1000)
	peer.Write(make([]byte, 1))
	second := awaitArrivals(t, socket, 1001)
	if second.segments == first.segments || first.full || second.full {
		t.Fatalf("got %+v and then %+v", first, second)
	}
	go peer.Write(make([]byte, 16<<20)) // which nobody reads
	for began := time.Now(); !second.full; second, _ = socketArrivals(socket) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("there is always room")
		}
	}
	peer.Close()
}

// Before Linux 6.2 the receive window is not told, before 4.2 nothing of use.
func TestOlderKernelsTellLess(t *testing.T) {
	peer, socket := socketPair(t)
	peer.Write([]byte("unread"))
	awaitArrivals(t, socket, 6)
	look := func(size uint32) (a arrivals, known bool) {
		i := &tcpInfo{}
		socket.Control(func(fd uintptr) {
			i.do(fd)
			if i.size = size; size < tcpInfoSize {
				clear(i.data[size:])
				i.guessWindow(fd)
			}
		})
		return i.arrivals()
	}
	if a, known := look(segmentsInAt); known {
		t.Errorf("Linux 4.1 knows %+v", a)
	}
	if a, known := look(segmentsInAt + 4); !known || !a.full || a.bytes != 6 {
		t.Errorf("with something unread, Linux 6.1 knows %+v (%v)", a, known)
	}
	socket.Read(func(fd uintptr) bool {
		syscall.Read(int(fd), make([]byte, 100))
		return true
	})
	if a, known := look(segmentsInAt + 4); !known || a.full || a.bytes != 6 {
		t.Errorf("with nothing unread, Linux 6.1 knows %+v (%v)", a, known)
	}
}

func TestOtherSocketsAreNotKnown(t *testing.T) {
	l, err := net.Listen("unix", t.TempDir()+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if a, known := socketArrivals(rawSocket(peer)); known {
		t.Fatalf("got %+v", a)
	}
	_, socket := socketPair(t)
	if allocs := testing.AllocsPerRun(100, func() { socketArrivals(socket) }); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}
