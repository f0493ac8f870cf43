package client_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/poller"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// awaitReaders waits until so many readers have a goroutine.
func awaitReaders(t *testing.T, want int) {
	t.Helper()
	stacks := make([]byte, 4<<20)
	var got int
	for range 5000 {
		got = strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "client.(*Client).read(")
		if got == want {
			return
		}
		time.Sleep(time.Millisecond) // the last look was too early
	}
	t.Fatalf("%d readers have a goroutine, want %d", got, want)
}

func TestIdleClientsHaveNoGoroutine(t *testing.T) {
	one := poller.New()
	pairs := make([]*pair, 50)
	for i := range pairs {
		pairs[i] = newSocketPair(t, one)
	}
	say := func(p *pair, text string) {
		t.Helper()
		io.WriteString(p.conn, masked(1, text))
		if got := <-p.received; got != "false "+text {
			t.Fatalf("got %q, want %q", got, text)
		}
	}
	awaitReaders(t, 0)
	for i, p := range pairs {
		say(p, fmt.Sprint(i))
	}
	awaitReaders(t, 0)
	begun, rest := masked(1, "half a message")[:9], masked(1, "half a message")[9:]
	io.WriteString(pairs[7].conn, begun)
	awaitReaders(t, 1)
	say(pairs[8], "others do not wait")
	awaitReaders(t, 1)
	io.WriteString(pairs[7].conn, rest)
	if got := <-pairs[7].received; got != "false half a message" {
		t.Fatalf("got %q", got)
	}
	for range 100 { // in a row
		say(pairs[9], "again")
	}
	awaitReaders(t, 0)
	say(pairs[9], "and again")
	for _, p := range pairs[:25] {
		p.Cut("end")
		<-p.gone
	}
	for _, p := range pairs[25:] {
		p.conn.Close()
		<-p.gone
	}
	awaitReaders(t, 0)
}

func TestMessageTimeoutOfAClientWithoutAGoroutine(t *testing.T) {
	p := dialSocketPair(t, &net.Dialer{}, func(o *client.Options) { o.Poller, o.MessageTimeout = poller.New(), 50*time.Millisecond })
	awaitReaders(t, 0)
	io.WriteString(p.conn, masked(1, "whole"))
	<-p.received
	awaitReaders(t, 0)
	io.WriteString(p.conn, masked(1, "whole")+masked(1, "half")[:7])
	<-p.received
	p.expectFrames(t, "\x88\x17\x03\xf0message took too long")
	<-p.gone
}

// A reader that waits for the next message does so in its goroutine for a moment only. That is no limit for the rest of a message.
func TestWithoutMessageTimeoutTheRestMayComeAtAnyTime(t *testing.T) {
	one := poller.New()
	slow, other := newSocketPair(t, one), newSocketPair(t, one)
	say := func(p *pair) {
		io.WriteString(p.conn, masked(1, "whole"))
		<-p.received
	}
	say(slow)
	say(slow) // so it is busy
	begun, rest := masked(1, "half a message")[:9], masked(1, "half a message")[9:]
	io.WriteString(slow.conn, begun)
	awaitReaders(t, 1)
	say(other)
	say(other)
	awaitReaders(t, 1) // the moment of the other has passed, and so has the slow one's
	io.WriteString(slow.conn, rest)
	select {
	case got := <-slow.received:
		if got != "false half a message" {
			t.Fatalf("got %q", got)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the rest of the message was not read")
	}
	for _, p := range []*pair{slow, other} {
		p.Cut("end")
		<-p.gone
	}
}

// A reader goes to sleep and is woken while a peer sends at all paces: nothing is missed, whatever comes in between.
func TestNothingIsMissedBetweenTwoGoroutines(t *testing.T) {
	p := newSocketPair(t, poller.New())
	const messages = 300
	go func() {
		for i := range messages {
			text := string(wstest.Masked(wstest.Fin|wstest.Text, fmt.Sprint(i)))
			cut := i % len(text)
			io.WriteString(p.conn, text[:cut])
			if i%3 == 0 {
				time.Sleep(time.Duration(i%7) * 30 * time.Microsecond)
			}
			io.WriteString(p.conn, text[cut:])
			if i%50 == 0 {
				time.Sleep(101 * time.Millisecond) // so that it is not busy any more
			} else if i%5 == 0 {
				time.Sleep(time.Duration(i%11) * 20 * time.Microsecond)
			}
		}
	}()
	for i := range messages {
		if got, want := <-p.received, fmt.Sprint("false ", i); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	p.Cut("end")
	<-p.gone
}
