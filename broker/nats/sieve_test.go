package natsbroker

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sieve is the way to a server on which publications to some subjects are lost, or all is slow.
type sieve struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup
	lost     atomic.Pointer[string] // what the subjects of publications that are lost begin with; nil: none are
	pace     atomic.Int64           // bytes a millisecond from the server; 0: any
	conns    sync.Map
}

func newSieve(t testing.TB, target string) *sieve {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &sieve{listener: l, target: target}
	s.wg.Go(s.accept)
	t.Cleanup(func() {
		_ = l.Close()
		s.conns.Range(func(c, _ any) bool { _ = c.(net.Conn).Close(); return true })
		s.wg.Wait()
	})
	return s
}

func (s *sieve) url() string { return "nats://" + s.listener.Addr().String() }

// lose has publications with such subjects lost, until pass.
func (s *sieve) lose(prefix string) { s.lost.Store(&prefix) }

func (s *sieve) pass() { s.lost.Store(nil) }

func (s *sieve) accept() {
	for {
		from, err := s.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", s.target)
		if err != nil {
			_ = from.Close()
			continue
		}
		s.conns.Store(from, nil)
		s.conns.Store(to, nil)
		s.wg.Go(func() { defer to.Close(); defer from.Close(); s.trickle(from, to) })
		s.wg.Go(func() { defer to.Close(); defer from.Close(); s.sift(to, from) })
	}
}

func (s *sieve) trickle(to io.Writer, from io.Reader) {
	for b := make([]byte, 4<<10); ; {
		n, err := from.Read(b)
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
			if pace := s.pace.Load(); pace > 0 {
				<-time.After(time.Duration(int64(n)/pace) * time.Millisecond)
			}
		}
		if err != nil {
			return
		}
	}
}

func (s *sieve) sift(to io.Writer, from io.Reader) {
	for r := bufio.NewReader(from); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		b, subject := []byte(line), ""
		if f := strings.Fields(line); len(f) > 1 && (f[0] == "PUB" || f[0] == "HPUB") {
			size, err := strconv.Atoi(f[len(f)-1])
			if err != nil {
				panic(fmt.Sprintf("%q", line))
			}
			rest := make([]byte, size+2)
			if _, err := io.ReadFull(r, rest); err != nil {
				return
			}
			b, subject = append(b, rest...), f[1]
		}
		if lost := s.lost.Load(); lost != nil && strings.HasPrefix(subject, *lost) {
			continue
		}
		if _, err := to.Write(b); err != nil {
			return
		}
	}
}
