package test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// talker is a raw connection over TCP to a server that sends messages back.
type talker struct {
	*wstest.Conn
	name string
}

// talkers serves over TCP, and returns a function that connects, and one that tells how many readers have a goroutine.
func talkers(t *testing.T, opts ...tank.Option) (m *tank.Manager, dial func() *talker, readers func() int) {
	echo := tank.WithMessageHandler(func(c *tank.Client, m tank.Message) { c.Send(m) })
	m, server := overTCP(t, false, append([]tank.Option{echo, tank.WithLimits(tank.Limits{MessagesPerSecond: 1e6, MessageBurst: 1e6})}, opts...)...)
	stacks := make([]byte, 32<<20)
	readers = func() int {
		return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "client.(*Client).read(")
	}
	return m, func() *talker { return dialTalker(t, server) }, readers
}

func dialTalker(t *testing.T, server *httptest.Server) *talker {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	c, err := wstest.Upgrade(conn, wstest.Handshake{})
	must(t, err)
	return &talker{c, conn.LocalAddr().String()}
}

// say sends a message, and waits until it has come back.
func (c *talker) say(text string) error {
	if _, err := c.Write(wstest.Masked(wstest.Fin|wstest.Text, text)); err != nil {
		return err
	}
	f, err := c.ReadFrame()
	for err == nil && f.Opcode() == wstest.Ping {
		f, err = c.ReadFrame()
	}
	if err == nil && string(f.Payload) != text {
		err = fmt.Errorf("%s got %q, want %q", c.name, f.Payload, text)
	}
	return err
}

// eventually polls.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// TestOneOfManyTalks: of many connections, one talks all the time, and the others when they like.
func TestOneOfManyTalks(t *testing.T) {
	for _, polled := range []bool{true, false} {
		t.Run(fmt.Sprint("poller=", polled), func(t *testing.T) {
			m, dial, readers := talkers(t, tank.WithPoller(polled))
			crowd := make([]*talker, 400)
			for i := range crowd {
				crowd[i] = dial()
			}
			want := len(crowd)
			if polled && runtime.GOOS == "linux" {
				want = 0
			}
			atRest := func() bool { return readers() == want && m.Stats().Parked == len(crowd)-want }
			eventually(t, "idle connections keep their goroutines, or lose them", atRest)
			stop := make(chan struct{})
			var talking sync.WaitGroup
			talking.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						if n < len(crowd) {
							t.Errorf("who talks all the time was heard %d times", n)
						}
						return
					default:
						if err := crowd[0].say("bla"); err != nil {
							t.Error(err)
							return
						}
					}
				}
			})
			for range 3 {
				for _, c := range crowd[1:] {
					must(t, c.say("hello from "+c.name))
				}
			}
			close(stop)
			talking.Wait()
			eventually(t, "idle connections keep their goroutines, or lose them", atRest)
		})
	}
}

// TestConnectionsComeAndGoWhileOthersWait reuses descriptors as fast as it can.
func TestConnectionsComeAndGoWhileOthersWait(t *testing.T) {
	m, dial, _ := talkers(t)
	waiting := make([]*talker, 50)
	for i := range waiting {
		waiting[i] = dial()
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 60 {
				c := dial()
				if i%2 == 0 {
					if err := c.say("hello from " + c.name); err != nil {
						t.Error(err)
					}
				}
				switch rand.IntN(4) {
				case 0: // hangs up
				case 1: // in the middle of a frame
					c.Write(wstest.Masked(wstest.Fin|wstest.Text, "half")[:rand.IntN(9)])
				case 2: // without a word
					c.Conn.Conn.(*net.TCPConn).SetLinger(0)
				case 3: // as it should
					c.Write(wstest.Masked(wstest.Fin|wstest.Close, ""))
					if f, err := c.ReadFrame(); err != nil || f.Opcode() != wstest.Close {
						t.Errorf("got %v (%v)", f, err)
					}
				}
				c.Close()
			}
		})
	}
	all.Wait()
	eventually(t, "connections are left", func() bool { return m.GetClientCount() == len(waiting) })
	for _, c := range waiting {
		must(t, c.say("hello from "+c.name))
	}
}

// TestShutdownWakesWhoeverWaits: the peers answer the close frame, or do not.
func TestShutdownWakesWhoeverWaits(t *testing.T) {
	m, dial, readers := talkers(t, tank.WithLimits(tank.Limits{CloseTimeout: time.Second}))
	var peers []*talker
	for range 40 {
		peers = append(peers, dial())
	}
	eventually(t, "idle connections keep their goroutines", func() bool { return runtime.GOOS != "linux" || readers() == 0 })
	var answering sync.WaitGroup
	for i, c := range peers {
		if i%4 > 0 {
			answering.Go(func() {
				if f, err := wstest.ReadFrame(bufio.NewReader(c.Conn.Conn)); err != nil || f.CloseCode() != 1001 {
					t.Errorf("got %v (%v)", f, err)
				}
				c.Write(wstest.Masked(wstest.Fin|wstest.Close, wstest.ClosePayload(1001, "")))
			})
		}
	}
	m.Shutdown(context.Background())
	answering.Wait()
	if n, parked := readers(), m.Stats().Parked; n != 0 || parked != 0 {
		t.Errorf("%d readers are left, and %d connections are parked", n, parked)
	}
}
