package inspector

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// clientTable is clients in the order in which they connected.
type clientTable = table[tank.ClientStats]

var clientKeys = map[string]compare[tank.ClientStats]{
	"id":            func(a, b *tank.ClientStats) int { return strings.Compare(a.ID, b.ID) },
	"user_id":       func(a, b *tank.ClientStats) int { return strings.Compare(a.UserID, b.UserID) },
	"protocol":      func(a, b *tank.ClientStats) int { return strings.Compare(a.Protocol, b.Protocol) },
	"remote_addr":   func(a, b *tank.ClientStats) int { return strings.Compare(a.RemoteAddr, b.RemoteAddr) },
	"subscriptions": func(a, b *tank.ClientStats) int { return cmp.Compare(a.Subscriptions, b.Subscriptions) },
	"outbox_bytes":  func(a, b *tank.ClientStats) int { return cmp.Compare(a.OutboxBytes, b.OutboxBytes) },
	"dropped":       func(a, b *tank.ClientStats) int { return cmp.Compare(a.Dropped, b.Dropped) },
	"rtt":           func(a, b *tank.ClientStats) int { return cmp.Compare(a.RTT, b.RTT) },
	"connected_at":  func(a, b *tank.ClientStats) int { return a.ConnectedAt.Compare(b.ConnectedAt) },
	"last_seen":     func(a, b *tank.ClientStats) int { return a.LastSeen.Compare(b.LastSeen) },
}

func newClientTable(clients []*tank.Client) *clientTable {
	t := &clientTable{time: time.Now(), rows: make([]tank.ClientStats, len(clients))}
	for i, c := range clients {
		t.rows[i] = c.Stats()
	}
	return t
}

func (h *handler) showClients(r *http.Request) (any, error) {
	values, err := parameters(r, "q", "sort", "page", "size")
	if err != nil {
		return nil, err
	}
	w, err := parseWindow(values, "-outbox_bytes", clientKeys)
	if err != nil {
		return nil, err
	}
	var t *clientTable
	var order []int32
	err = h.clients.with(r.Context(), "", func(all *clientTable) { t, order = all, all.order(w, clientKeys) })
	if err != nil {
		return nil, err
	}
	match := contains(values.Get("q"))
	return t.page(w, order, func(c *tank.ClientStats) bool { return match(c.UserID) || match(c.ID) || match(c.RemoteAddr) }), nil
}

// clientPage is a client and its subscriptions, as JSON.
type clientPage struct {
	Time        time.Time        `json:"time"`
	Client      tank.ClientStats `json:"client"`
	Topics      []standing       `json:"topics"`
	TopicsTotal int              `json:"topics_total"`
}

// standing is how far a client is in a topic, as JSON.
type standing struct {
	Name string `json:"name"`
	Seq  uint64 `json:"seq"` // number of the topic's last message
	Lag  int    `json:"lag"` // messages of the topic that the client's socket has not taken
}

// maxTopics is how many subscriptions of a client are listed.
const maxTopics = 1000

func (h *handler) showClient(r *http.Request) (any, error) {
	values, err := parameters(r, "id")
	if err != nil {
		return nil, err
	}
	id := values.Get("id")
	c := h.m.GetClient(id)
	if c == nil {
		return nil, notFound("no client %s is connected", quote(id))
	}
	topics := c.Topics()
	p := clientPage{time.Now(), c.Stats(), []standing{}, len(topics)}
	err = h.topics.with(r.Context(), "", func(all *topicTable) {
		for _, name := range topics[:min(maxTopics, len(topics))] {
			s := standing{Name: name, Lag: lagOf(c, &p.Client, name)}
			if row := find(all, name); row != nil {
				s.Seq = row.Seq
			}
			p.Topics = append(p.Topics, s)
		}
	})
	return p, err
}
