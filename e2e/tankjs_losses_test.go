package e2e

import (
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestTankComesBackWhenTheBrowserIsOnlineAgain, and does not wait for the end of its delay. Without a network, Chromium lets an open
// connection be, but nothing comes through any more.
func TestTankComesBackWhenTheBrowserIsOnlineAgain(t *testing.T) {
	t.Parallel()
	m, s := serveTank(t)
	p := openTank(t, s, "/ws", `{}`)
	p.run(`Math.random = () => 1; addEventListener("online", () => { window.online_ = performance.now(); })`) // the longest delays
	stop := numbers(t, m)
	p.online(false)
	p.run(`tank_.connect()`) // as a button does: or the page would notice within 35 s
	p.wait(`states_.at(-1).delay >= 4000`)
	if reason := eval[string](p, `states_.find(({ state }) => state === "waiting").reason`); reason != "the server is silent" {
		t.Errorf("the connection was lost, because %s", reason)
	}
	p.online(true)
	p.wait(`states_.at(-1).state === "open"`)
	if took := eval[float64](p, `states_.at(-1).at - online_`); took > 3000 {
		t.Errorf("the page is back %.0f ms after it is online", took)
	}
	p.expectNumbers(stop())
}

// TestTankOutlivesAStoppedServer: a process that is stopped for a minute keeps its connections, and says nothing.
func TestTankOutlivesAStoppedServer(t *testing.T) {
	t.Parallel()
	const heartbeat, limit = time.Second, 10 * time.Second // the server's, and the client's
	s := start(t, "server", "127.0.0.1:0")
	_, pages := serveTank(t)
	p := openTank(t, pages, s.url+"ws", `{}`)
	signal := func(sig syscall.Signal) {
		t.Helper()
		if err := s.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.order("stream", 1, 100); err != nil {
		t.Fatal(err)
	}
	p.wait(`got_.length === 100`)
	p.run(`window.stopped_ = performance.now()`)
	signal(syscall.SIGSTOP)
	over := time.After(time.Minute)
	published := make(chan error, 1)
	go func() { published <- s.order("stream", 101, 200) }() // which the server does as soon as it goes on
	p.wait(`states_.length > 1`)
	took := time.Duration(eval[float64](p, `states_[1].at - stopped_`) * float64(time.Millisecond))
	t.Log("noticed after", took)
	if took > heartbeat+limit+2*time.Second { // on a busy machine
		t.Errorf("noticed after %v", took)
	}
	<-over
	if eval[bool](p, `states_.some(({ state, at }) => state === "open" && at > stopped_)`) {
		t.Error("a server that is stopped has opened a connection")
	}
	signal(syscall.SIGCONT)
	if err := <-published; err != nil {
		t.Error(err)
	}
	p.expectNumbers(200)
}

// TestTankSurvivesCuts: the client loses its link so often, E2E_CUTS, during a steady stream.
func TestTankSurvivesCuts(t *testing.T) {
	t.Parallel()
	cuts := 1000
	if text := os.Getenv("E2E_CUTS"); text != "" {
		var err error
		if cuts, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	m, s := serveTank(t)
	link := newCutter(t, s.addr())
	p := openTank(t, s, "http://"+link.listener.Addr().String()+"/ws", `{}`)
	p.run(shortDelays)
	stop := numbers(t, m)
	for i := range cuts {
		time.Sleep(rand.N(20 * time.Millisecond))
		link.set(true)
		time.Sleep(rand.N(10 * time.Millisecond))
		link.set(false)
		if i%10 == 9 { // it is seen to come back, and not only between two cuts
			p.wait(`tank_.state === "open"`)
		}
	}
	p.expectNumbers(stop())
	losses, joins := eval[int](p, `states_.filter(({ state }) => state === "waiting").length`), eval[int](p, `told_.length`)
	t.Logf("%d losses, %d subscriptions, %d numbers", losses, joins, eval[int](p, `got_.length`))
	if losses < cuts/20 || joins < cuts/20 { // on a busy machine, most cuts meet no connection
		t.Errorf("the page lost its connection %d times, and had its subscription %d times", losses, joins)
	}
}
