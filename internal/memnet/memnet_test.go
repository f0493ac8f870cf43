package memnet_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// written is what a Write returned.
type written struct {
	n   int
	err error
}

// writing writes in the background.
func writing(c net.Conn, data string) <-chan written {
	result := make(chan written, 1)
	go func() {
		n, err := c.Write([]byte(data))
		result <- written{n, err}
	}()
	synctest.Wait()
	return result
}

// wantWritten checks what a Write in the background has returned.
func wantWritten(t *testing.T, result <-chan written, n int, err error) {
	t.Helper()
	synctest.Wait()
	select {
	case got := <-result:
		if got.n != n || !errors.Is(got.err, err) {
			t.Errorf("Write returned %d, %v, want %d, %v", got.n, got.err, n, err)
		}
	default:
		t.Error("Write still blocks")
	}
}

// wantRead checks what one Read returns.
func wantRead(t *testing.T, c net.Conn, want string, wantErr error) {
	t.Helper()
	buf := make([]byte, 100)
	n, err := c.Read(buf)
	if string(buf[:n]) != want || !errors.Is(err, wantErr) {
		t.Errorf("Read returned %q, %v, want %q, %v", buf[:n], err, want, wantErr)
	}
}

func TestWriterBlocksWhileTheBufferIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := memnet.Pipe(4)
		wantWritten(t, writing(server, "abcd"), 4, nil)
		more := writing(server, "efghij")
		if len(more) != 0 {
			t.Fatal("Write returned although the buffer is full")
		}
		if got := client.Buffered(); string(got) != "abcd" {
			t.Errorf("%q is buffered, want %q", got, "abcd")
		}
		wantRead(t, client, "abcd", nil)
		synctest.Wait()
		if len(more) != 0 {
			t.Fatal("Write returned before everything was in the buffer")
		}
		wantRead(t, client, "efgh", nil)
		wantWritten(t, more, 6, nil)
		wantRead(t, client, "ij", nil)
	})
}

func TestTheOtherDirectionHasRoom(t *testing.T) {
	client, server := memnet.Pipe(1)
	data := bytes.Repeat([]byte("x"), 100_000)
	if n, err := client.Write(data); n != len(data) || err != nil {
		t.Errorf("Write returned %d, %v", n, err)
	}
	got := make([]byte, len(data))
	if _, err := io.ReadFull(server, got); err != nil || !bytes.Equal(got, data) {
		t.Errorf("reading it back: %v", err)
	}
}

func TestReadTakesWhatFits(t *testing.T) {
	client, server := memnet.Pipe(100)
	server.Write([]byte("abcdef"))
	for _, want := range []string{"abcd", "ef"} {
		buf := make([]byte, 4)
		if n, err := client.Read(buf); string(buf[:n]) != want || err != nil {
			t.Errorf("Read returned %q, %v, want %q", buf[:n], err, want)
		}
	}
}

func TestDeadlinesEndReadsAndWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := memnet.Pipe(4)
		start := time.Now()
		client.SetReadDeadline(start.Add(time.Second))
		wantRead(t, client, "", os.ErrDeadlineExceeded)
		if got := time.Since(start); got != time.Second {
			t.Errorf("Read returned after %v, want a second", got)
		}
		wantRead(t, client, "", os.ErrDeadlineExceeded)

		server.SetWriteDeadline(time.Now().Add(time.Minute))
		blocked := writing(server, "abcdef")
		<-time.After(time.Minute)
		wantWritten(t, blocked, 4, os.ErrDeadlineExceeded)

		client.SetDeadline(time.Time{})
		server.SetDeadline(time.Time{})
		wantRead(t, client, "abcd", nil)
		wantWritten(t, writing(server, "x"), 1, nil)
	})
}

func TestADeadlineThatIsSetMeanwhileCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := memnet.Pipe(1)
		blocked := writing(server, "ab")
		server.SetDeadline(time.Now().Add(time.Hour))
		<-time.After(time.Minute)
		if synctest.Wait(); len(blocked) != 0 {
			t.Fatal("Write returned before its deadline")
		}
		server.SetDeadline(time.Now())
		wantWritten(t, blocked, 1, os.ErrDeadlineExceeded)
		wantRead(t, client, "a", nil)
	})
}

func TestTheNetworkTimesOutLikeAnyOther(t *testing.T) {
	client, _ := memnet.Pipe(1)
	client.SetReadDeadline(time.Now().Add(-time.Second))
	_, err := client.Read(make([]byte, 1))
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("Read returned %v, want a net.Error that is a timeout", err)
	}
}

func TestCloseLetsThePeerReadWhatIsBuffered(t *testing.T) {
	client, server := memnet.Pipe(10)
	server.Write([]byte("bye"))
	server.Close()
	server.Close()
	wantRead(t, client, "bye", nil)
	wantRead(t, client, "", io.EOF)
	wantRead(t, client, "", io.EOF)
	wantRead(t, server, "", net.ErrClosed)
	if _, err := server.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write to a closed connection returned %v, want net.ErrClosed", err)
	}
	if _, err := client.Write([]byte("x")); err == nil {
		t.Error("Write to a peer that is gone returned nil")
	}
}

func TestCloseEndsBlockedReadsAndWrites(t *testing.T) {
	for _, who := range []string{"reader", "writer"} {
		t.Run(who+" closes", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := memnet.Pipe(1)
				blocked := writing(server, "ab")
				reading := make(chan error, 1)
				go func() {
					_, err := server.Read(make([]byte, 1))
					reading <- err
				}()
				synctest.Wait()
				want, wantWrite := io.EOF, io.ErrClosedPipe
				if who == "reader" {
					client.Close()
				} else {
					server.Close()
					want, wantWrite = net.ErrClosed, net.ErrClosed
				}
				wantWritten(t, blocked, 1, wantWrite)
				if err := <-reading; !errors.Is(err, want) {
					t.Errorf("Read returned %v, want %v", err, want)
				}
			})
		})
	}
}

func TestCloseWriteEndsOneDirection(t *testing.T) {
	client, server := memnet.Pipe(10)
	client.Write([]byte("last words"))
	client.CloseWrite()
	wantRead(t, server, "last words", nil)
	wantRead(t, server, "", io.EOF)
	if _, err := client.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write after CloseWrite returned %v, want net.ErrClosed", err)
	}
	server.Write([]byte("answer"))
	wantRead(t, client, "answer", nil)
}

func TestListenerConnects(t *testing.T) {
	l := memnet.Listen()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	client, err := l.Dial(10)
	if err != nil {
		t.Fatal(err)
	}
	server := <-accepted
	client.Write([]byte("ping"))
	wantRead(t, server, "ping", nil)
	server.Write([]byte("pong"))
	wantRead(t, client, "pong", nil)
	if l.Addr() != client.RemoteAddr() || l.Addr() != server.LocalAddr() || client.LocalAddr().String() != server.RemoteAddr().String() {
		t.Errorf("%v, %v and %v are connected to %v and %v", l.Addr(), client.LocalAddr(), server.LocalAddr(), client.RemoteAddr(), server.RemoteAddr())
	}
}

func TestEveryClientHasAnAddressOfItsOwn(t *testing.T) {
	seen := make(map[netip.AddrPort]bool)
	for range 100_000 {
		client, _ := memnet.Pipe(1)
		addr, err := netip.ParseAddrPort(client.LocalAddr().String())
		if err != nil || seen[addr] {
			t.Fatalf("got %v (%v) after %d others", client.LocalAddr(), err, len(seen))
		}
		seen[addr] = true
	}
}

func TestReadBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := memnet.Pipe(4)
		got := make(chan string)
		go func() {
			defer close(got)
			for {
				buf := make([]byte, 100)
				n, err := client.Read(buf)
				if err != nil {
					return
				}
				got <- string(buf[:n])
			}
		}()
		synctest.Wait() // it is in Read when the budget is set
		client.SetReadBudget(0)
		blocked := writing(server, "abcdef")
		if synctest.Wait(); len(blocked) != 0 || string(client.Buffered()) != "abcd" {
			t.Fatalf("%q is left to read", client.Buffered())
		}
		client.SetReadBudget(3)
		if text := <-got; text != "abc" {
			t.Errorf("got %q, want %q", text, "abc")
		}
		wantWritten(t, blocked, 6, nil)
		if rest := client.Buffered(); string(rest) != "def" {
			t.Errorf("%q is left to read", rest)
		}
		server.Close()
		if synctest.Wait(); string(client.Buffered()) != "def" {
			t.Error("the budget was overdrawn")
		}
		client.SetReadBudget(-1)
		if text := <-got; text != "def" {
			t.Errorf("got %q", text)
		}
		if text, more := <-got; more {
			t.Errorf("got %q, want the end", text)
		}
	})
}

func TestTheEndComesWithinTheBudgetOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := memnet.Pipe(4)
		client.SetReadBudget(0)
		server.Close()
		client.SetReadDeadline(time.Now().Add(time.Minute))
		wantRead(t, client, "", os.ErrDeadlineExceeded)
		client.SetReadDeadline(time.Time{})
		client.SetReadBudget(1)
		wantRead(t, client, "", io.EOF)
		client.SetReadBudget(0)
		client.Close()
		wantRead(t, client, "", net.ErrClosed)
	})
}

func TestAwaitPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := memnet.Pipe(4)
		handled := ""
		next := make(chan struct{})
		go func() {
			buf := make([]byte, 2)
			for {
				n, err := server.Read(buf)
				if err != nil {
					return
				}
				<-next
				handled += string(buf[:n])
			}
		}()
		wantErr := func(want error) {
			t.Helper()
			began := time.Now()
			if err := client.AwaitPeer(time.Second); !errors.Is(err, want) || errors.Is(want, os.ErrDeadlineExceeded) != (time.Since(began) == time.Second) {
				t.Errorf("got %v after %v, want %v", err, time.Since(began), want)
			}
		}
		wantErr(nil) // nothing to wait for
		client.Write([]byte("abcd"))
		wantErr(os.ErrDeadlineExceeded)
		next <- struct{}{}
		wantErr(os.ErrDeadlineExceeded)
		awaited := make(chan error, 1)
		go func() { awaited <- client.AwaitPeer(time.Second) }()
		synctest.Wait()
		next <- struct{}{}
		if err := <-awaited; err != nil || handled != "abcd" {
			t.Errorf("got %v with %q handled", err, handled)
		}
		wantErr(nil)
		server.Close()
		wantErr(io.ErrClosedPipe)
		client.Close()
		wantErr(net.ErrClosed)
	})
}

// TestTwoReadersWaitInPeace: two who read one end, and find nothing, do not wake each other again and again.
func TestTwoReadersWaitInPeace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := memnet.Pipe(4)
		var got [2]string
		var done sync.WaitGroup
		for i := range got {
			done.Go(func() {
				b, _ := io.ReadAll(server)
				got[i] = string(b)
			})
		}
		synctest.Wait() // for ever, if they do
		client.Write([]byte("abcdef"))
		if err := client.AwaitPeer(time.Second); err != nil {
			t.Fatal(err)
		}
		client.Close()
		done.Wait()
		if n := len(got[0]) + len(got[1]); n != 6 {
			t.Errorf("%d bytes of 6 were read: %q", n, got)
		}
	})
}

func TestAwaitPeerEndsWithTheConnection(t *testing.T) {
	for name, want := range map[string]error{"client": net.ErrClosed, "server": io.ErrClosedPipe} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := memnet.Pipe(4)
				client.Write([]byte("nobody reads"))
				awaited := make(chan error, 1)
				go func() { awaited <- client.AwaitPeer(time.Hour) }()
				synctest.Wait()
				map[string]*memnet.Conn{"client": client, "server": server}[name].Close()
				if err := <-awaited; !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			})
		})
	}
}

func TestReadOfNothingDoesNotWait(t *testing.T) {
	client, _ := memnet.Pipe(1)
	if n, err := client.Read(nil); n != 0 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestAClosedListenerEndsAcceptAndDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen()
		results := make(chan error, 2)
		go func() { _, err := l.Accept(); results <- err }()
		synctest.Wait()
		l.Close()
		l.Close()
		go func() { _, err := l.Dial(1); results <- err }()
		for range 2 {
			if err := <-results; !errors.Is(err, net.ErrClosed) {
				t.Errorf("a closed listener returned %v, want net.ErrClosed", err)
			}
		}
	})
}

func TestReceivedCountsWhatThePeerHasWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := memnet.Pipe(10)
		expect := func(want uint64) {
			t.Helper()
			if got := client.Received(); got != want {
				t.Fatalf("got %d, want %d", got, want)
			}
		}
		expect(0)
		server.Write([]byte("12345"))
		expect(5)
		client.Read(make([]byte, 3))
		expect(5)
		server.TryWrite([]byte("123456789"))
		expect(13) // there was room for 8
		go server.Write([]byte("xyz"))
		synctest.Wait()
		expect(14) // it knocks
		expect(15)
		client.Read(make([]byte, 10))
		synctest.Wait()
		expect(18)
		expect(18)
	})
}
