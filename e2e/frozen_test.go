package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// Two browsers in a room, one of which is frozen: what the other one sees, and what the frozen one has thereafter.

// otherBrowser is a browser whose processes can be stopped, and nobody else's pages with them.
type otherBrowser struct {
	ctx  context.Context
	t    *testing.T
	root int // its first process, of which all others are descendants
}

func startOtherBrowser(t *testing.T) *otherBrowser {
	t.Helper()
	chromium, err := findChromium()
	if err != nil {
		t.Fatal(err)
	}
	profile := filepath.Join(t.TempDir(), "profile")
	ctx, stop, err := startBrowser(chromium, profile)
	if err != nil {
		t.Fatal(err)
	}
	b := &otherBrowser{ctx: ctx, t: t}
	for pid, p := range processes(t) {
		if strings.Contains(p.command, profile) && !strings.Contains(p.command, "--type=") {
			b.root = pid
		}
	}
	if b.root == 0 {
		t.Fatal("the browser has no process")
	}
	t.Cleanup(func() {
		b.signal(syscall.SIGCONT, "")
		stop()
	})
	return b
}

type aProcess struct {
	parent  int
	command string // with zeroes between its arguments
}

// processes returns all that run.
func processes(t *testing.T) map[int]aProcess {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("this test needs /proc: %v", err)
	}
	all := map[int]aProcess{}
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		stat, err1 := os.ReadFile(filepath.Join(dir, "stat"))
		command, err2 := os.ReadFile(filepath.Join(dir, "cmdline"))
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // proc(5): state, parent
		if err1 != nil || err2 != nil || len(fields) < 2 {
			continue // it has ended
		}
		parent, _ := strconv.Atoi(string(fields[1]))
		all[pid] = aProcess{parent, string(command)}
	}
	return all
}

// signal sends a signal to the processes of a type, such as "renderer", which has the pages and not the network; or to all.
func (b *otherBrowser) signal(sig syscall.Signal, kind string) {
	b.t.Helper()
	all, sent := processes(b.t), 0
	for pid, p := range all {
		ours := pid == b.root
		for up := p.parent; up > 1 && !ours; up = all[up].parent {
			ours = up == b.root
		}
		if ours && (kind == "" || strings.Contains(p.command, "--type="+kind)) && syscall.Kill(pid, sig) == nil {
			sent++
		}
	}
	if sent == 0 {
		b.t.Fatalf("the browser has no process %s", kind)
	}
}

// room is where ann is, and bob, whose browser is frozen now and then.
type room struct {
	t        *testing.T
	m        *tank.Manager
	ann, bob *page
	frozen   *otherBrowser
}

const grace = 5 * time.Second

func openRoom(t *testing.T, options ...tank.Option) *room {
	t.Helper()
	m, s := serveTank(t, append([]tank.Option{tank.WithTopics("room", tank.TopicOptions{
		History:  tank.History{Messages: 100_000},
		Presence: tank.Presence{Enabled: true, Grace: grace},
	})}, options...)...)
	r := &room{t: t, m: m, frozen: startOtherBrowser(t)}
	r.ann, r.bob = open(t, s, "ann", look{}), openIn(t, r.frozen.ctx, s, "bob", look{})
	for _, p := range []*page{r.ann, r.bob} {
		p.wait(`window.connect_`)
		p.run(`connect_("/ws?user_id=` + p.name + `"); Object.assign(window, { late_: [], here_: [], seen_: 0 });
			tank_.subscribe("room", {
				presence: true,
				onMessage: ({ data: [n, at], seq }) => { got_.push(n); late_.push(Date.now() - at); seen_ = seq; },
				onPresence: ({ n }, { in: come, out }) => here_.push({ n, come, out }),
				onJoin(join) {
					if (told_.push(join) > 1 && !join.recovered) got_.push(["missed", seen_, join.position[1]]);
				},
				onGap(gap) {
					told_.push(gap);
					got_.push(["missed", gap.from[1], gap.to[1]]);
				},
			})`)
		p.wait(`told_.length === 1`)
	}
	r.ann.wait(`here_.at(-1)?.n === 2`)
	r.ann.run(`here_.length = 0`)
	return r
}

// publish publishes a number, from 0 on: the topic's number is one more.
func (r *room) publish(n int, padding string) {
	r.t.Helper()
	if err := r.m.PublishJSON(r.t.Context(), "room", []any{n, time.Now().UnixMilli(), padding}); err != nil {
		r.t.Fatal(err)
	}
}

// seesTwo checks that ann has not been told of anybody's coming or going, and nor has the program.
func (r *room) seesTwo(when string) {
	r.t.Helper()
	if here := eval[string](r.ann, `JSON.stringify(here_)`); here != "[]" {
		r.t.Errorf("%s: ann is told %s", when, here)
	}
	if present, err := r.m.Presence("room"); err != nil || present.Users != 2 {
		r.t.Errorf("%s: %+v, %v are in the room", when, present, err)
	}
}

// waitClients waits until the server has so many connections.
func (r *room) waitClients(n int) {
	r.t.Helper()
	for began := time.Now(); r.m.Stats().Clients != n; time.Sleep(10 * time.Millisecond) { // between two looks
		if time.Since(began) > patience {
			r.t.Fatalf("the server has %d connections, want %d", r.m.Stats().Clients, n)
		}
	}
}

// hasAll waits until a page has the last of so many numbers, and checks that it has each once, in order, or was told where some are missing.
func (p *page) hasAll(n int) {
	p.t.Helper()
	p.wait(fmt.Sprintf(`got_.at(-1) === %d`, n-1))
	checkStream(p.t, p.name, eval[[]any](p, `got_`), n)
}

// wasToldOfLosses returns what a page was told of messages that it does not have.
func (p *page) wasToldOfLosses() string {
	p.t.Helper()
	return eval[string](p, `JSON.stringify(got_.filter(Array.isArray))`)
}

// TestAFrozenPage does not leave while its socket stands, although none of its code runs: the browser's network process answers pings.
// Nobody else waits for it, and it has everything as soon as it goes on.
func TestAFrozenPage(t *testing.T) {
	t.Parallel()
	r := openRoom(t, tank.WithHeartbeat(time.Second, 2*time.Second))
	const last = 1000
	r.frozen.signal(syscall.SIGSTOP, "renderer")
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for n := range last {
		<-pace.C
		r.publish(n, "")
		if n%100 == 0 {
			r.seesTwo("while bob is frozen")
		}
	}
	r.ann.hasAll(last)
	late := eval[[]int](r.ann, `late_`)
	slices.Sort(late)
	t.Logf("ann gets a message after %d ms, 99%% within %d ms, all within %d ms", late[len(late)/2], late[len(late)*99/100], late[len(late)-1])
	if late[len(late)/2] > 250 { // on a busy machine
		t.Error("ann waits for bob")
	}
	r.frozen.signal(syscall.SIGCONT, "renderer")
	r.bob.hasAll(last)
	r.seesTwo("behind that")
	if lost := r.bob.wasToldOfLosses(); lost != "[]" {
		t.Errorf("bob has lost %s", lost)
	}
	if states := eval[int](r.bob, `states_.length`); states != 1 {
		t.Errorf("bob's connection was lost: %s", eval[string](r.bob, `JSON.stringify(states_)`))
	}
}

// TestAFrozenBrowser: nothing answers any more, so the server gives the connection up. The user has time to come back, during which
// nothing is told.
func TestAFrozenBrowser(t *testing.T) {
	t.Parallel()
	r := openRoom(t, tank.WithHeartbeat(time.Second, 2*time.Second))
	n := 0
	publish := func() {
		for range 100 {
			r.publish(n, "")
			n++
		}
	}
	publish()
	r.frozen.signal(syscall.SIGSTOP, "")
	r.waitClients(1)
	publish()
	r.seesTwo("when bob's connection has ended")
	r.frozen.signal(syscall.SIGCONT, "")
	r.waitClients(2)
	r.bob.hasAll(n)
	r.ann.hasAll(n)
	r.seesTwo("when bob is back in time")

	r.frozen.signal(syscall.SIGSTOP, "")
	r.waitClients(1)
	ended := time.Now()
	publish()
	r.ann.wait(`here_.length > 0`)
	if after := time.Since(ended); after < grace-time.Second || after > grace+5*time.Second { // up to 2 s later, and told within 1 s
		t.Errorf("bob leaves %v after the end of the connection", after)
	}
	r.frozen.signal(syscall.SIGCONT, "")
	r.ann.wait(`here_.length > 1`)
	r.bob.hasAll(n)
	r.ann.hasAll(n)
	if here := eval[string](r.ann, `JSON.stringify(here_)`); here != cameBack {
		t.Errorf("ann is told %s", here)
	}
	if lost := r.bob.wasToldOfLosses(); lost != "[]" {
		t.Errorf("bob has lost %s", lost)
	}
}

// TestAFrozenPageIsTooSlow: more is published than browser, system and server keep for it. Then it is told where something is missing.
func TestAFrozenPageIsTooSlow(t *testing.T) {
	t.Parallel()
	t.Run("drop", func(t *testing.T) {
		t.Parallel()
		patient := tank.WithLimits(tank.Limits{WriteTimeout: time.Minute})
		r := openRoom(t, tank.WithOutboxPolicy(tank.OutboxDropOldest), patient, longHeartbeat)
		n := r.publishTooMuch()
		r.seesTwo("while bob is frozen")
		r.frozen.signal(syscall.SIGCONT, "renderer")
		r.bob.wait(`told_.length > 1`)
		r.publish(n, "")
		r.bob.hasAll(n + 1)
		r.seesTwo("behind that")
		if others := eval[string](r.bob, `JSON.stringify(told_.slice(1).filter(({ why, from, to, missed }) => why !== "lost" || to[1] - from[1] !== missed))`); others != "[]" {
			t.Errorf("bob is told %s", others)
		}
		if states := eval[int](r.bob, `states_.length`); states != 1 {
			t.Errorf("bob's connection was lost: %s", eval[string](r.bob, `JSON.stringify(states_)`))
		}
	})
	t.Run("disconnect", func(t *testing.T) {
		t.Parallel()
		r := openRoom(t, longHeartbeat)
		n := r.publishTooMuch()
		r.waitClients(1)
		r.ann.wait(`here_.length > 0`)
		r.frozen.signal(syscall.SIGCONT, "renderer")
		r.bob.wait(`told_.length > 1`)
		r.publish(n, "")
		r.bob.hasAll(n + 1)
		if evicted := r.m.Stats().Evicted; evicted != 1 {
			t.Errorf("%d clients were evicted", evicted)
		}
		switch why := eval[string](r.bob, `told_[1].why + " " + states_.find(({ state }) => state === "waiting").code`); why {
		case "evicted 1013":
		case "evicted 1006": // the system's buffer ends within a message, and has no room for a close frame
		default:
			t.Errorf("bob is told %s", why)
		}
		r.ann.wait(`here_.length > 1`)
		if here := eval[string](r.ann, `JSON.stringify(here_)`); here != cameBack {
			t.Errorf("ann is told %s", here)
		}
	})
}

// longHeartbeat is for pages that do not read: pings are behind what they do not read.
var longHeartbeat = tank.WithHeartbeat(30*time.Second, 30*time.Second)

// cameBack is what ann is told when bob leaves and comes back.
const cameBack = `[{"n":1,"come":[],"out":["bob"]},{"n":2,"come":["bob"],"out":[]}]`

// publishTooMuch freezes bob's page, and publishes 30 MB, at the pace of ann, who has them in the end. It returns how many numbers.
func (r *room) publishTooMuch() int {
	r.t.Helper()
	const numbers = 1500
	padding := strings.Repeat("x", 20_000)
	r.frozen.signal(syscall.SIGSTOP, "renderer")
	for n := range numbers {
		r.publish(n, padding)
		if n%25 == 24 {
			r.ann.wait(fmt.Sprintf(`got_.at(-1) === %d`, n))
		}
	}
	r.ann.hasAll(numbers)
	if lost := r.ann.wasToldOfLosses(); lost != "[]" {
		r.t.Errorf("ann has lost %s", lost)
	}
	return numbers
}
