//go:build unix

package client_test

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/budget"
	"github.com/fanqie/tank-websocket-go-server/internal/poller"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// curious is middleware that has a look at the descriptor of a connection, and so makes it block: that goes with what it shares with the
// file's.
type curious struct{ http.ResponseWriter }

func (c curious) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(c.ResponseWriter).Hijack()
	if err == nil {
		f, _ := conn.(*net.TCPConn).File()
		f.Fd()
		f.Close()
	}
	return conn, buffered, err
}

// floodCurious sends to a peer that reads nothing, behind such middleware, and returns the owner.
func floodCurious(t *testing.T, one *poller.Poller) *owner {
	upgraded := make(chan *client.Conn, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := client.Upgrade(curious{w}, r, client.UpgradeOptions{})
		if err != nil {
			t.Error(err)
		}
		upgraded <- c
	}))
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wstest.Upgrade(conn, wstest.Handshake{}); err != nil {
		t.Fatal(err)
	}
	o := newOwner()
	c := client.New(<-upgraded, &client.Options{
		OutboxBytes: 64 << 20, MessageBytes: 1000, WriteTimeout: 100 * time.Millisecond, CloseTimeout: time.Minute,
		Poller: one, Counters: &client.Counters{}, Budget: budget.New(0, nil),
	}, o)
	var edges sync.WaitGroup
	edges.Go(func() { c.Read(nil) })
	edges.Go(func() {
		for !c.Closing() && c.Queued() < 32<<20 {
			c.Send(&wire.Batch{Messages: 1, Frames: [wire.FrameEncodings][]byte{make([]byte, 64<<10)}})
		}
	})
	t.Cleanup(func() {
		conn.Close()
		edges.Wait()
	})
	return o
}

// A write to a socket that blocks has no deadline.
func TestSocketThatMiddlewareMadeBlock(t *testing.T) {
	eachWay(t, func(t *testing.T, one *poller.Poller) {
		o := floodCurious(t, one)
		select {
		case got := <-o.gone:
			if want := "1006 write timeout"; got != want {
				t.Errorf("gone with %q, want %q", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Error("a write takes longer than the write timeout")
		}
	})
}
