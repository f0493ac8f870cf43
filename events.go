package tank

import "time"

// EventType says which step a ConnEvent reports.
type EventType string

// The types of a ConnEvent.
const (
	EventConnect     EventType = "connect"
	EventDisconnect  EventType = "disconnect"
	EventSubscribe   EventType = "subscribe"
	EventUnsubscribe EventType = "unsubscribe"
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
	Topic     string   // of subscribe and unsubscribe
	Topics    []string // of disconnect: the subscriptions that ended with the connection, in any order
	Reason    string   // of disconnect: close code and text, such as "1000 closed by server"; 1006 without a close frame
	Time      time.Time
}
