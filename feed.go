package tank

import (
	"slices"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/hub"
)

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
	event := &ConnEvent{EventType: eventTypes[e.Kind], ClientID: e.Session.ID, UserID: e.Session.UserID, Topic: e.Topic, Topics: slices.Clone(e.Topics), Reason: e.Reason, Time: time.Now()}
	f.journal.add(connEntry(*event)) // before a reader of the channel has it
	offer(f, f.connEvents, event)
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

// Report sends an error event, or has something else logged. It runs in the hub's goroutine.
func (f *feed) Report(what any) {
	switch what := what.(type) {
	case *ErrorEvent:
		f.journal.add(errorEntry(*what)) // before a reader of the channel has it
		offer(f, f.errors, what)
	case entry:
		f.journal.add(what)
	}
}

// offer sends an event unless the channel is full, because its events are not read, or is closed. It runs in the hub's goroutine.
func offer[E any](f *feed, to chan<- E, event E) {
	if !f.ended {
		select {
		case to <- event:
			return
		default:
		}
	}
	f.m.counters.eventsDropped.Add(1)
}

// Ended closes the channels. It runs in the hub's goroutine. Events that come later are counted as dropped.
func (f *feed) Ended() {
	f.ended = true
	close(f.errors)
	close(f.connEvents)
}
