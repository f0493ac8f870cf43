package client

import (
	"errors"
	"time"
)

// Ping asks the peer for a sign of life, and reports whether one came since the last Ping. It never blocks. Ping and Reap are
// for one goroutine.
func (c *Client) Ping() (alive bool) {
	alive = c.isAlive()
	c.alive.Store(false)
	c.taking.Store(false)
	c.heldUp.Store(false)
	if now, known := c.conn.arrived(); known {
		c.arrived = now
	}
	if !c.Closing() && c.pinging.CompareAndSwap(false, true) {
		c.unanswered.Add(1)
		c.ref.Post(ping{})
	}
	return alive
}

// Reap cuts the connection when no sign of life came since Ping last reported one. It never blocks.
func (c *Client) Reap() {
	if c.Closing() || c.isAlive() {
		return
	}
	c.owner.Failed(HeartbeatFault, errHeartbeat)
	c.Cut("heartbeat timeout")
}

var errHeartbeat = errors.New("no sign of life since the last ping")

// isAlive reports whether a sign of life came since the last Ping. What the reader does is none when the connection knows what
// has arrived: it may be busy with a message, or read more slowly than the peer has sent, long after the peer is gone. Where
// nobody knows, a client whose owner still works on its last message is given the benefit of the doubt.
//
// A peer whose bytes find no room because the owner was busy shows that it lives by acknowledging what is sent to it. One whose
// bytes find no room because it sends faster than it may has itself to blame.
//
// A socket that goes on taking what is written is a sign of life, because the ping waits behind that.
func (c *Client) isAlive() bool {
	if c.taking.Load() {
		return true
	}
	now, known := c.conn.arrived()
	if !known {
		return c.alive.Load() || c.holding.Load() != notHolding
	}
	ownerBusy := c.holding.Load() == holdingOwner || c.heldUp.Load()
	return now.bytes != c.arrived.bytes || now.full && now.segments != c.arrived.segments && ownerBusy
}

// arrivals is what has arrived from a peer so far, whether or not it was read.
type arrivals struct {
	bytes    uint64
	segments uint32 // packets of TCP, also those without data
	full     bool   // there is no room for more bytes
}

// arrived returns what has arrived, if the connection knows. It does not block.
func (c *Conn) arrived() (a arrivals, known bool) {
	if c.socket() != nil {
		return socketArrivals(c.socket())
	}
	socket := c.belowTLS()
	if socket == nil {
		socket = c.raw
	}
	if counter, ok := socket.(interface{ Received() uint64 }); ok { // internal/memnet
		return arrivals{bytes: counter.Received()}, true
	}
	return arrivals{}, false
}

// seen takes note that something was read, and returns when. It runs in the reader, and in New.
func (c *Client) seen() time.Time {
	now := time.Now()
	c.alive.Store(true)
	c.lastSeen.Store(now.UnixNano())
	return now
}
