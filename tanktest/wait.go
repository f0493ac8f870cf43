package tanktest

import (
	"fmt"
	"strings"
	"testing/synctest"
	"time"
)

// What a test waits for, whatever the client speaks.

// Next returns the next message that the client has received, and waits for it. It fails the test when the connection ends
// before one comes, or none has come within Server.Patience.
func (c *peer) Next() Message {
	c.t.Helper()
	return c.next("a message")
}

func (c *peer) next(what string) Message {
	c.t.Helper()
	return c.nextUntil(time.Now().Add(c.s.Patience), what)
}

// nextUntil is next with a deadline, at the end of the patience.
func (c *peer) nextUntil(deadline time.Time, what string) Message {
	c.t.Helper()
	m, ok := c.inbox.take(c.ended, time.Until(deadline))
	switch {
	case ok:
	case c.hasEnded():
		c.fail("waiting for %s: %s", what, c.ending())
	case c.frozen:
		c.fail("waiting for %s: nothing can come, because the client is frozen; see Thaw", what)
	default:
		c.fail("waiting for %s: nothing came within %v", what, c.s.Patience)
	}
	c.last = &m
	return m
}

// nextAbout returns the next message that is about something, and passes over those that are not. Its deadline is that of next.
func (c *peer) nextAbout(what string, about func(Message) bool) Message {
	c.t.Helper()
	deadline := time.Now().Add(c.s.Patience)
	waiting := what
	for passed := 1; ; passed++ {
		if got := c.nextUntil(deadline, waiting); about(got) {
			return got
		}
		waiting = fmt.Sprintf("%s, behind %d messages of other sources", what, passed)
	}
}

// ExpectClose fails the test unless the connection ends with this close code, all messages before it have been looked at, and
// the server has hung up. It waits for that no longer than Server.Patience. 1006 stands for the end without a close frame, as
// in browsers. It may be called again.
func (c *peer) ExpectClose(code int) (reason string) {
	c.t.Helper()
	m, ok := c.inbox.take(c.ended, c.s.Patience)
	bye := c.goodbye.Load()
	switch {
	case ok:
		c.last = &m
		c.fail("waiting for close %d: got %v", code, m)
	case !c.hasEnded() && c.frozen:
		c.fail("waiting for close %d: the client is frozen, so it would not notice; see Thaw", code)
	case !c.hasEnded() && bye != nil:
		c.fail("waiting for close %d: the server said %v, but has not hung up within %v", code, bye, c.s.Patience)
	case !c.hasEnded():
		c.fail("waiting for close %d: the connection has not ended within %v", code, c.s.Patience)
	case c.end.broken:
		c.fail("waiting for close %d: %s", code, c.ending())
	case c.end.code != code:
		c.fail("waiting for close %d: the connection has ended otherwise", code)
	}
	return c.end.reason
}

// ExpectNothing fails the test when there is a message that has not been looked at, or the connection has ended.
//
// In a synctest bubble it waits until everything in the bubble has come to rest, which takes no time: what it has not seen
// then will not come by itself. Outside, it has to wait for a tenth of a second, and what comes later escapes it. There,
// better publish one thing more that has to come, and Expect it.
func (c *peer) ExpectNothing() {
	c.t.Helper()
	if c.frozen {
		c.fail("ExpectNothing: nothing can come, because the client is frozen; see Thaw")
	}
	if !settle() {
		time.Sleep(quiet)
	}
	if waiting := c.inbox.peek(); len(waiting) > 0 {
		c.fail("ExpectNothing: got %v", waiting[0])
	}
	if c.hasEnded() {
		c.fail("ExpectNothing: %s", c.ending())
	}
}

// quiet is how long ExpectNothing waits outside of a bubble.
const quiet = 100 * time.Millisecond

// settle waits until everything in the bubble has come to rest. It reports false, at once, when there is no bubble.
func settle() (inBubble bool) {
	defer func() {
		if p := recover(); p != nil && !strings.Contains(fmt.Sprint(p), "not in a bubble") {
			panic(p)
		}
	}()
	synctest.Wait()
	return true
}

// Rest waits until the connection has ended, and returns all messages that have not been looked at. It fails the test when
// the connection has not ended within Server.Patience.
func (c *peer) Rest() []Message {
	c.t.Helper()
	c.awaitEnd("Rest")
	rest := c.inbox.clear()
	if len(rest) > 0 {
		c.last = &rest[len(rest)-1]
	}
	return rest
}

func (c *peer) awaitEnd(verb string) {
	c.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(c.s.Patience):
		c.fail("%s: the connection has not ended within %v", verb, c.s.Patience)
	}
	if c.end.broken {
		c.fail("%s: %s", verb, c.ending())
	}
}
