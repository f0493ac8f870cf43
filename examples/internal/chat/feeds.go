package chat

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// event is one line of "who did what", published on chat:events.
type event struct {
	Event  string    `json:"event"`
	User   string    `json:"user"`
	Topic  string    `json:"topic,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Time   time.Time `json:"time"`
}

// publishEvents passes on what happens to connections, until Shutdown closes the channel. Who listens to the feeds is
// left out: every page does.
func (c *Chat) publishEvents() {
	for e := range c.Manager.ConnEvents {
		c.log.Debug(string(e.EventType), "client", e.ClientID, "user", e.UserID, "topic", e.Topic, "reason", e.Reason)
		if !strings.HasPrefix(e.Topic, reservedPrefix) {
			c.publish(context.Background(), eventsTopic, event{string(e.EventType), e.UserID, e.Topic, e.Reason, e.Time})
		}
	}
}

// publish sends a value to a feed's subscribers. A feed that cannot be published now has nothing to say later.
func (c *Chat) publish(ctx context.Context, topic string, value any) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := c.Manager.PublishJSON(ctx, topic, value)
	if err != nil && !errors.Is(err, tank.ErrClosed) && !errors.Is(err, context.Canceled) {
		c.log.Warn("feed not published", "topic", topic, "error", err)
	}
}

// maxRows bounds the table of topics: it goes to everybody, once per tick.
const maxRows = 50

// table is published on chat:topics.
type table struct {
	Clients int   `json:"clients"`
	Total   int   `json:"total"` // topics, also those that are not listed
	Topics  []row `json:"topics"`
}

// row is one topic of the table.
type row struct {
	Name        string  `json:"name"`
	Subscribers int     `json:"subscribers"`
	Rate        float64 `json:"rate"` // messages per second since the last table
}

// publishTopics publishes the table once per tick while somebody looks at it.
func (c *Chat) publishTopics(ctx context.Context) {
	clock := time.NewTicker(c.tick)
	defer clock.Stop()
	var m meter
	for {
		select {
		case now := <-clock.C:
			if c.Manager.GetTopicSubscriberCount(topicsTopic) > 0 {
				c.publish(ctx, topicsTopic, m.read(now, c.Manager.GetClientCount(), c.Manager.GetAllTopics()))
			}
		case <-ctx.Done():
			return
		}
	}
}

// meter turns counters into rates. The zero value is ready: a topic's rate is 0 where it is seen for the first time.
type meter struct {
	at   time.Time
	seen map[string]tank.TopicStats
}

// read makes the table of topics that have subscribers, those with the most first.
func (m *meter) read(now time.Time, clients int, topics []tank.TopicStats) table {
	elapsed := now.Sub(m.at).Seconds()
	seen := make(map[string]tank.TopicStats, len(topics))
	rows := make([]row, 0, len(topics))
	for _, t := range topics {
		if strings.HasPrefix(t.Name, reservedPrefix) || t.Subscribers == 0 { // some are there for what they keep
			continue
		}
		r := row{Name: t.Name, Subscribers: t.Subscribers}
		// A topic can end; what comes later under its name counts from zero.
		if last, ok := m.seen[t.Name]; ok && last.CreatedAt.Equal(t.CreatedAt) && elapsed > 0 {
			r.Rate = math.Round(float64(t.Published-last.Published)/elapsed*10) / 10
		}
		seen[t.Name] = t
		rows = append(rows, r)
	}
	m.at, m.seen = now, seen
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(b.Subscribers, a.Subscribers) })
	return table{Clients: clients, Total: len(rows), Topics: rows[:min(len(rows), maxRows)]}
}
