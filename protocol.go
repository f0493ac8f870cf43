package tank

import (
	"fmt"
	"slices"
	"time"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Protocol is a language of clients, see WithProtocols.
type Protocol int

// The protocols.
const (
	V1 Protocol = 1 + iota // plain sockets, docs/protocol.md
	V2                     // the subprotocol tank.v2, docs/protocol-v2.md
)

// String returns "v1" or "tank.v2".
func (p Protocol) String() string {
	switch p {
	case V1:
		return "v1"
	case V2:
		return wire.Subprotocol2
	}
	return fmt.Sprintf("Protocol(%d)", int(p))
}

// v2Use says with which clients tank.v2 is spoken.
func (c *config) v2Use() client.V2Use {
	switch {
	case !slices.Contains(c.protocols, V2):
		return client.V2Never
	case slices.Contains(c.protocols, V1):
		return client.V2Offered
	}
	return client.V2Required
}

// hello makes the first frame for a client of tank.v2, or nil. It runs in the request's goroutine.
func (c *Client) hello() *wire.Batch {
	e := c.session.Client.Encoding()
	if !e.IsV2() {
		return nil
	}
	ping := (c.m.config.heartbeatInterval-1)/time.Second + 1              // rounded up
	h := wire.Hello{Client: c.ID(), User: c.UserID(), Ping: uint64(ping)} // #nosec G115 -- positive
	return wire.NewAnswers(e, wire.AppendHello(nil, h), 1)
}

const (
	returnEach    = time.Millisecond // for each client that is told to come back
	leastReturn   = time.Second
	longestReturn = time.Minute
)

// returnWithin is over which time clients of tank.v2 that are closed spread when they come back. A drain spreads them already. Any
// goroutine may call it.
func (m *Manager) returnWithin() time.Duration {
	if m.config.drainBatch > 0 {
		return leastReturn
	}
	return min(max(leastReturn, time.Duration(m.GetClientCount())*returnEach), longestReturn)
}
