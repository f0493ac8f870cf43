package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// fault is one way in which a client misbehaves.
type fault struct {
	name string
	what string                  // it does, for the report
	do   func(f *faulty) outcome // until the connection has ended, or behaved well for long enough
	may  []outcome               // what may come of it; the load's end may always come in between
}

// outcome is what came of a fault: one of these, "closed" with a close code, or "status" with that of the handshake's answer.
type outcome string

const (
	served outcome = "served" // the connection goes on as if nothing had happened
	cut    outcome = "cut"    // ended without a close frame
	left   outcome = "left"   // the client ended it
)

func closed(code int) outcome    { return outcome(fmt.Sprint("closed ", code)) }
func status(code int) outcome    { return outcome(fmt.Sprint("status ", code)) }
func refused(why string) outcome { return outcome("refused: " + why) }

// faulty is a client that misbehaves. What it reads is checked as far as numbers go.
type faulty struct {
	*peer
	run    *run
	random *rand.Rand
	user   string
}

// misbehave has one client after the other misbehave until the load ends; each slot begins with another fault.
func (r *run) misbehave(acting context.Context, slot int) {
	random := r.random(faultySlots + slot)
	for next := slot % len(faults); acting.Err() == nil; next = random.IntN(len(faults)) {
		f := &faulty{run: r, random: random, user: fmt.Sprint("faulty", r.users.Add(1))}
		result := faults[next].do(f)
		if f.peer != nil {
			f.Close()
		}
		if acting.Err() == nil || result == closed(1001) { // else it may be the shutdown's doing
			r.note(faults[next], result)
		}
		pause := time.NewTimer(time.Duration(random.Int64N(int64(time.Second))))
		select {
		case <-pause.C:
		case <-acting.Done():
		}
		pause.Stop()
	}
}

// faultySlots is the first slot that is not a healthy client's.
const faultySlots = 1 << 20

// buffer is what the kernel holds for a faulty client, in bytes: little, so that it is full soon. With much less, such as
// 4 KiB, TCP over the loopback interface goes on only now and then, whoever reads and writes.
const buffer = 128 << 10

// dial connects as a user, and returns an outcome when the server refuses.
func (f *faulty) dial(user string) (outcome, bool) {
	p, err := f.run.connect(user, buffer)
	var answer wstest.StatusError
	switch {
	case errors.As(err, &answer):
		return status(int(answer)), false
	case err != nil:
		return cut, false
	}
	p.lax = true
	f.peer = p
	return "", true
}

// reading makes it read and answer in the background, as healthy clients do.
func (f *faulty) reading() { go f.read() }

// result waits until the connection that is read has ended. For one that has not by then it finds out whether it is served.
func (f *faulty) result(within time.Duration) outcome {
	if f.ends(within) {
		if f.code != 0 {
			return closed(f.code)
		}
		return cut
	}
	answer := f.expectEcho("still there?")
	f.Send(wstest.Binary, "still there?")
	select {
	case <-answer:
		return served
	case <-f.over:
		return f.result(0)
	case <-time.After(patience):
		return "no answer"
	}
}

// ends reports whether the connection that is read ends within a time.
func (f *faulty) ends(within time.Duration) bool {
	if within <= 0 {
		<-f.over
		return true
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-f.over:
		return true
	case <-timer.C:
		return false
	}
}

// idle does nothing for a time, reading neither, unless the load's end comes before.
func (f *faulty) idle(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.run.until.Done():
	}
}

// drip writes byte by byte, and returns early when the connection has ended.
func (f *faulty) drip(b []byte, pause time.Duration) {
	f.writing.Lock()
	defer f.writing.Unlock()
	for i := range b {
		if _, err := f.Write(b[i : i+1]); err != nil || f.ends(pause) {
			return
		}
	}
}

// follow subscribes to many topics, without waiting.
func (f *faulty) follow(topics int) {
	for _, i := range f.random.Perm(len(f.run.topics))[:min(topics, len(f.run.topics))] {
		f.Send(wstest.Text, "sub:"+f.run.topics[i])
	}
}
