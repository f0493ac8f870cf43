package tank

import (
	"strings"

	"github.com/fanqie/tank-websocket-go-server/client"
)

// What is done with all connections of a user. All functions in this file run in the goroutines of their callers.

// SendToUser is Client.Send for every connection of that user, with one encoded message for all. It returns for how many connections
// the message was queued; those that are closing do not count. Text that is not valid UTF-8 is reported on Errors, and sent to none.
// It is 0 before Start and after Shutdown.
func (m *Manager) SendToUser(userID string, msg Message) (connections int) {
	var to []*client.Client
	for _, s := range m.hub.UserSessions(userID) {
		to = append(to, s.Client)
	}
	batch, err := m.newBatch(msg, to...)
	if err != nil {
		m.report(&ErrorEvent{Code: CodeSerialization, Message: "message cannot be encoded", Err: err, UserID: strings.Clone(userID)})
		return 0
	}
	for _, c := range to {
		if c.Send(batch) {
			connections++
		}
	}
	return connections
}

// UnsubscribeUser is Client.Unsubscribe for every connection of that user, and returns how many were subscribed to the topic. It is
// 0 before Start and after Shutdown.
func (m *Manager) UnsubscribeUser(userID, topic string) int {
	if checkTopic(topic) != nil {
		return 0
	}
	return m.hub.UnsubscribeUser(userID, strings.Clone(topic)) // the event keeps it
}

// CloseUser closes every connection of that user with 1000, like Client.Close, and returns how many it closed: those
// that are closing already do not count. It is 0 before Start and after Shutdown.
func (m *Manager) CloseUser(userID string) int { return m.hub.CloseUser(userID) }

// CloseClient is CloseUser.
//
// Deprecated: Use CloseUser. The name suggests a Client.ID, of which it closes nothing.
func (m *Manager) CloseClient(userID string) int { return m.CloseUser(userID) }
