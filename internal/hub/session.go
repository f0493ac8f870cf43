package hub

import (
	"sync/atomic"
	"time"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// Session is the hub's record of a connection. What is exported is set before Register.
type Session struct {
	// Immutable once registered.
	ID            string // of the connection
	UserID        string
	Authenticated bool // the authenticator has named the user
	Client        *client.Client
	ConnectedAt   time.Time
	Expires       time.Time     // when its credentials do; zero: never. Owned by the supervisor once registered
	Greeted       bool          // a hook runs that has to see it registered, see Hub.HookDone
	Ended         chan struct{} // closed when the session has ended and its disconnect event is sent; nil: nobody waits for that
	number        uint64        // of the connection, in the order in which they came
	source        source        // whose allowance it inherits, and leaves

	// Owned by the supervisor.
	rejected      bool  // its user has too many connections
	leaving       bool  // its subscriptions are being ended, and it gets no more of them
	refusals      uint8 // of subscriptions, in a row, up to maxRefusals
	place         int   // among the sessions of its user
	expiry        int   // among those that expire, from 1; 0: it is not
	subscriptions map[*liveTopic]*topic.Member
	last          []string      // the topics whose subscriptions were ended because the session ends; for anyone once Ended is closed
	broadcast     *topic.Member // nil for a session that was rejected, or is leaving
	slot          int           // on the heartbeat wheel
	pinged        int           // the tick of the first ping without an answer

	// Written by the supervisor alone, read by anyone.
	subscribed atomic.Int64 // len(subscriptions)
}

// Number returns how many connections there had been when this one was registered, itself included.
func (s *Session) Number() uint64 { return s.number }

// LastTopics returns the topics that it was subscribed to at its end, in any order. It may be called when Ended is closed.
func (s *Session) LastTopics() []string { return s.last }

// end tells whoever waits for the end.
func (s *Session) end() {
	if s.Ended != nil {
		close(s.Ended)
	}
}

// Subscriptions returns the number of its subscriptions.
func (s *Session) Subscriptions() int { return int(s.subscribed.Load()) }
