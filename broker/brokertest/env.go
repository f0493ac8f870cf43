package brokertest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

const (
	// patience is how long a case waits for what has to come.
	patience = 10 * time.Second
	// atOnce is how long a call may take that does not wait for the network, on a machine that has other things to do.
	atOnce = 2 * time.Second
	// label marks the goroutines of a case, and those that they start.
	label = "brokertest"
)

// runs counts cases, so that each has a label of its own.
var runs atomic.Int64

// env is what a case works with. Its methods are for the goroutine of the case.
type env struct {
	testing.TB
	impl   Implementation
	group  Group
	keep   bool // the case is about names that are kept
	id     string
	nodes  []*member
	ended  bool
	faults journal[string] // by any goroutine

	// About names that are kept.
	sent    journal[sent] // what Publish has returned nil for
	forgets bool          // the case has dropped what was kept
}

// newEnv begins a case.
func newEnv(t testing.TB, impl Implementation, keep bool) *env {
	t.Helper()
	e := &env{TB: t, impl: impl, group: impl.Open(t), keep: keep, id: fmt.Sprint(runs.Add(1))}
	e.atEnd()
	e.mark(true)
	return e
}

// kept reports whether a name is one that is kept: in a case about those, each that does not begin with "plain".
func (e *env) kept(name string) bool { return e.keep && !strings.HasPrefix(name, "plain") }

// mark labels the goroutine of the case, or ends that.
func (e *env) mark(on bool) {
	ctx := context.Background()
	if on {
		ctx = pprof.WithLabels(ctx, pprof.Labels(label, e.id))
	}
	pprof.SetGoroutineLabels(ctx)
}

// outside calls a function of the group. Goroutines that it starts are not a broker's.
func (e *env) outside(f func()) {
	e.mark(false)
	defer e.mark(true)
	f()
}

func (e *env) breakServer() { e.outside(e.group.Break) }

func (e *env) healServer() { e.outside(e.group.Heal) }

// atEnd has the case end before what the group has registered with Cleanup so far.
func (e *env) atEnd() { e.Cleanup(e.end) }

// end ends a case: with all that has to be so at the end of each. Later calls do nothing.
func (e *env) end() {
	e.Helper()
	if e.ended {
		return
	}
	e.ended = true
	e.mark(true)
	for _, m := range e.nodes {
		for _, r := range m.receivers {
			r.open()
		}
		if !m.closed {
			m.close()
		}
	}
	e.mark(false)
	if e.impl.Bubble {
		time.Sleep(time.Second) // costs nothing, and shows what comes after the end
	}
	e.noGoroutines()
	for _, m := range e.nodes {
		m.check()
	}
	e.checkNumbers()
	for _, fault := range e.faults.all() {
		e.Errorf("brokertest: %s", fault)
	}
}

// noGoroutines waits until those of the case have ended.
func (e *env) noGoroutines() {
	e.Helper()
	pause := time.Millisecond
	for deadline := time.Now().Add(patience); ; pause = min(2*pause, 200*time.Millisecond) {
		left := e.goroutines()
		if left == "" {
			return
		}
		if time.Now().After(deadline) {
			e.Errorf("brokertest: expected that goroutines of a broker have ended soon after Close; %v later there are\n%s", patience, left)
			return
		}
		time.Sleep(pause)
	}
}

// goroutines returns the stacks of those that have the label of the case.
func (e *env) goroutines() string {
	var profile bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1) // to memory
	var found strings.Builder
	var stack []string
	mine := false
	flush := func() {
		if mine {
			found.WriteString(strings.Join(stack, "\n") + "\n")
		}
		stack, mine = nil, false
	}
	for lines := bufio.NewScanner(&profile); lines.Scan(); {
		line := lines.Text()
		if line == "" {
			flush()
			continue
		}
		stack = append(stack, line)
		mine = mine || strings.HasPrefix(line, "# labels: ") && strings.Contains(line, fmt.Sprintf("%q:%q", label, e.id))
	}
	flush()
	return found.String()
}

// wait waits until something is so, and ends the case when that takes too long. expected completes "expected".
func (e *env) wait(is func() bool, expected string, args ...any) {
	e.Helper()
	pause := 20 * time.Microsecond
	for deadline := time.Now().Add(patience); !is(); pause = min(2*pause, 5*time.Millisecond) {
		if time.Now().After(deadline) {
			e.Fatalf("brokertest: expected %s; %v later it is not so", fmt.Sprintf(expected, args...), patience)
		}
		time.Sleep(pause)
	}
}

// promptly calls something that must not take long. what completes "expected".
func (e *env) promptly(call func(), what string) {
	e.Helper()
	began := time.Now()
	call()
	if took := time.Since(began); took > atOnce {
		e.Errorf("brokertest: expected %s at once; it took %v", what, took)
	}
}

func within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// text is the publication of a string.
func text(s string) broker.Publication { return broker.Publication{Data: s} }

// journal is a list that any goroutine may add to.
type journal[T any] struct{ last atomic.Pointer[entry[T]] }

type entry[T any] struct {
	value  T
	number int // of entries up to this one
	before *entry[T]
}

func (j *journal[T]) add(value T) {
	for {
		last := j.last.Load()
		e := &entry[T]{value, 1, last}
		if last != nil {
			e.number = last.number + 1
		}
		if j.last.CompareAndSwap(last, e) {
			return
		}
	}
}

func (j *journal[T]) len() int {
	if last := j.last.Load(); last != nil {
		return last.number
	}
	return 0
}

// all returns the entries, oldest first.
func (j *journal[T]) all() []T {
	last := j.last.Load()
	if last == nil {
		return nil
	}
	list := make([]T, last.number)
	for e := last; e != nil; e = e.before {
		list[e.number-1] = e.value
	}
	return list
}
