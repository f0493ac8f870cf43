package tank

import (
	"fmt"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// What becomes of a connection. Package client calls the functions in this file, from any goroutine. None of them blocks.

// faults says how each fault is reported.
var faults = map[client.Fault]struct {
	code    ErrorCode
	message string
}{
	client.ReadFault:      {CodeRead, "read failed"},
	client.ProtocolFault:  {CodeProtocol, "client broke the protocol"},
	client.TooBigFault:    {CodeTooBig, "message too big"},
	client.WriteFault:     {CodeWrite, "write failed"},
	client.HeartbeatFault: {CodeHeartbeat, "heartbeat timeout"},
	client.SlowFault:      {CodeSlowClient, "slow client"},
	client.LossFault:      {CodeSlowClient, "slow client loses messages"},
	client.TimeoutFault:   {CodeLimit, "message took too long"},
	client.PingFault:      {CodeLimit, "too many pings"},
}

// Failed reports a fault of the connection.
func (o *owner) Failed(kind client.Fault, err error) {
	f := faults[kind]
	if isPanic(err) {
		f.code, f.message = CodeInternal, "client panicked"
	}
	if f.code == CodeLimit {
		err = fmt.Errorf("%w: %w", ErrLimit, err)
	}
	o.m.report(&ErrorEvent{Code: f.code, Message: f.message, Err: err, ClientID: o.session.ID, UserID: o.session.UserID})
}

// Gone tells the hub that the socket is closed.
func (o *owner) Gone(code int, reason string) {
	text := fmt.Sprint(code)
	if reason != "" {
		text += " " + wire.Clean(reason)
	}
	o.m.counters.connections.Add(-1)
	if o.hooks != nil {
		o.hooks.end = wire.Close{Code: code, Reason: reason}
	}
	o.m.hub.Gone(&o.session, text)
}
