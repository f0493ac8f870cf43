package tank

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fanqie/tank-websocket-go-server/broker"
	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// More than one process: what the instances of a group tell each other beside publications, see WithBroker.

// BrokerStats say how an instance fares with its broker. Counters count from NewInstance on. Without a broker, all are zero.
type BrokerStats struct {
	Down      bool   `json:"down"`      // there is a broker, and no connection to it
	Published uint64 `json:"published"` // publications that the broker has accepted
	Refused   uint64 `json:"refused"`   // publications that it has not
	Received  uint64 `json:"received"`  // publications that have come for topics of this instance, its own included
	Gaps      uint64 `json:"gaps"`      // times that a topic may have missed some: after each reconnect, once for every topic
	InDoubt   uint64 `json:"in_doubt"`  // publications of this instance that were accepted and may have been lost with a connection; an upper bound
}

func (m *Manager) brokerStats() (s BrokerStats) {
	c, connected := m.hub.Broker()
	if c == nil {
		return s
	}
	return BrokerStats{
		Down:      !connected,
		Published: c.Published.Load(),
		Refused:   c.Refused.Load(),
		Received:  c.Received.Load(),
		Gaps:      c.Gaps.Load(),
		InDoubt:   c.InDoubt.Load(),
	}
}

// historian returns the broker if it keeps messages, or nil. It panics when a topic is to keep more than that.
func (c *config) historian() broker.Historian {
	h, is := c.broker.(broker.Historian)
	if !is || errors.Is(h.Fits(1, 0), errors.ErrUnsupported) {
		return nil
	}
	for pattern, o := range c.topics.all() {
		if o.History == (History{}) {
			continue
		}
		err := h.Fits(o.History.Messages, o.History.Age)
		require(err == nil, "NewInstance", "the broker does not keep what topics %s are to keep: %v", wire.Quote(pattern), err)
	}
	return h
}

// talk is what an instance tells the others: to do for a user what it has done itself.
type talk struct {
	Node  string   `json:"node"` // who says it, and does not listen to itself
	User  string   `json:"user"`
	Close bool     `json:"close,omitempty"`
	Leave string   `json:"leave,omitempty"` // a topic
	Send  *Message `json:"send,omitempty"`
	Reset string   `json:"reset,omitempty"` // a topic
}

// tell tells the other instances, if there are any. It waits for the publish timeout at most, and reports what goes wrong.
func (m *Manager) tell(what talk) {
	if err := m.say(what); err != nil {
		m.report(&ErrorEvent{Code: CodeBroker, Message: "other instances could not be told", Err: err, UserID: what.User, Topic: what.Leave})
	}
}

// say tells the other instances, if there are any. It waits for the publish timeout at most.
func (m *Manager) say(what talk) error {
	if m.config.broker == nil {
		return nil
	}
	what.Node = m.node
	text, err := json.Marshal(what)
	if err != nil {
		return err
	}
	return m.hub.Tell(string(text))
}

// heard does what another instance has done. It runs in a goroutine of the broker's.
func (m *Manager) heard(text string) {
	var what talk
	if err := json.Unmarshal([]byte(text), &what); err != nil {
		m.report(&ErrorEvent{Code: CodeBroker, Message: "what another instance says cannot be understood", Err: fmt.Errorf("%d bytes: %w", len(text), err)})
		return
	}
	switch {
	case what.Node == m.node:
	case what.Close:
		m.hub.CloseUser(what.User)
	case what.Leave != "":
		m.hub.UnsubscribeUser(what.User, what.Leave)
	case what.Reset != "":
		m.hub.PostReset(what.Reset)
	case what.Send != nil:
		_, _ = m.sendHere(what.User, *what.Send) // which was checked where it comes from
	}
}

// sendHere sends a message to the connections that a user has to this instance, and returns how many took it.
func (m *Manager) sendHere(userID string, msg Message) (connections int, err error) {
	var to []*client.Client
	for _, s := range m.hub.UserSessions(userID) {
		to = append(to, s.Client)
	}
	batch, err := m.newBatch(msg, to...)
	if err != nil {
		return 0, err
	}
	for _, c := range to {
		if c.Send(batch) {
			connections++
		}
	}
	return connections, nil
}

// WithBroker makes the instance one of a group, whose other instances run in other processes with brokers of the same group. What any of
// them publishes reaches the subscribers of all: BroadcastTopicMessage, Publish and its relatives, BroadcastMessage, and what clients
// publish. Presence tells who is in a topic on any of them, as far as this one has the topic. CloseUser, SendToUser and UnsubscribeUser
// reach the connections that the user has to any of them, and return how many these are here. All other counts and lists are of this
// instance alone.
//
// A publication goes to the broker and comes back from there. The call returns nil when the broker has it; ErrBroker at once while there
// is no connection, also before Start; and ErrLimit when it is larger than the broker takes. Right after Start, it waits for the broker to
// say whether there is a connection. While there is none, nothing is delivered, and nothing comes later.
//
// A broker that keeps messages, a broker.Historian, numbers those of topics with a History, and gives them to topics that lack them: so
// positions, Manager.History and Manager.Reset are those of all instances, and of their restarts. PublishMessage returns a position then. A
// History has to fit into what the broker keeps.
//
// A subscription counts when it is in force at the broker. Until then, its event, the answer of tank.v2 and Client.Subscribe wait;
// Client.Subscribe returns ErrBusy after the publish timeout and leaves the client subscribed. When the connection is lost, clients of
// tank.v2 are told so, and afterwards of each topic that publications may be missing. Errors get CodeBroker, and Ready returns ErrBroker.
//
// Start opens the broker, and Shutdown closes it. A broker belongs to one instance. docs/scale-out.md says what brokers promise.
// It panics when the broker is nil, and NewInstance does when a History does not fit. Default: the instance is alone.
func WithBroker(b broker.Broker) Option {
	require(b != nil, "WithBroker", "broker is nil")
	return func(c *config) { c.broker = b }
}
