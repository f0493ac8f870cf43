package inspector

import (
	"cmp"
	"maps"
	"slices"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// audience is who is in a topic.
type audience struct {
	members *table[memberRow]
	present []string
}

// memberRow is a subscriber of a topic, as JSON.
type memberRow struct {
	tank.ClientStats
	Lag int `json:"lag"` // messages of the topic that its socket has not taken
}

// memberKeys are clientKeys, and what is known of a subscriber besides.
var memberKeys = func() map[string]compare[memberRow] {
	keys := map[string]compare[memberRow]{"lag": func(a, b *memberRow) int { return cmp.Compare(a.Lag, b.Lag) }}
	for name, by := range clientKeys {
		keys[name] = func(a, b *memberRow) int { return by(&a.ClientStats, &b.ClientStats) }
	}
	return keys
}()

// lagOf is Client.Lag that asks only who has something queued.
func lagOf(c *tank.Client, s *tank.ClientStats, topic string) int {
	if s.OutboxBytes == 0 {
		return 0
	}
	return c.Lag(topic)
}

// newAudience looks at who is in a topic.
func newAudience(m *tank.Manager, topic string) *audience {
	clients := m.GetTopicSubscribers(topic)
	a := &audience{&table[memberRow]{time: time.Now(), rows: make([]memberRow, len(clients))}, []string{}}
	for i, c := range clients {
		stats := c.Stats()
		a.members.rows[i] = memberRow{stats, lagOf(c, &stats, topic)}
	}
	if here, err := m.Presence(topic); err == nil { // or the topic has ended
		a.present = slices.AppendSeq(a.present, maps.Keys(here.Info))
		slices.Sort(a.present)
	}
	return a
}
