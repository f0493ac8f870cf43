package client

import (
	"bytes"
	"errors"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// What a peer can make the reader do beside receiving messages has a price, too. All functions in this file run in the reader.

// closingRate is how fast a closing client is read from, whatever its limits are: events of 4 KiB. The first 64 KiB are free,
// for a closing handshake behind data that the peer has sent before; then it is 1 MiB per second.
var closingRate = Rate{PerSecond: 256, Burst: 16}

// pacedFrame is how many bytes each frame counts for beside its own: looking at one takes as long as copying so many.
const pacedFrame = 64

// leastNap is how long a wait is worth it: a sleep costs as much as reading some KiB.
const leastNap = 20 * time.Millisecond

// pace counts what was read and waits, if the client is closing, until it is time for more. The wait is never longer than a
// closingCheck, so that the next read soon tells that the connection has ended.
func (r *reader) pace(bytes, frames int) {
	if !r.client.Closing() {
		return
	}
	unpaced := int(r.unpaced) + bytes + frames*pacedFrame
	r.unpaced = uint16(unpaced % len(input{}))
	if events := unpaced / len(input{}); events > 0 {
		if early := r.paced.take(closingRate, events); early >= leastNap {
			time.Sleep(min(early, closingCheck))
		}
	}
}

// eventFrames is how many frames inside of a message count as one message: they may be empty, and there may be any number.
const eventFrames = 64

// chargeFrames counts eventFrames frames against the rate of messages, in the middle of one.
func (c *Client) chargeFrames() {
	began := instant()
	if c.wait(began, 1) {
		c.late = true
		c.looksAgain(began, instant())
	}
}

var (
	errPings = errors.New("pings came faster than the limit")
	errPongs = errors.New("pongs that answer no ping came faster than the limit")
)

// answerPing answers a ping, RFC 6455 section 5.5.3, unless there are too many of them.
func (c *Client) answerPing(payload []byte) {
	if c.mayControl(wire.TooManyPings, errPings) {
		c.owner.Paused()
		c.ref.Post(pong{bytes.Clone(payload)})
	}
}

// ponged takes note of a pong, which answers the last ping whatever it says: RFC 6455 section 5.5.3 lets a peer answer that
// alone. More pongs than there were pings count as pings do.
func (c *Client) ponged() {
	if at := c.pingedAt.Swap(0); at != 0 {
		c.rtt.Store(max(1, time.Now().UnixNano()-at)) // the clock may have been set back
	}
	if c.unanswered.Load() > 0 {
		c.unanswered.Add(-1)
	} else {
		c.mayControl(wire.TooManyPongs, errPongs)
	}
}

// isLate reports whether the ping at hand may be one that came while the reader held messages, or fragments. There are as many of those as
// the rate allows in that time.
func (c *Client) isLate() bool {
	if c.opts.Pings == (Rate{}) {
		return false
	}
	each := int32(max(1, c.opts.Pings.each().Microseconds())) // #nosec G115 -- a second at most
	late := c.behind >= each
	if late {
		c.behind -= each
	}
	return late
}

// mayControl counts a control frame of the peer's against the rate of pings. When there are too many, it closes the client and
// reports false.
func (c *Client) mayControl(why wire.Close, err error) bool {
	switch {
	case c.Closing():
		return false
	case c.isLate():
	case c.pings.take(c.opts.Pings, 1) > 0:
		c.abandon(why, PingFault, err)
		return false
	}
	return true
}
