package client

import "time"

// Allowance is what a client has used up of its rates. It is full again by itself, as time goes on. The zero Allowance is full.
type Allowance struct{ messages, pings int64 } // the instant when each is full again, in nanoseconds

// IsFull reports whether nothing is used up.
func (a Allowance) IsFull() bool {
	now := int64(instant())
	return a.messages <= now && a.pings <= now
}

// Emptier returns an allowance of which as much is used up as of the emptier of the two, for each rate.
func (a Allowance) Emptier(b Allowance) Allowance {
	return Allowance{max(a.messages, b.messages), max(a.pings, b.pings)}
}

// Refill is how long the emptiest Allowance takes to be full, at these rates of messages and pings.
func Refill(messages, pings Rate) time.Duration {
	return max(messages.refill(maxCharge), pings.refill(maxCharge))
}

// Allowance returns what the client has used up. Once the client is closing, every message that the owner has been given is in
// it. Any goroutine may call it.
func (c *Client) Allowance() Allowance { return Allowance{c.messages.full.Load(), c.pings.full.Load()} }

// Inherit makes the client begin with an allowance that another one has left. It has to be called before Read.
//
// shared says that the two may have different peers. Then nothing is inherited of the pings, past whose rate a client is closed;
// and of the messages, the client waits for the first one no longer than for any other.
func (c *Client) Inherit(a Allowance, shared bool) {
	if shared {
		a = Allowance{messages: min(a.messages, int64(instant()+c.opts.Messages.refill(0)))}
	}
	c.messages.full.Store(a.messages)
	c.pings.full.Store(a.pings)
}
