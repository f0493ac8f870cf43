package client_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// reluctant is the server's end of a connection that takes nothing before a deadline and then, without blocking, as many
// bytes as grant returns. That is how Linux treats a peer that has read less than a third of a full send buffer.
type reluctant struct {
	net.Conn
	grant func(asked int) int
	taken []byte
	tries int
}

func (r *reluctant) Write(p []byte) (int, error) {
	if r.grant == nil { // the handshake
		return r.Conn.Write(p)
	}
	time.Sleep(writeTimeout)
	return 0, os.ErrDeadlineExceeded
}

func (r *reluctant) TryWrite(p []byte) (int, error) {
	r.tries++
	n := min(len(p), r.grant(len(p)))
	r.taken = append(r.taken, p[:n]...)
	return n, nil
}

const writeTimeout = time.Second

// newReluctantPair is newPair with such a connection.
func newReluctantPair(t *testing.T, grant func(asked int) int) (*pair, *reluctant) {
	r := &reluctant{}
	p := newPairOn(t, func(_ *pair, l net.Listener) net.Listener {
		return wrapping{l, func(c net.Conn) net.Conn {
			r.Conn = c
			return r
		}}
	}, 1<<10, func(o *client.Options) { o.WriteTimeout, o.OutboxBytes = writeTimeout, 1<<20 })
	r.grant = grant
	return p, r
}

// wrapping is a listener that wraps its connections.
type wrapping struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (w wrapping) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return w.wrap(c), nil
}

// A peer that reads a little gets everything, whatever its socket takes at a time: exactly the pieces, less, or more.
func TestPeerThatReadsLittleGetsEverything(t *testing.T) {
	grants := map[string]func(asked int) int{
		"a byte":       func(int) int { return 1 },
		"all but one":  func(asked int) int { return max(1, asked-1) },
		"whole pieces": func(asked int) int { return asked },
		"first nothing, then whole pieces": func() func(int) int {
			first := true
			return func(asked int) int {
				if first {
					first = false
					return 0
				}
				return asked
			}
		}(),
		"by chance": func(asked int) int { return 1 + rand.IntN(2*asked+1) },
	}
	for name, grant := range grants {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, socket := newReluctantPair(t, grant)
				want := ""
				for i := range 20 {
					b := text(strings.Repeat(fmt.Sprint(i), 1+i%7))
					want += string(b.Frames[wire.V1])
					p.Send(b)
				}
				p.Send(&wire.Batch{}) // which nobody is to send, and takes nothing
				time.Sleep(time.Hour)
				synctest.Wait()
				if got := string(socket.taken); got != want {
					t.Errorf("got %d bytes %q, want %d bytes %q", len(got), got, len(want), want)
				}
				if socket.tries > 2*len(want)+50 {
					t.Errorf("the socket was asked %d times to take %d bytes", socket.tries, len(want))
				}
				if p.Queued() != 0 || p.Closing() {
					t.Errorf("%d bytes are queued, closing %v", p.Queued(), p.Closing())
				}
				p.Cut("end")
				<-p.gone
			})
		})
	}
}

// TestWaitsForReadersOfManyPaces has readers of real sockets take a share of what the buffers hold in two write timeouts, and
// then the rest at once. All get everything, and the writer edge waits no more often than there is a reason to: once for each
// time something was read, and once for each write timeout.
func TestWaitsForReadersOfManyPaces(t *testing.T) {
	for name, test := range map[string]struct {
		dialer  *net.Dialer
		queued  int   // bytes behind full buffers
		percent []int // less than a third of the server's buffer, and more; but what a socket with large segments and buffers notices
	}{
		"large buffers, one piece queued":   {&net.Dialer{}, 1, []int{20, 22, 25, 28, 30, 35, 40, 50, 60, 90}},
		"large buffers, two writes queued":  {&net.Dialer{}, 70_000, []int{20, 22, 25, 28, 30, 35, 40, 50, 60, 90}},
		"small buffers, some pieces queued": {&net.Dialer{Control: withSmallBuffers}, 3000, []int{2, 5, 10, 15, 20, 25, 30, 40, 60, 90}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var readers sync.WaitGroup
			for _, percent := range test.percent {
				p := dialSocketPair(t, test.dialer, func(o *client.Options) { o.WriteTimeout, o.OutboxBytes = writeTimeout, 64<<20 })
				readers.Go(func() {
					if err := waitForReader(p, test.queued, percent); err != nil {
						t.Errorf("%d percent: %v", percent, err)
					}
					p.Cut("end")
					<-p.gone
				})
			}
			readers.Wait()
		})
	}
}

func waitForReader(p *pair, queued, percent int) error {
	const ticks, slow = 10, 2
	sent := 0
	for i := 0; p.Queued() < int64(queued); i++ {
		b := text(strings.Repeat("x", 100+i%200))
		sent += len(b.Frames[wire.V1])
		p.Send(b)
	}
	began, reads, got, buf := time.Now(), 0, 0, make([]byte, 64<<10)
	read := func(most int) error {
		n, err := p.conn.Read(buf[:min(most, len(buf))])
		if err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", got, sent, err)
		}
		got += n
		reads++
		return nil
	}
	clock := time.NewTicker(writeTimeout / ticks)
	defer clock.Stop()
	for tick := 0; tick < slow*ticks && got < sent-queued; tick++ { // a little
		<-clock.C
		for most := min(sent-queued, (tick+1)*sent*percent/100/ticks/slow); got < most; {
			if err := read(most - got); err != nil {
				return err
			}
		}
	}
	for got < sent { // then a lot
		if err := read(len(buf)); err != nil {
			return err
		}
	}
	most := uint64(reads) + uint64(time.Since(began)/writeTimeout) + 10
	for p.Queued() > 0 && p.opts.Counters.Waits.Load() <= most { // it counts as written a moment later
		runtime.Gosched()
	}
	if waits := p.opts.Counters.Waits.Load(); waits > most || p.Closing() {
		return fmt.Errorf("the writer edge waited %d times, want %d at most; closing %v", waits, most, p.Closing())
	}
	return nil
}
