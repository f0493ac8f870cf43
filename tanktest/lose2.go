package tanktest

import (
	"slices"
	"time"
)

// Lose, and what it has to know: where the client stood before each message that may still be lost.

// flight is what is known of a message that is in flight: where the client stood in the message's topic before it came; nil: nowhere.
type flight struct{ place *standing }

// copy returns a copy that does not change; nil of nil.
func (s *standing) copy() *standing {
	if s == nil {
		return nil
	}
	was := *s
	return &was
}

// arrive takes note that what has come before has arrived, as an answer that came behind it has.
func (in inbox) arrive() {
	list := in.grab()
	for i := len(list) - 1; i >= 0 && list[i].flight != nil; i-- {
		list[i].flight = nil
	}
	in.giveBack(list)
}

// undo takes back a message that has not arrived. Those behind it have been taken back before.
func (n *notes) undo(m Message) {
	switch {
	case m.Topic == "":
	case m.flight.place == nil:
		delete(n.topics, m.Topic)
	default:
		n.topics[m.Topic] = m.flight.place
	}
}

// Lose cuts the connection while n messages of topics are in flight: they never arrive, as when a link breaks before the client has read
// what the server has written. The test gets none of them, and the client's position is what it was before them. So Resume asks for them,
// and they come if their topics keep them.
//
// In flight is what the test has not looked at and what came behind the last answer to a command, because everything in front of an answer
// has arrived with it. The last n messages of that are lost, whatever their topics, and everything that came between or behind them. A
// message with number 0 does not count. What came before them can be looked at.
//
// In a synctest bubble it waits first until everything in the bubble has come to rest. Then it waits until n messages are in flight, and
// fails the test when they are not within Server.Patience. Outside of a bubble, messages that the server has not written by then are lost,
// too.
func (c *ClientV2) Lose(n int) {
	c.t.Helper()
	if n < 1 {
		c.fail("Lose(%d): it has to be a message at least; see Cut", n)
	}
	came := c.awaitFlight(n)
	c.Cut()
	came = append(came, c.inbox.clear()...)
	from := lastInFlight(came, n)
	notes, giveBack := c.talk.take()
	for _, m := range slices.Backward(came[from:]) {
		notes.undo(m)
	}
	giveBack()
	c.keep(came[:from])
}

// awaitFlight takes all that has come out of the inbox, as soon as n messages of it are in flight.
func (c *ClientV2) awaitFlight(n int) (came []Message) {
	c.t.Helper()
	settle()
	came = c.inbox.clear()
	for deadline := time.Now().Add(c.s.Patience); ; {
		enough := lastInFlight(came, n) >= 0
		if enough && !c.hasEnded() {
			return came
		}
		if !enough && !c.frozen {
			if m, ok := c.inbox.take(c.ended, time.Until(deadline)); ok {
				came = append(came, m)
				continue
			}
		}
		c.keep(came)
		switch {
		case c.hasEnded():
			c.fail("Lose(%d): %s", n, c.ending())
		case c.frozen:
			c.fail("Lose(%d): nothing is in flight that the client would read, because it is frozen; see Cut, and Thaw", n)
		}
		c.fail("Lose(%d): %d messages are in flight, of %d that the test has not looked at; those in front of an answer to a command have arrived",
			n, inFlight(came), len(came))
	}
}

// keep puts messages back into the inbox, in front of those that have come meanwhile.
func (c *ClientV2) keep(list []Message) {
	c.inbox.giveBack(append(slices.Clip(list), c.inbox.grab()...))
}

// counts reports whether Lose may count a message.
func (m Message) counts() bool { return m.flight != nil && m.Notice == "" && m.Seq > 0 }

// inFlight returns how many messages Lose can count.
func inFlight(list []Message) (n int) {
	for _, m := range list {
		if m.counts() {
			n++
		}
	}
	return n
}

// lastInFlight returns where the last n begin of the messages that Lose can count, or -1 when there are fewer.
func lastInFlight(list []Message, n int) int {
	for i, m := range slices.Backward(list) {
		if m.counts() {
			n--
		}
		if n == 0 {
			return i
		}
	}
	return -1
}
