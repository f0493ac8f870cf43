package hub

import (
	"sync/atomic"

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
	ConnectedAt   int64               // Unix nanoseconds
	End           *SessionEnd         // nil: nobody waits for the end
	Value         atomic.Pointer[any] // of the application's; once registered, written by Renew alone, and read by anyone
	number        uint64              // of the connection, in the order in which they came
	network       string              // see source

	// Owned by the supervisor.
	expires       int64 // when its credentials expire, Unix nanoseconds; 0: never
	heapPlace     int32 // index+1 in expiries; 0: its credentials do not expire
	registered    bool  // it is among the sessions
	rejected      bool  // its user has too many connections
	leaving       bool  // its subscriptions are being ended, and it gets no more of them
	warning       uint8 // how many seconds before they expire it is told; 0: not, or not any more
	refusals      uint8 // of subscriptions, in a row, up to maxRefusals
	place         int32 // among the sessions of its user
	slot          int32 // on the heartbeat wheel
	turn          int32 // in that slot
	subscriptions subscriptions
	broadcast     *topic.Member // nil for a session that was rejected, or is leaving
	pinged        int           // the tick of the first ping without an answer

	// Written by the supervisor alone, read by anyone.
	subscribed atomic.Int64 // how many subscriptions there are
}

// Number returns how many connections there had been when this one was registered, itself included.
func (s *Session) Number() uint64 { return s.number }

// SessionEnd is the end of a session, for whoever waits for that.
type SessionEnd struct {
	Done   chan struct{} // closed when the session has ended and its disconnect event is sent
	Topics []string      // that it was subscribed to at its end, in any order; set before Done is closed
}

// end tells whoever waits for the end. It runs in the supervisor's goroutine, or in that of Gone's caller once the supervisor has
// ended.
func (s *Session) end(topics []string) {
	if s.End != nil {
		s.End.Topics = topics
		close(s.End.Done)
	}
}

// Subscriptions returns the number of its subscriptions.
func (s *Session) Subscriptions() int { return int(s.subscribed.Load()) }
