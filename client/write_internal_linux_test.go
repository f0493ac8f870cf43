//go:build !386

package client

import (
	"syscall"
	"testing"
	"time"
)

// A program may have a socket block at any time, see unblock. Even so, whoever delivers does not wait for a peer.
func TestTryWriteNeverBlocks(t *testing.T) {
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(ends[0])
	defer syscall.Close(ends[1])
	for err = nil; err == nil; _, err = syscall.Write(ends[0], make([]byte, 1000)) {
	}
	if err := syscall.SetNonblock(ends[0], false); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1000, longWrite + 1} {
		tried := make(chan error, 1)
		go func() {
			_, err := rawWrite(ends[0], make([]byte, size))
			tried <- err
		}()
		select {
		case err := <-tried:
			if err != syscall.EAGAIN {
				t.Errorf("%d bytes to a full socket: got %v, want %v", size, err, syscall.EAGAIN)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("writing %d bytes to a full socket takes as long as the peer likes", size)
		}
	}
}
