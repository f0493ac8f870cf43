package natsbroker

import (
	"bytes"
	"maps"
	"net"
	"sync"
	"testing"
)

// proxy is the way to a server, which can be cut, and can stall.
type proxy struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu      sync.Mutex
	changed sync.Cond
	conns   map[net.Conn]bool
	isCut   bool
	stalls  bool
	holds   bool // subscriptions
	ended   bool
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{listener: l, target: target, conns: make(map[net.Conn]bool)}
	p.changed.L = &p.mu
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		p.set(func() { p.ended = true; p.closeAll() })
		_ = l.Close()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) url() string { return "nats://" + p.listener.Addr().String() }

func (p *proxy) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.changed.Broadcast()
}

// cut ends all connections. There are no others until heal.
func (p *proxy) cut() { p.set(func() { p.isCut = true; p.closeAll() }) }

// stall keeps all connections, and those to come, and passes nothing on until heal.
func (p *proxy) stall() { p.set(func() { p.stalls = true }) }

// hold keeps back what clients send from their next subscription on, until heal.
func (p *proxy) hold() { p.set(func() { p.holds = true }) }

func (p *proxy) heal() { p.set(func() { p.isCut, p.stalls, p.holds = false, false, false }) }

// lose is heal for a network that has lost what was on its way on these connections.
func (p *proxy) lose(old map[net.Conn]bool) {
	p.set(func() {
		for c := range old {
			_ = c.Close()
		}
		p.isCut, p.stalls = false, false
	})
}

// open returns the connections that there are, of both sides.
func (p *proxy) open() (all map[net.Conn]bool) {
	p.set(func() { all = maps.Clone(p.conns) })
	return all
}

func (p *proxy) closeAll() {
	for c := range p.conns {
		_ = c.Close()
	}
}

// keep returns false when the connection cannot be.
func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isCut || p.ended {
		_ = c.Close()
		return false
	}
	p.conns[c] = true
	return true
}

// pass returns when something may be passed on; false: never.
func (p *proxy) pass(b []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for (p.stalls || p.holds && bytes.HasPrefix(b, []byte("SUB "))) && !p.ended && !p.isCut {
		p.changed.Wait()
	}
	return !p.ended && !p.isCut
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.keep(c) {
			p.wg.Go(func() { p.serve(c) })
		}
	}
}

func (p *proxy) serve(c net.Conn) {
	s, err := net.Dial("tcp", p.target)
	if err != nil || !p.keep(s) {
		_ = c.Close()
		return
	}
	p.wg.Go(func() { p.copy(s, c) })
	p.copy(c, s)
}

func (p *proxy) copy(to, from net.Conn) {
	defer p.set(func() { delete(p.conns, from) })
	defer to.Close()
	defer from.Close()
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if !p.pass(b[:n]) {
				return
			}
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
