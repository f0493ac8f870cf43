package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// swarm is a process with many clients, of the package for JavaScript.
type swarm struct {
	t      *testing.T
	stdin  io.Writer
	stdout *bufio.Reader
}

// swarmClient is what one of them has noted.
type swarmClient struct {
	States []swarmState
	Joins  []struct {
		Epoch     string
		Recovered bool
		Why       string
	}
	Gaps int
	Got  []int
}

type swarmState struct {
	State     string
	Code      int
	Delay, At float64 // ms
}

// lost reports whether it has lost a connection.
func (c swarmClient) lost() bool {
	return slices.ContainsFunc(c.States, func(s swarmState) bool { return s.State == "waiting" })
}

func startSwarm(t *testing.T, url string, count int) *swarm {
	t.Helper()
	needPackages(t)
	cmd := exec.Command(tool(t, "node", "nodejs"), "testdata/swarm.mjs", url, strconv.Itoa(count))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, log := launch(t, cmd)
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if said := log.String(); said != "" {
			t.Errorf("the clients say:\n%s", said)
		}
	})
	return &swarm{t, stdin, bufio.NewReader(stdout)}
}

// report returns what the clients have noted up to now.
func (c *swarm) report() (clients []swarmClient) {
	c.t.Helper()
	fmt.Fprintln(c.stdin)
	line, err := c.stdout.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &clients)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return clients
}

// wait waits until something holds of every client, and returns what they have noted then.
func (c *swarm) wait(what string, holds func(swarmClient) bool) []swarmClient {
	c.t.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) { // between two looks
		clients := c.report()
		missing := slices.IndexFunc(clients, func(one swarmClient) bool { return !holds(one) })
		if missing < 0 {
			return clients
		}
		if time.Since(began) > patience {
			c.t.Fatalf("not all of them %s: %+v", what, clients[missing])
		}
	}
}

const clientFolder = "../clients/js"

var packages sync.Once

// needPackages installs what the tests of clients/js need, if nobody has.
func needPackages(t *testing.T) {
	t.Helper()
	packages.Do(func() {
		if _, err := os.Stat(clientFolder + "/node_modules/react"); err == nil {
			return
		}
		cmd := exec.Command(tool(t, "npm", "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
		cmd.Dir = clientFolder
		run(t, cmd)
	})
}

const (
	byeWithin = 1000 // ms, of the server's bye: 1 ms for each of its clients, and a second at least
	byeSlack  = 5000 // ms, to connect in on a busy machine
)

// TestDeploySpreadsClients: one of two processes behind nginx ends. Its clients come back to the other one, not all at once, and are told
// that it numbers messages anew. Those of the other one notice nothing.
func TestDeploySpreadsClients(t *testing.T) {
	t.Parallel()
	const count = 500
	old, other := start(t, "server", fixedAddr(t), "-drain", "1s"), start(t, "server", fixedAddr(t))
	two := adapt(t, block(t, deployment, "nginx", "upstream"), "127.0.0.1:8080", old.addr(), "127.0.0.1:8081", other.addr())
	shown := adapt(t, block(t, deployment, "nginx", "proxy_pass"), "limit_conn sockets 100;", fmt.Sprintf("limit_conn sockets %d;", 2*count))
	c := startSwarm(t, "wss://"+startNginx(t, two+shown, "http://tank")+"/ws", count)
	publish := func(from, to int, servers ...*server) {
		t.Helper()
		for _, s := range servers {
			if err := s.order("stream", from, to); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.wait("have joined", func(one swarmClient) bool { return len(one.Joins) == 1 })
	publish(1, 5, old, other)
	before := c.wait("have the first messages", func(one swarmClient) bool { return len(one.Got) == 5 })
	epochs := map[string]int{}
	for _, one := range before {
		epochs[one.Joins[0].Epoch]++
	}
	if len(epochs) != 2 {
		t.Fatalf("the clients are on %d processes: %v", len(epochs), epochs)
	}

	old.terminate()
	publish(6, 10, other)
	if err := old.wait(); err != nil {
		t.Errorf("the process ended with %v", err)
	}
	c.wait("are back", func(one swarmClient) bool { return len(one.Joins) == 2 || slices.Contains(one.Got, 10) })
	publish(11, 15, other)
	tenths, moved := [10]int{}, 0
	for i, one := range c.wait("have the last message", func(one swarmClient) bool { return slices.Contains(one.Got, 15) }) {
		if one.Gaps > 0 || !slices.IsSorted(one.Got) || len(slices.Compact(slices.Clone(one.Got))) != len(one.Got) {
			t.Errorf("client %d has %v, and was told of %d gaps", i, one.Got, one.Gaps)
		}
		if !one.lost() {
			if len(one.Got) != 15 || len(one.Joins) != 1 {
				t.Errorf("client %d, which was to notice nothing: %+v", i, one)
			}
			continue
		}
		moved++
		one.checkMove(t, i)
		tenths[min(9, int(one.States[1].Delay*10/byeWithin))]++ // a machine that stutters may shift what is measured
	}
	t.Logf("%d of %d clients came back, in tenths of the time: %v", moved, count, tenths)
	if moved < count/4 || slices.Max(tenths[:]) > moved*3/10 {
		t.Errorf("%d of %d clients came back, in tenths of the time: %v", moved, count, tenths)
	}
}

// TestProcessesAreRestartedInTurn: behind nginx, a process that is back takes clients at once. By default nginx avoids a process for some time when
// it was away, and then gives it one connection in that time, until one has ended: those of clients do not end.
func TestProcessesAreRestartedInTurn(t *testing.T) {
	t.Parallel()
	processes := []*server{start(t, "server", fixedAddr(t)), start(t, "server", fixedAddr(t))}
	two := adapt(t, block(t, deployment, "nginx", "upstream"), "127.0.0.1:8080", processes[0].addr(), "127.0.0.1:8081", processes[1].addr())
	addr := startNginx(t, two+block(t, deployment, "nginx", "proxy_pass"), "http://tank")
	for round := range 4 {
		i := round % 2
		at := processes[i].addr()
		processes[i].terminate()
		if err := processes[i].wait(); err != nil {
			t.Errorf("a process ended with %v", err)
		}
		for n := range 5 {
			if _, resp := dial(t, "wss://"+addr+"/ws", "https://"+addr); resp.StatusCode != http.StatusSwitchingProtocols {
				t.Errorf("round %d: connection %d is answered with %s", round+1, n+1, resp.Status)
			}
		}
		processes[i] = start(t, "server", at)
	}
}

// checkMove checks a client that a server has sent to another one.
func (c swarmClient) checkMove(t *testing.T, i int) {
	t.Helper()
	var states []string
	for _, s := range c.States {
		states = append(states, s.State)
	}
	if !slices.Equal(states, []string{"open", "waiting", "connecting", "open"}) {
		t.Fatalf("client %d has been %v", i, states)
	}
	waiting, connecting, open := c.States[1], c.States[2], c.States[3]
	if waiting.Code != 1001 || waiting.Delay > byeWithin {
		t.Errorf("client %d lost its connection with %d, and waits for %.0f ms", i, waiting.Code, waiting.Delay)
	}
	if open.At-waiting.At > byeWithin+byeSlack {
		t.Errorf("client %d is back after %.0f ms", i, open.At-waiting.At)
	}
	if began := connecting.At - waiting.At; began < waiting.Delay-5 { // clocks are rounded
		t.Errorf("client %d waits for %.0f ms, and not for %.0f", i, began, waiting.Delay)
	}
	if join := c.Joins[1]; join.Recovered || join.Why != "epoch" || join.Epoch == c.Joins[0].Epoch {
		t.Errorf("client %d is told %+v, behind %+v", i, join, c.Joins[0])
	}
}
