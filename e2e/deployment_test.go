package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// buildProgram builds a program that a page shows, and returns where it is.
func buildProgram(t *testing.T, code string) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "program"), write(t, dir, "main.go", code))
	build.Dir = ".."
	run(t, build)
	return filepath.Join(dir, "program")
}

// The program that the page shows, at the end of its life: it says so to whoever asks, serves those who are connected, sends
// them away a batch at a time, and ends well within the time that it is given.
func TestProgramDrainsOnSIGTERM(t *testing.T) {
	t.Parallel()
	const clients, batch, window = 6, 2, 3 * time.Second
	addr := fixedAddr(t)
	code := adapt(t, block(t, deployment, "go", "package main", "drainWindow"),
		`":8080"`, `"`+addr+`"`,
		"drainWindow   = 20 * time.Second", fmt.Sprintf("drainWindow   = %d * time.Second", window/time.Second),
		"drainBatch    = 100", fmt.Sprintf("drainBatch    = %d", batch))
	p := background(t, exec.Command(buildProgram(t, code)), addr)

	ready := func() int {
		resp, err := http.Get("http://" + addr + "/readyz")
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := ready(); got != http.StatusOK {
		t.Fatalf("/readyz is answered with %d", got)
	}
	type end struct {
		err      error
		at       time.Time
		notReady bool // when it was sent away
	}
	ends := make(chan end, clients)
	for range clients {
		conn, _ := dial(t, "ws://"+addr+"/ws", "http://"+addr)
		go func() {
			_, err := read(t, conn)
			ends <- end{err, time.Now(), ready() != http.StatusOK}
		}()
	}
	terminated := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for i := range clients {
		e := <-ends
		if websocket.CloseStatus(e.err) != websocket.StatusGoingAway {
			t.Errorf("client %d was sent away with %v, want 1001", i+1, e.err)
		}
		if !e.notReady {
			t.Errorf("client %d was sent away while /readyz still said yes", i+1)
		}
		if due := window / (clients / batch) * time.Duration(i/batch); e.at.Sub(terminated) < due-100*time.Millisecond {
			t.Errorf("client %d was sent away after %v, too early for %v", i+1, e.at.Sub(terminated), due)
		}
		if i == 0 {
			if _, resp := dial(t, "ws://"+addr+"/ws", "http://"+addr); resp.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("a new connection is answered with %s while the program drains", resp.Status)
			}
			if got := ready(); got != http.StatusServiceUnavailable {
				t.Errorf("/readyz is answered with %d while the program drains", got)
			}
		}
	}
	if err := p.wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
	if took := time.Since(terminated); took > window+10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// The times that the page shows fit into each other: what a program is given is longer than what it takes.
func TestTimesOfDeploymentFit(t *testing.T) {
	program := block(t, deployment, "go", "package main", "drainWindow")
	window, grace := duration(t, program, `drainWindow\s+= (\d+) \* time.Second`), duration(t, program, `shutdownGrace\s+= (\d+) \* time.Second`)
	stop := duration(t, block(t, deployment, "ini"), `TimeoutStopSec=(\d+)`)
	pod := podSpec(t)
	patience := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second
	pause := time.Duration(pod.Containers[0].Lifecycle.PreStop.Sleep.Seconds) * time.Second
	const closeTimeout = 5 * time.Second

	for what, fits := range map[string]bool{
		"the drain window and the close timeout into the context of Shutdown": window+closeTimeout < grace,
		"the context of Shutdown into TimeoutStopSec":                         grace < stop,
		"preStop and that context into terminationGracePeriodSeconds":         pause+grace < patience,
	} {
		if !fits {
			t.Errorf("this does not fit: %s (window %v, context %v, systemd %v, pod %v, preStop %v)", what, window, grace, stop, patience, pause)
		}
	}
	table := tableOfTimes(t)
	for what, want := range map[string]time.Duration{
		"drain window":                  window,
		"context of `Shutdown`":         grace,
		"`TimeoutStopSec`":              stop,
		"`terminationGracePeriodSecond": patience,
	} {
		if !strings.Contains(table, what) || !regexp.MustCompile(regexp.QuoteMeta(what)+`[^|]*\| `+fmt.Sprintf("%.0f s", want.Seconds())+` \|`).MatchString(table) {
			t.Errorf("the table of times does not say that %s has %v", what, want)
		}
	}
}

// duration returns the seconds that a pattern finds.
func duration(t *testing.T, text, pattern string) time.Duration {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("nothing matches %s in\n%s", pattern, text)
	}
	d, err := time.ParseDuration(m[1] + "s")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// tableOfTimes returns the page's rows with times.
func tableOfTimes(t *testing.T) string {
	t.Helper()
	var rows []string
	for _, line := range strings.Split(pageText(t, deployment), "\n") {
		if strings.HasPrefix(line, "|") && strings.Contains(line, " s |") {
			rows = append(rows, line)
		}
	}
	return strings.Join(rows, "\n")
}

// systemd takes the unit without complaint. What it starts is there, in place of the program that the page names.
func TestSystemdTakesTheUnit(t *testing.T) {
	t.Parallel()
	analyze, dir := tool(t, "systemd-analyze", "systemd"), t.TempDir()
	verify := func(unit string) (string, error) {
		out, err := exec.Command(analyze, "verify", write(t, dir, "hello.service", unit)).CombinedOutput()
		return string(out), err
	}
	unit := adapt(t, block(t, deployment, "ini"), "/usr/local/bin/hello", "/bin/true")
	if said, err := verify(unit); err != nil || said != "" {
		t.Errorf("systemd-analyze verify: %v\n%s", err, said)
	}
	// It complains about what is wrong, and so does not agree to everything.
	if said, _ := verify(adapt(t, unit, "TimeoutStopSec", "TimoutStopSec")); !strings.Contains(said, "TimoutStopSec") {
		t.Errorf("systemd-analyze verify says nothing about a key that does not exist: %q", said)
	}
}
