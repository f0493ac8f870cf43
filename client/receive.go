package client

import (
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
)

// Read is the reader edge: it runs until the connection ends, calling the owner for each message, in this goroutine, and later in others:
// one at a time, and none while nothing comes, see reader.rest. All functions in this file run there.
//
// Before anything is read it calls greet, unless that is nil. That may block, like Owner.Received.
func (c *Client) Read(greet func()) {
	if greet == nil {
		c.read(false)
		return
	}
	err := errAborted // unless the line below returns
	defer func() {
		if err != nil {
			c.readerEnds(err)
		}
	}()
	if err = actor.Try(func() error { c.greet(greet); return nil }); err == nil {
		go c.read(false) // the stack has grown
	}
}

// read reads until the connection ends, or the reader goes on elsewhere. woken says that there may be something to read.
func (c *Client) read(woken bool) {
	r := c.conn.reader
	err, elsewhere := error(nil), false
	defer func() {
		if !elsewhere {
			c.readerEnds(err)
		}
	}()
	for ; err == nil; woken = false {
		if elsewhere = !woken && r.rest(); elsewhere {
			return
		}
		if err = r.receive(); err == nil {
			err = errAborted // unless the line below returns
			err = actor.Try(c.takeFrames)
			c.owner.Paused()
		}
	}
}

// readerEnds is the end of the reader, of which err is the reason.
func (c *Client) readerEnds(err error) {
	r := c.conn.reader
	r.release()
	r.message.forget() // before it lingers
	c.readEnded(err)
	_, closed := err.(peerClosed)
	c.ref.Post(readerEnded{closed: closed})
	if r.polled {
		c.opts.Poller.Forget(&r.socket)
	}
	c.owner.ReaderDone()
}

var errAborted error = &actor.PanicError{Value: "a callback ended the reader's goroutine"}

// What the reader does with a message: nothing, wait until the rate allows it or more of it, or wait for the owner to return it.
const (
	notHolding uint32 = iota
	holdingRate
	holdingOwner
)

// busyAfter is how long the owner may be busy before a pong that came meanwhile says nothing about the peer any more.
const busyAfter = 10 * time.Millisecond

// hand gives a message to the owner, once the rate allows it. That it was received when the last before it was returned is close enough,
// if both came at once: to read the clock takes longer than most of what is done for a small message.
func (c *Client) hand(data []byte, binary bool, events int) {
	began := c.conn.reader.last
	called := began
	defer func() { c.returned(began, called) }()
	if c.throttle(began, events) {
		called = instant()
	}
	if !c.Closing() {
		c.holding.Store(holdingOwner)
		c.owner.Received(data, binary)
	}
}

// greet calls greet, which is the owner's.
func (c *Client) greet(greet func()) {
	began := instant()
	defer func() { c.returned(began, began) }()
	c.holding.Store(holdingOwner)
	greet()
}

// mostBehind is how far behind a reader may be for all pings of that time to come at once.
const mostBehind = 30 * time.Minute

// returned ends what the reader held since began: the owner has returned, which was called then or later.
func (c *Client) returned(began, called time.Duration) {
	now := instant()
	if now-called > busyAfter {
		c.heldUp.Store(true)
	}
	c.looksAgain(began, now)
}

// looksAgain ends what the reader held since began. Meanwhile pings and pongs were not seen, so the heartbeat had to look away; and now the
// peer is given the time of a full heartbeat to show itself.
func (c *Client) looksAgain(began, now time.Duration) {
	r := c.conn.reader
	took := now - began
	c.behind = longer(c.behind, took)
	r.held = longer(r.held, took)
	r.last = now
	if r.held > int32(busyAfter.Microseconds()) { // #nosec G115 -- it fits
		c.pingedAt.Store(0)
	}
	c.alive.Store(true)
	c.holding.Store(notHolding)
}

// longer returns microseconds and what comes to them, mostBehind at most.
func longer(micros int32, by time.Duration) int32 {
	return int32(min(int64(micros)+by.Microseconds(), mostBehind.Microseconds())) // #nosec G115 -- it fits
}

// closingCheck is how often a reader that waits checks whether the connection has ended meanwhile.
const closingCheck = 50 * time.Millisecond

// throttle waits until it is time for one more message. What the peer sends meanwhile waits in the socket, and then with
// the peer. A message that costs more than one event makes the next one wait.
func (c *Client) throttle(now time.Duration, events int) (waited bool) {
	waited = c.wait(now, events)
	if waited || c.late {
		c.opts.Counters.Throttled.Add(1)
	}
	c.late = false
	return waited
}

// wait counts events against the rate of messages. It waits until they may come, or the client is closing, and reports
// whether it had to.
func (c *Client) wait(now time.Duration, events int) (early bool) {
	left := c.messages.takeAt(now, c.opts.Messages, events)
	early = left > 0
	if early {
		c.holding.Store(holdingRate)
		c.owner.Paused()
	}
	for ; left > 0 && !c.Closing(); left -= closingCheck {
		time.Sleep(min(left, closingCheck))
	}
	return early
}
