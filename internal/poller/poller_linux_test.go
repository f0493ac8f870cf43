package poller_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fanqie/tank-websocket-go-server/internal/poller"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// end is one end of a connection, and counts how often it is told that it can read.
type end struct {
	poller.Socket
	conn, peer *net.TCPConn
	told       chan struct{}
}

func (e *end) Readable() { e.told <- struct{}{} }

func newEnd(t *testing.T, l net.Listener) *end {
	t.Helper()
	dialed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	e := &end{conn: accepted.(*net.TCPConn), peer: dialed.(*net.TCPConn), told: make(chan struct{}, 10)}
	raw, err := e.conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	e.Socket = poller.Socket{Raw: raw, Owner: e}
	t.Cleanup(func() {
		e.conn.Close()
		e.peer.Close()
	})
	return e
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// read reads what is there.
func (e *end) read(t *testing.T) string {
	t.Helper()
	b := make([]byte, 100)
	n, err := e.conn.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return string(b[:n])
}

func (e *end) say(t *testing.T, text string) {
	t.Helper()
	if _, err := e.peer.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func TestWhoCanReadIsTold(t *testing.T) {
	p, l := poller.New(), listen(t)
	ends := make([]*end, 300)
	for i := range ends {
		ends[i] = newEnd(t, l)
		p.Wait(&ends[i].Socket)
	}
	for range 3 {
		for i := 0; i < len(ends); i += 7 {
			ends[i].say(t, "hello")
		}
		for i := 0; i < len(ends); i += 7 {
			<-ends[i].told
			ends[i].say(t, "!") // of which nobody is told, before the next Wait
		}
		for i := 0; i < len(ends); i += 7 {
			for got := ""; got != "hello!"; got += ends[i].read(t) {
			}
			p.Wait(&ends[i].Socket)
		}
	}
	for i, e := range ends {
		if len(e.told) > 0 {
			t.Errorf("connection %d was told once too often", i)
		}
		if i%7 != 0 { // it still waits
			p.Release(&e.Socket)
			<-e.told
		} else {
			e.say(t, "the last")
			<-e.told
		}
		p.Forget(&e.Socket)
	}
}

func TestWhatIsThereBefore(t *testing.T) {
	p, l := poller.New(), listen(t)
	for name, before := range map[string]func(e *end){
		"bytes":             func(e *end) { e.say(t, "early") },
		"the peer's end":    func(e *end) { e.peer.CloseWrite() },
		"the peer is gone":  func(e *end) { e.peer.SetLinger(0); e.peer.Close() },
		"it is closed":      func(e *end) { e.conn.Close() },
		"it was released":   func(e *end) { p.Release(&e.Socket) },
		"bytes, and closed": func(e *end) { e.say(t, "early"); e.conn.Close(); p.Release(&e.Socket) },
	} {
		e := newEnd(t, l)
		before(e)
		for range 2 { // and so it stays
			p.Wait(&e.Socket)
			select {
			case <-e.told:
			case <-time.After(10 * time.Second):
				t.Fatalf("%s: nobody was told", name)
			}
		}
		p.Forget(&e.Socket)
	}
}

// The kernel says nothing of a socket that is closed, and its number may be another one's right away.
func TestSocketsAreClosedWhileTheyWait(t *testing.T) {
	p, l := poller.New(), listen(t)
	for range 200 {
		e, other := newEnd(t, l), newEnd(t, l)
		p.Wait(&other.Socket)
		p.Wait(&e.Socket)
		e.conn.Close()
		next := newEnd(t, l)
		p.Wait(&next.Socket)
		p.Release(&e.Socket)
		<-e.told
		p.Forget(&e.Socket)
		for _, e := range []*end{other, next} {
			e.say(t, "hello")
			<-e.told
			if got := e.read(t); got != "hello" {
				t.Fatalf("got %q", got)
			}
			p.Forget(&e.Socket)
			e.conn.Close()
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestNothingIsLeftBehindTheLastSocket(t *testing.T) {
	p, l := poller.New(), listen(t)
	e := newEnd(t, l)
	before := descriptors(t)
	for range 20 {
		p.Wait(&e.Socket)
		e.say(t, "x")
		<-e.told
		e.read(t)
		p.Forget(&e.Socket)
		if err := goleak.Find(); err != nil {
			t.Fatal(err)
		}
		if got := descriptors(t); got != before {
			t.Fatalf("%d descriptors, want %d", got, before)
		}
	}
}

func TestWithoutDescriptorsTheOwnerIsTold(t *testing.T) {
	p, l := poller.New(), listen(t)
	e := newEnd(t, l)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	few := old
	few.Cur = 3 // those of the process itself
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	p.Wait(&e.Socket)
	<-e.told
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	p.Wait(&e.Socket)
	e.say(t, "hello")
	<-e.told
	p.Forget(&e.Socket)
}

// refusing is a socket for which the kernel has no room at first, as when a user waits for too many (max_user_watches).
type refusing struct {
	syscall.RawConn
	refusals int
}

func (r *refusing) Control(do func(fd uintptr)) error {
	if r.refusals > 0 {
		r.refusals--
		do(^uintptr(0))
		return nil
	}
	return r.RawConn.Control(do)
}

func TestSocketsThatTheKernelRefusesWaitLater(t *testing.T) {
	p, l := poller.New(), listen(t)
	e, other := newEnd(t, l), newEnd(t, l)
	e.Raw = &refusing{e.Raw, 2}
	for range 2 {
		p.Wait(&e.Socket)
		<-e.told
		if n := p.Waiting(); n != 0 {
			t.Errorf("%d wait", n)
		}
	}
	p.Wait(&e.Socket)
	other.say(t, "hello")
	p.Wait(&other.Socket)
	<-other.told // long behind whoever cannot wait
	if len(e.told) > 0 || p.Waiting() != 1 {
		t.Errorf("it still cannot wait; %d wait", p.Waiting())
	}
	e.say(t, "hello")
	<-e.told
	p.Forget(&e.Socket)
	p.Forget(&other.Socket)
}

// Nobody else would tell those who wait.
func TestSocketsGoOnWhenTheEdgeEnds(t *testing.T) {
	p, l := poller.New(), listen(t)
	ends := make([]*end, 10)
	for i := range ends {
		ends[i] = newEnd(t, l)
	}
	before := descriptors(t)
	for range 3 {
		for _, e := range ends {
			p.Wait(&e.Socket)
		}
		p.Break()
		for i, e := range ends {
			select {
			case <-e.told:
			case <-time.After(10 * time.Second):
				t.Fatalf("connection %d still waits", i)
			}
		}
		if n := p.Waiting(); n != 0 {
			t.Errorf("%d still wait", n)
		}
	}
	for _, e := range ends {
		p.Wait(&e.Socket)
		e.say(t, "hello")
		<-e.told
		p.Forget(&e.Socket)
	}
	if got := descriptors(t); got != before {
		t.Errorf("%d descriptors, want %d", got, before)
	}
}

// TestPollerStorm has many sockets come, wait, be told, be closed by either side and go, all at once.
func TestPollerStorm(t *testing.T) {
	p, l := poller.New(), listen(t)
	var all sync.WaitGroup
	var lock sync.Mutex // for Accept to belong to Dial
	var told atomic.Int64
	for range 16 {
		all.Go(func() {
			for range 40 {
				lock.Lock()
				e := newEnd(t, l)
				lock.Unlock()
				var closing sync.WaitGroup
				for turns := rand.IntN(5); ; turns-- {
					if turns == 0 && rand.IntN(2) == 0 {
						closing.Go(func() { e.peer.Close() })
					} else if turns == 0 {
						closing.Go(func() {
							e.conn.Close()
							p.Release(&e.Socket)
						})
					} else {
						closing.Go(func() { e.say(t, "x") })
					}
					p.Wait(&e.Socket)
					<-e.told
					told.Add(1)
					closing.Wait()
					if turns <= 0 {
						break
					}
					e.read(t)
				}
				p.Forget(&e.Socket)
				e.conn.Close()
				e.peer.Close()
			}
		})
	}
	all.Wait()
	if n := p.Waiting(); n != 0 {
		t.Errorf("%d wait", n)
	}
	t.Log(told.Load(), "times somebody was told")
}
