package natsbroker

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// files are a copy of those of a server.
func (s *natsServer) files() string {
	s.t.Helper()
	dir := s.t.TempDir()
	must(s.t, os.CopyFS(dir, os.DirFS(s.options.StoreDir)))
	return dir
}

// restore puts a copy in the place of the files. The server is stopped.
func (s *natsServer) restore(dir string) {
	s.t.Helper()
	must(s.t, os.RemoveAll(s.options.StoreDir))
	must(s.t, os.CopyFS(s.options.StoreDir, os.DirFS(dir)))
}

// TestStreamStandsBelow where it stood, because the power was lost, or a copy was restored: its numbers are given twice, so it gets another
// epoch, once, and all are told, whoever comes first, and however far the others have published by then.
func TestStreamStandsBelow(t *testing.T) {
	for name, ahead := range map[string]int{"witness first": 0, "another first": 1, "another first, and far": 40} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, withJetStream(t))
			p := newProxy(t, s.addr())
			a, b := keepNode(t, p.url(), Options{}), keepNode(t, p.url(), Options{})
			books := newBooks(t)
			all := []*ledger{a.listen("x"), b.listen("x"), b.listen("quiet")}
			a.keep("quiet", "1")
			var copied string
			var old []string
			for round := range 3 {
				epoch := all[0].epoch()
				for _, l := range all[1:] {
					if l.epoch() != epoch {
						t.Fatalf("epochs %s and %s", epoch, l.epoch())
					}
				}
				old = append(old, epoch)
				books.through(a, fmt.Sprint("before ", round), all[:2]...)
				if round < 2 { // at last, the same copy again
					s.stop()
					copied = s.files()
					await(t, "down", func() bool { return !a.isUp() && !b.isUp() })
					s.start()
					await(t, "up", func() bool { return a.isUp() && b.isUp() })
				}
				for i := range 20 {
					must(t, books.publish(b, "x", fmt.Sprint("lost ", round, i)))
				}
				books.through(a, fmt.Sprint("lost ", round), all[:2]...)
				p.cut()
				s.stop()
				s.restore(copied)
				s.start()
				fresh := keepNode(t, s.url(), Options{})
				for i := range ahead {
					fresh.keep("x", fmt.Sprint("early ", round, i)) // nobody knows yet
				}
				late := fresh.listen("x")
				p.heal()
				for _, l := range append(all, late) {
					await(t, "another epoch", func() bool { return l.epoch() != epoch && l.epoch() != "" })
				}
				books.through(fresh, fmt.Sprint("mark ", round), append(all, late)...)
				books.audit(all...)
				for i, l := range all {
					if l.epoch() != late.epoch() || l.losses() != round+1 {
						t.Errorf("ledger %d was told %d times, and has epoch %s, not %s", i, l.losses(), l.epoch(), late.epoch())
					}
				}
				for _, epoch := range old {
					if _, err := fresh.After(timeout(t, patience), "x", epoch, 0, 10); !errors.Is(err, broker.ErrEpoch) {
						t.Errorf("after a position of the epoch %s: %v", epoch, err)
					}
				}
				page, err := fresh.After(timeout(t, patience), "x", late.epoch(), 0, 1000)
				must(t, err)
				if n := len(page.Messages); n == 0 || page.Messages[0].Data != "before 0" {
					t.Errorf("%d messages are kept", n)
				}
				must(t, fresh.Close(timeout(t, patience)))
			}
			for _, l := range all[:2] {
				books.once(l)
			}
		})
	}
}

// TestServerThatWasAwayComesBack, with another stream of the same name, which some have seen before: nothing comes twice within an epoch.
func TestServerThatWasAwayComesBack(t *testing.T) {
	s := startServer(t, withJetStream(t))
	n := keepNode(t, s.url(), Options{})
	l, books := n.listen("x"), newBooks(t)
	one := s.options.StoreDir
	two := t.TempDir()
	for i := range 4 {
		for j := range 5 {
			books.through(n, fmt.Sprint(i, " ", j), l)
		}
		epoch := l.epoch()
		s.stop()
		s.options.StoreDir = []string{two, one}[i%2]
		s.start()
		await(t, "another epoch", func() bool { return l.epoch() != epoch })
		await(t, "up", n.isUp)
	}
	books.through(n, "last", l)
	books.audit(l)
	books.once(l)
	if l.losses() != 4 {
		t.Errorf("told %d times", l.losses())
	}
}

// TestLimitsAreChanged between two restarts of the server: that is no other epoch. Servers up to 2.14.4 have another date for the stream then.
func TestLimitsAreChanged(t *testing.T) {
	s := startServer(t, withJetStream(t))
	n := keepNode(t, s.url(), Options{})
	l, books := n.listen("x"), newBooks(t)
	books.through(n, "1", l)
	for i := range 3 {
		s.stop()
		await(t, "down", func() bool { return !n.isUp() })
		s.start()
		await(t, "up", n.isUp)
		info, err := streamOf(t, s).Info(timeout(t, patience))
		must(t, err)
		info.Config.MaxMsgsPerSubject = int64(3000 + i)
		_, err = apiOf(t, s).UpdateStream(timeout(t, patience), info.Config)
		must(t, err)
		books.through(n, fmt.Sprint("changed ", i), l)
	}
	books.audit(l)
	calm(t, l)
}
