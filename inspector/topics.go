package inspector

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// topicRow is a topic in the table, as JSON.
type topicRow struct {
	tank.TopicStats
	Lingering bool    `json:"lingering"` // it has no subscribers and keeps nothing, and lives on for a while
	Rate      float64 `json:"rate"`      // messages per second since somebody looked last; over its whole life at the first look
}

// topicTable is all topics by name.
type topicTable = table[topicRow]

var topicKeys = map[string]compare[topicRow]{
	"name":          func(a, b *topicRow) int { return strings.Compare(a.Name, b.Name) },
	"subscribers":   func(a, b *topicRow) int { return cmp.Compare(a.Subscribers, b.Subscribers) },
	"users":         func(a, b *topicRow) int { return cmp.Compare(a.Users, b.Users) },
	"seq":           func(a, b *topicRow) int { return cmp.Compare(a.Seq, b.Seq) },
	"kept":          func(a, b *topicRow) int { return cmp.Compare(a.Kept, b.Kept) },
	"kept_bytes":    func(a, b *topicRow) int { return cmp.Compare(a.KeptBytes, b.KeptBytes) },
	"rate":          func(a, b *topicRow) int { return cmp.Compare(a.Rate, b.Rate) },
	"published":     func(a, b *topicRow) int { return cmp.Compare(a.Published, b.Published) },
	"delivered":     func(a, b *topicRow) int { return cmp.Compare(a.Delivered, b.Delivered) },
	"dropped":       func(a, b *topicRow) int { return cmp.Compare(a.Dropped, b.Dropped) },
	"mailbox_depth": func(a, b *topicRow) int { return cmp.Compare(a.MailboxDepth, b.MailboxDepth) },
	"restarts":      func(a, b *topicRow) int { return cmp.Compare(a.Restarts, b.Restarts) },
	"created_at":    func(a, b *topicRow) int { return a.CreatedAt.Compare(b.CreatedAt) },
}

// newTopicTable looks at all topics. Their rates are since the table before, if there is one.
func newTopicTable(m *tank.Manager, before *topicTable) *topicTable {
	t := &topicTable{rows: allTopics(m), time: time.Now()}
	var old []topicRow // those that are not behind, as both are sorted by name
	if before != nil {
		old = before.rows
	}
	for i := range t.rows {
		s := &t.rows[i]
		for len(old) > 0 && old[0].Name < s.Name {
			old = old[1:]
		}
		since, published := s.CreatedAt, s.Published
		if len(old) > 0 && old[0].Name == s.Name && old[0].CreatedAt.Equal(s.CreatedAt) { // and not one that began anew
			since, published = before.time, s.Published-min(s.Published, old[0].Published)
		}
		s.Rate = perSecond(published, t.time.Sub(since))
	}
	return t
}

// allTopics returns the topics, lingering ones included, sorted by name. Their rates are still to come.
func allTopics(m *tank.Manager) []topicRow {
	live, lingering := m.GetAllTopics(), m.GetLingeringTopics()
	all := make([]topicRow, 0, len(live)+len(lingering))
	for _, s := range live {
		all = append(all, topicRow{TopicStats: s})
	}
	for _, s := range lingering {
		all = append(all, topicRow{TopicStats: s, Lingering: true})
	}
	slices.SortStableFunc(all, func(a, b topicRow) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(all, func(a, b topicRow) bool { return a.Name == b.Name }) // one may have begun to linger between the two lists
}

func perSecond(n uint64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

func (h *handler) showTopics(r *http.Request) (any, error) {
	values, err := parameters(r, "q", "sort", "page", "size")
	if err != nil {
		return nil, err
	}
	w, err := parseWindow(values, "-subscribers", topicKeys)
	if err != nil {
		return nil, err
	}
	var t *topicTable
	var order []int32
	err = h.topics.with(r.Context(), "", func(all *topicTable) { t, order = all, all.order(w, topicKeys) })
	if err != nil {
		return nil, err
	}
	match := contains(values.Get("q"))
	return t.page(w, order, func(row *topicRow) bool { return match(row.Name) }), nil
}

// contains returns what tells whether a text has another one in it, in upper or lower case.
func contains(part string) func(text string) bool {
	part = strings.ToLower(part)
	return func(text string) bool { return part == "" || strings.Contains(strings.ToLower(text), part) }
}

// topicPage is a topic, its subscribers and who is present in it, as JSON.
type topicPage struct {
	Topic   topicRow `json:"topic"`
	Present []string `json:"present"` // the users, sorted; empty when the topic does not know, or there are too many to tell names
	page[memberRow]
}

func (h *handler) showTopic(r *http.Request) (any, error) {
	values, err := parameters(r, "name", "sort", "page", "size")
	if err != nil {
		return nil, err
	}
	w, err := parseWindow(values, "-outbox_bytes", memberKeys)
	if err != nil {
		return nil, err
	}
	name := values.Get("name")
	var row *topicRow
	err = h.topics.with(r.Context(), "", func(all *topicTable) { row = find(all, name) })
	switch {
	case err != nil:
		return nil, err
	case row == nil:
		return nil, notFound("nobody subscribes to the topic %s", quote(name))
	}
	var a *audience
	var order []int32
	err = h.audiences.with(r.Context(), name, func(of *audience) { a, order = of, of.members.order(w, memberKeys) })
	if err != nil {
		return nil, err
	}
	return topicPage{*row, a.present, a.members.page(w, order, func(*memberRow) bool { return true })}, nil
}

// find returns the topic of a name, or nil.
func find(t *topicTable, name string) *topicRow {
	i, ok := slices.BinarySearchFunc(t.rows, name, func(row topicRow, name string) int { return strings.Compare(row.Name, name) })
	if !ok {
		return nil
	}
	return &t.rows[i]
}
