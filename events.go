package tank

import (
	"fmt"
	"slices"
	"time"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/hub"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// EventType says which step a ConnEvent reports.
type EventType string

// The types of a ConnEvent.
const (
	EventConnect     EventType = "connect"
	EventDisconnect  EventType = "disconnect"
	EventSubscribe   EventType = "subscribe"
	EventUnsubscribe EventType = "unsubscribe"
	EventMissed      EventType = "missed" // a client of tank.v2 came back with a position, and was told that messages may be missing
)

// ConnEvent is a step in a connection's life. For one client connect comes first and disconnect last; disconnect
// ends all its subscriptions, for which no unsubscribe events are sent.
//
// The counts already include what an event reports: after a subscribe event was read, GetTopicSubscriberCount counts the
// subscription, and a publish that starts then is delivered to it; so is a BroadcastMessage that starts after a connect event.
type ConnEvent struct {
	EventType EventType
	ClientID  string
	UserID    string
	Topic     string   // of subscribe, unsubscribe and missed
	Topics    []string // of disconnect: the subscriptions that ended with the connection, in any order
	Reason    string   // of disconnect: close code and text, such as "1000 closed by server"; 1006 without a close frame. Of missed: see Resumes
	Time      time.Time
}

// feed gives events to the program: on the channels Errors and ConnEvents, and to the logger. The hub's goroutine alone sends on
// the channels, so that it can close them. No method blocks.
type feed struct {
	// Immutable.
	m          *Manager
	errors     chan<- *ErrorEvent
	connEvents chan<- *ConnEvent
	journal    *journal

	// Owned by the hub's goroutine.
	ended bool // the channels are closed
}

var eventTypes = [...]EventType{
	hub.Connected:    EventConnect,
	hub.Disconnected: EventDisconnect,
	hub.Subscribed:   EventSubscribe,
	hub.Unsubscribed: EventUnsubscribe,
}

// Event sends a connection event. It runs in the hub's goroutine.
func (f *feed) Event(e hub.Event) {
	if f.journal == nil && !takes(f, f.connEvents) { // then it need not be made
		f.m.counters.eventsDropped.Add(1)
		return
	}
	f.Report(&ConnEvent{
		EventType: eventTypes[e.Kind],
		ClientID:  e.Session.ID,
		UserID:    e.Session.UserID,
		Topic:     e.Topic,
		Topics:    slices.Clone(e.Topics),
		Reason:    e.Reason,
		Time:      time.Now(),
	})
}

// hubFaults says how each fault of the hub is reported.
var hubFaults = [...]struct {
	code    ErrorCode
	message string
	advice  string
}{
	hub.TooManySessions:      {CodeLimit, "too many connections", adviceUser},
	hub.TooManySubscriptions: {CodeLimit, "subscription refused", adviceTopics},
	hub.TopicPanicked:        {CodeInternal, "topic panicked", ""},
	hub.HubPanicked:          {CodeInternal, "supervisor panicked", ""},
	hub.BrokerDown:           {CodeBroker, "no connection to the broker", ""},
	hub.BrokerGap:            {CodeBroker, "publications may be missing", ""},
	hub.BrokerFailed:         {CodeBroker, "broker failed", ""},
}

// Fault reports a fault of the hub. Any goroutine may call it.
func (f *feed) Fault(fault hub.Fault) {
	how := hubFaults[fault.Kind]
	event := &ErrorEvent{Code: how.code, Message: how.message, Err: fault.Err, Topic: fault.Topic}
	if how.advice != "" {
		event.Err = advise(fault.Err, how.advice)
	}
	if s := fault.Session; s != nil {
		event.ClientID, event.UserID = s.ID, s.UserID
	}
	f.m.report(event)
}

// report sends an error event, by way of the hub's goroutine. Any goroutine may call it.
func (m *Manager) report(e *ErrorEvent) {
	e.Time = time.Now()
	if isPanic(e.Err) {
		m.counters.panicsRecovered.Add(1)
	}
	if !m.hub.Report(e) {
		m.counters.eventsDropped.Add(1)
	}
}

// report reports a fault of this client, at a topic or at none. Any goroutine may call it.
func (c *Client) report(code ErrorCode, message, topic string, err error) {
	c.m.report(&ErrorEvent{Code: code, Message: message, Err: err, ClientID: c.ID(), UserID: c.UserID(), Topic: topic})
}

// reportMissed sends an event about a client that was told that messages may be missing. Any goroutine may call it.
func (c *Client) reportMissed(topic, why string) {
	e := &ConnEvent{EventType: EventMissed, ClientID: c.ID(), UserID: c.UserID(), Topic: topic, Reason: why, Time: time.Now()}
	if !c.m.hub.Report(e) {
		c.m.counters.eventsDropped.Add(1)
	}
}

// Report sends an event, or has something else logged. It runs in the hub's goroutine.
func (f *feed) Report(what any) {
	switch what := what.(type) {
	case *ErrorEvent: // logged before a reader of the channel has it
		if f.journal != nil {
			f.journal.add(errorEntry(*what))
		}
		offer(f, f.errors, what)
	case *ConnEvent: // logged before a reader of the channel has it
		if f.journal != nil {
			f.journal.add(connEntry(*what))
		}
		offer(f, f.connEvents, what)
	case hub.BrokerUp:
		f.journal.add(brokerEntry{what.At})
	case entry:
		f.journal.add(what)
	}
}

// takes reports whether a channel has room, and is not closed. It runs in the hub's goroutine, which alone sends.
func takes[E any](f *feed, to chan<- E) bool { return !f.ended && len(to) < cap(to) }

// offer sends an event unless the channel is full, because its events are not read, or is closed. It runs in the hub's goroutine.
func offer[E any](f *feed, to chan<- E, event E) {
	if takes(f, to) {
		to <- event
	} else {
		f.m.counters.eventsDropped.Add(1)
	}
}

// Ended closes the channels. It runs in the hub's goroutine. Events that come later are counted as dropped.
func (f *feed) Ended() {
	f.ended = true
	close(f.errors)
	close(f.connEvents)
}

// What becomes of a connection. Package client calls the functions from here on, from any goroutine. None of them blocks.

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
	(*Client)(o).report(f.code, f.message, "", err)
}

// comesBack reports whether clients that are closed with a code come back: not after 1000, 3003 and the codes of applications.
func comesBack(code int) bool {
	return code != wire.CloseNormal && code <= wire.CloseUnauthorized
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
	o.m.hub.Gone(&o.session, comesBack(code), text)
}
