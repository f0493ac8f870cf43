package tank

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// ClientStats are the statistics of one connection.
type ClientStats struct {
	ID            string        `json:"id"`
	UserID        string        `json:"user_id"`
	RemoteAddr    string        `json:"remote_addr"`
	Subscriptions int           `json:"subscriptions"`
	OutboxBytes   int64         `json:"outbox_bytes"` // queued: accepted, but not yet taken by its socket
	Dropped       uint64        `json:"dropped"`      // messages for it that were never written to its socket
	RTT           time.Duration `json:"rtt"`          // of its last answer to a ping, nanoseconds in JSON; zero before the first
	Closing       bool          `json:"closing"`      // it is being closed, or gone
	ConnectedAt   time.Time     `json:"connected_at"`
	LastSeen      time.Time     `json:"last_seen"` // when something was received from it
}

// Stats returns the statistics of the connection, as they were at its end if it has ended. It never blocks.
func (c *Client) Stats() ClientStats {
	return ClientStats{
		ID:            c.id,
		UserID:        c.userID,
		RemoteAddr:    c.RemoteAddr(),
		Subscriptions: int(c.subscribed.Load()),
		OutboxBytes:   c.conn.Queued(),
		Dropped:       c.conn.Dropped(),
		RTT:           c.conn.RTT(),
		Closing:       c.conn.Closing(),
		ConnectedAt:   c.connectedAt,
		LastSeen:      c.conn.LastSeen(),
	}
}

// GetClient returns the connected client with that Client.ID, or nil when there is none: before Start and after Shutdown,
// too. It asks the supervisor, which never waits, so it does not block.
func (m *Manager) GetClient(clientID string) *Client {
	c, _ := actor.Call(context.Background(), m.supervisor, func(r actor.Request[*Client]) message { return findClient{r, clientID} })
	return c
}

// GetAllClients returns the connected clients, those that are being closed included, in the order in which they connected;
// none before Start and after Shutdown. It does not block.
func (m *Manager) GetAllClients() []*Client {
	all, _ := actor.Call(context.Background(), m.supervisor, func(r actor.Request[[]*Client]) message { return listClients{r} })
	sortClients(all)
	return all
}

// GetTopicSubscribers returns the clients that are subscribed to a topic, in the order in which they connected; none before
// Start, and once Shutdown ends the topics. It waits until the topic has queued all accepted messages for its subscribers, which
// never blocks.
func (m *Manager) GetTopicSubscribers(topic string) []*Client {
	if topic == everyone {
		return nil
	}
	for t := m.topics.find(topic); t != nil; {
		members, err := t.Members(context.Background())
		if err == nil {
			return clientsOf(members)
		}
		if t, err = m.successor(topic); err != nil {
			return nil
		}
	}
	return nil
}

// clientsOf returns the clients of a topic's subscribers.
func clientsOf(members []topic.Subscriber) []*Client {
	all := make([]*Client, len(members))
	for i, s := range members {
		all[i] = (*Client)(s.(*client.Client).Owner().(*owner))
	}
	sortClients(all)
	return all
}

func sortClients(list []*Client) {
	slices.SortFunc(list, func(a, b *Client) int { return cmp.Compare(a.number, b.number) })
}

func (m findClient) handle(s *supervisor) { m.Reply(s.clients[m.id]) }

func (m listClients) handle(s *supervisor) {
	list := make([]*Client, 0, len(s.clients))
	for _, c := range s.clients {
		list = append(list, c)
	}
	m.Reply(list)
}
