package tank

import (
	"cmp"
	"slices"
	"time"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/hub"
	"github.com/fanqie/tank-websocket-go-server/internal/metrics"
)

// TopicStats are the statistics of one live topic actor. A topic lives while it has subscribers or keeps messages.
type TopicStats struct {
	Name            string    `json:"name"`
	Subscribers     int       `json:"subscribers"`
	SubscribersV2   int       `json:"subscribers_v2"`    // of them, clients of tank.v2
	Users           int       `json:"users"`             // who are in it, see Presence; 0 when it does not know
	Epoch           string    `json:"epoch"`             // of its numbering; empty while nobody has been told it
	Seq             uint64    `json:"seq"`               // number of its last message
	Kept            int       `json:"kept"`              // messages that it keeps, see History
	KeptBytes       int64     `json:"kept_bytes"`        // memory of these, and of keys
	OldestKeptAt    time.Time `json:"oldest_kept_at"`    // when the first of these was published, or somewhat earlier; zero without
	Published       uint64    `json:"published"`         // messages that the topic has accepted
	Delivered       uint64    `json:"delivered"`         // messages queued for subscribers, counted once for each
	Dropped         uint64    `json:"dropped"`           // messages for a subscriber that were never written to its socket, or that a loop over Manager.Subscribe did not get
	MailboxDepth    int       `json:"mailbox_depth"`     // messages waiting to be encoded
	Restarts        uint64    `json:"restarts"`          // panics survived
	CreatedAt       time.Time `json:"created_at"`        // when its first subscriber came, or its first message that it keeps
	LastPublishedAt time.Time `json:"last_published_at"` // zero before the first message
}

// State is a step in the life of an instance. The steps come in the order of the constants.
type State string

// The states of an instance.
const (
	StateNew      State = "new"      // before Start
	StateRunning  State = "running"  // between Start and Shutdown
	StateDraining State = "draining" // clients are closed in batches, see WithDrain
	StateClosing  State = "closing"  // Shutdown ends topics and clients
	StateClosed   State = "closed"   // Shutdown is complete
)

// String returns the state as it is.
func (s State) String() string { return string(s) }

// Stats are the statistics of an instance. Counters count from NewInstance on.
type Stats struct {
	State           State         `json:"state"`
	Clients         int           `json:"clients"`
	ClientsV2       int           `json:"clients_v2"`       // of them, those that speak tank.v2
	Parked          int           `json:"parked"`           // clients from which nothing comes, and that wait together; see WithPoller
	Topics          int           `json:"topics"`           // that have subscribers, or keep messages
	LingeringTopics int           `json:"lingering_topics"` // that have neither, and live on for a while; see docs/history.md
	Accepted        uint64        `json:"accepted"`         // requests that became a connection
	Refused         uint64        `json:"refused"`          // requests that did not
	MessagesIn      uint64        `json:"messages_in"`      // data messages received from clients
	BytesIn         uint64        `json:"bytes_in"`         // bytes of those, frame headers and compression aside
	MessagesIgnored uint64        `json:"messages_ignored"` // of those, dropped because there is no message handler
	Published       uint64        `json:"published"`        // messages that topics have accepted, those of BroadcastMessage included
	MessagesOut     uint64        `json:"messages_out"`     // data messages written to sockets
	BytesOut        uint64        `json:"bytes_out"`        // bytes written to sockets, frame headers included
	Dropped         uint64        `json:"dropped"`          // messages for a client that were not, as far as is known, written to its socket
	Lost            uint64        `json:"lost"`             // of those, the ones that clients of tank.v2 were told of
	Resumes         Resumes       `json:"resumes"`          // what clients of tank.v2 that came back with a position were answered
	Replayed        uint64        `json:"replayed"`         // messages that topics kept, and gave to clients of tank.v2 that asked for them
	Present         int           `json:"present"`          // users who are in topics, see Presence, counted once for each topic
	Requests        uint64        `json:"requests"`         // calls of the request handler
	RequestsFailed  uint64        `json:"requests_failed"`  // of those, the ones that were answered with an error, or panicked
	Evicted         uint64        `json:"evicted"`          // clients closed because of Limits.OutboxBytes or TotalOutboxBytes
	OutboxMemory    int64         `json:"outbox_memory"`    // memory of the queued bytes of all clients; see Limits.TotalOutboxBytes
	HistoryMemory   int64         `json:"history_memory"`   // memory of what topics keep; see Limits.TotalHistoryBytes
	Throttled       uint64        `json:"throttled"`        // messages from clients that waited for the rate limit; see Limits
	Broker          BrokerStats   `json:"broker"`           // how the instance fares with its broker; see WithBroker
	EventsDropped   uint64        `json:"events_dropped"`   // events dropped because Errors, ConnEvents or the logger was full
	PanicsRecovered uint64        `json:"panics_recovered"` // of callbacks and actors
	Uptime          time.Duration `json:"uptime"`           // nanoseconds in JSON; zero before Start and once Shutdown was called
}

// Resumes counts the answers to clients of tank.v2 that asked for what came behind a position: all but Recovered say that messages may
// be missing, and why. See docs/protocol-v2.md.
type Resumes struct {
	Recovered uint64 `json:"recovered"` // everything behind the position follows
	Epoch     uint64 `json:"epoch"`     // the position is one of another numbering
	Ahead     uint64 `json:"ahead"`     // the position is ahead of the topic
	Off       uint64 `json:"off"`       // the topic keeps nothing
	Evicted   uint64 `json:"evicted"`   // messages behind the position are no longer kept, or too many for an outbox
	Unknown   uint64 `json:"unknown"`   // a broker cannot say whether there were messages
}

// Stats returns the statistics of the instance. It never blocks.
func (m *Manager) Stats() Stats {
	c := m.clientOptions.Counters
	t := m.hub.Counters()
	return Stats{
		State:           State(m.hub.State()),
		Clients:         m.GetClientCount(),
		ClientsV2:       m.hub.SessionsV2(),
		Parked:          m.parked(),
		Topics:          m.hub.Topics(),
		LingeringTopics: m.hub.LingeringTopics(),
		Accepted:        m.hub.Accepted(),
		Refused:         m.counters.refused.Load(),
		MessagesIn:      c.In.Messages(),
		BytesIn:         c.In.Bytes(),
		MessagesIgnored: m.counters.ignored.Load(),
		Published:       uint64(m.histograms.batchMessages.Sum()), // #nosec G115 -- a count
		MessagesOut:     c.Out.Messages(),
		BytesOut:        c.Out.Bytes(),
		Dropped:         c.Dropped.Load(),
		Lost:            c.Lost.Load(),
		Resumes: Resumes{
			Recovered: t.Recovered.Load(),
			Epoch:     t.Missed.Epoch.Load(),
			Ahead:     t.Missed.Ahead.Load(),
			Off:       t.Missed.Off.Load(),
			Evicted:   t.Missed.Evicted.Load(),
			Unknown:   t.Missed.Unknown.Load(),
		},
		Replayed:        t.Replayed.Load(),
		Present:         int(t.Present.Load()),
		Requests:        m.counters.requests.Load(),
		RequestsFailed:  m.counters.requestsFailed.Load(),
		Evicted:         c.Evicted.Load(),
		OutboxMemory:    m.hub.Budget().Held(),
		HistoryMemory:   m.hub.HistoryMemory(),
		Throttled:       c.Throttled.Load(),
		Broker:          m.brokerStats(),
		EventsDropped:   m.counters.eventsDropped.Load(),
		PanicsRecovered: m.counters.panicsRecovered.Load(),
		Uptime:          m.hub.Uptime(),
	}
}

// parked returns how many clients the poller waits for.
func (m *Manager) parked() int {
	if p := m.clientOptions.Poller; p != nil {
		return p.Waiting()
	}
	return 0
}

// GetClientCount returns the number of connected clients, including those that are being closed, for up to the close
// timeout. It is 0 before Start and after Shutdown, and never blocks.
func (m *Manager) GetClientCount() int { return m.hub.Sessions() }

// GetTopicSubscriberCount returns the number of subscribers of a topic, loops over Manager.Subscribe included: 0 for a topic that
// nobody subscribes to, and after Shutdown. It asks the supervisor, which never waits, so it does not block.
func (m *Manager) GetTopicSubscriberCount(topic string) int { return m.hub.CountSubscribers(topic) }

// GetAllTopics returns the statistics of every live topic actor, sorted by name; none after Shutdown.
// It does not block, and does not stop the topics, so the figures of a busy topic may be of slightly different moments.
func (m *Manager) GetAllTopics() []TopicStats { return m.topicStats(false) }

// GetLingeringTopics is GetAllTopics for the topics that have no subscribers and keep nothing, and live on for a while; see
// docs/history.md.
func (m *Manager) GetLingeringTopics() []TopicStats { return m.topicStats(true) }

func (m *Manager) topicStats(lingering bool) []TopicStats {
	live := m.hub.AllTopics(lingering)
	list := make([]TopicStats, len(live))
	for i, s := range live {
		list[i] = TopicStats{
			Name:            s.Name,
			Subscribers:     s.Subscribers,
			SubscribersV2:   s.SpeakV2,
			Users:           s.Users,
			Epoch:           s.Position.Epoch,
			Seq:             s.Position.Seq,
			Kept:            s.Kept,
			KeptBytes:       s.KeptBytes,
			OldestKeptAt:    s.OldestKeptAt,
			Published:       s.Published,
			Delivered:       s.Delivered,
			Dropped:         s.Dropped,
			MailboxDepth:    s.Depth,
			Restarts:        s.Restarts,
			CreatedAt:       s.CreatedAt,
			LastPublishedAt: s.LastPublishedAt,
		}
	}
	slices.SortFunc(list, func(a, b TopicStats) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// ClientStats are the statistics of one connection.
type ClientStats struct {
	ID            string        `json:"id"`
	UserID        string        `json:"user_id"`
	Protocol      string        `json:"protocol"` // "v1" or "tank.v2", see Client.Protocol
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
		ID:            c.session.ID,
		UserID:        c.session.UserID,
		Protocol:      c.Protocol().String(),
		RemoteAddr:    c.RemoteAddr(),
		Subscriptions: c.session.Subscriptions(),
		OutboxBytes:   c.session.Client.Queued(),
		Dropped:       c.session.Client.Dropped(),
		RTT:           c.session.Client.RTT(),
		Closing:       c.session.Client.Closing(),
		ConnectedAt:   time.Unix(0, c.session.ConnectedAt),
		LastSeen:      c.session.Client.LastSeen(),
	}
}

// Lag returns how many messages of a topic are queued for the client: accepted, not dropped, and not yet taken by its socket, which is
// known of up to 64 KiB at a time. So the client stands at TopicStats.Seq less the lag. It is 0 for a client that has ended. It asks the
// client's actor, which never waits, so it does not block.
func (c *Client) Lag(topic string) int { return c.session.Client.Lag(topic) }

// GetClient returns the connected client with that Client.ID, or nil when there is none: before Start and after Shutdown,
// too. It asks the supervisor, which never waits, so it does not block.
func (m *Manager) GetClient(clientID string) *Client {
	if s := m.hub.Session(clientID); s != nil {
		return clientOf(s.Client)
	}
	return nil
}

// GetAllClients returns the connected clients, those that are being closed included, in the order in which they connected;
// none before Start and after Shutdown. It does not block.
func (m *Manager) GetAllClients() []*Client {
	var all []*Client
	for _, s := range m.hub.AllSessions() {
		all = append(all, clientOf(s.Client))
	}
	sortClients(all)
	return all
}

// GetTopicSubscribers returns the clients that are subscribed to a topic, in the order in which they connected; none before
// Start, and once Shutdown ends the topics. It waits until the topic has queued all accepted messages for its subscribers, which
// never blocks.
func (m *Manager) GetTopicSubscribers(topic string) []*Client {
	if topic == hub.Broadcast {
		return nil
	}
	members := m.hub.Members(topic)
	if members == nil {
		return nil
	}
	all := make([]*Client, 0, len(members))
	for _, s := range members {
		if c, ok := s.(*client.Client); ok { // not the program itself, see Manager.Subscribe
			all = append(all, clientOf(c))
		}
	}
	sortClients(all)
	return all
}

// clientOf returns the Client of a connection.
func clientOf(c *client.Client) *Client { return (*Client)(c.Owner().(*owner)) }

func sortClients(list []*Client) {
	slices.SortFunc(list, func(a, b *Client) int { return cmp.Compare(a.session.Number(), b.session.Number()) })
}

// Histograms are distributions of what happens in an instance. They count from NewInstance on.
type Histograms struct {
	// BatchMessages is how many messages topics handed to their subscribers at a time. Its Sum is Stats.Published.
	BatchMessages Histogram `json:"batch_messages"`
	// WriteLatency is the time from the publish of a message until a subscriber's socket has taken it, in seconds. One message in
	// 16 is measured, at most one of a batch, for one of its subscribers. A message that this subscriber loses is not counted.
	WriteLatency Histogram `json:"write_latency"`
	// OutboxBytes is the number of queued bytes of a client: accepted, but not yet taken by its socket. Each client is measured
	// once in a heartbeat interval.
	OutboxBytes Histogram `json:"outbox_bytes"`
	// RequestLatency is how long calls of the request handler took, in seconds.
	RequestLatency Histogram `json:"request_latency"`
}

// Histogram counts observations by size.
type Histogram struct {
	Bounds []float64 `json:"bounds"` // inclusive upper bounds of the buckets, increasing
	Counts []uint64  `json:"counts"` // observations in each bucket; one more than Bounds, for all that is larger
	Sum    float64   `json:"sum"`    // of all observations
}

// Histograms returns the distributions. It never blocks. A busy instance's counts may be of slightly different moments.
func (m *Manager) Histograms() Histograms {
	return Histograms{
		BatchMessages:  read(m.histograms.batchMessages, 1),
		WriteLatency:   read(m.histograms.writeLatency, float64(time.Second)),
		OutboxBytes:    read(m.histograms.outboxBytes, 1),
		RequestLatency: read(m.histograms.requestLatency, float64(time.Second)),
	}
}

// histograms of an instance.
type histograms struct {
	batchMessages  *metrics.Histogram
	writeLatency   *metrics.Histogram // nanoseconds
	outboxBytes    *metrics.Histogram
	requestLatency *metrics.Histogram // nanoseconds
}

func newHistograms() histograms {
	const us, ms, kib, mib = int64(time.Microsecond), int64(time.Millisecond), 1 << 10, 1 << 20
	latencies := []int64{25 * us, 50 * us, 100 * us, 250 * us, 500 * us, 1 * ms, 2500 * us, 5 * ms, 10 * ms, 25 * ms, 50 * ms, 100 * ms,
		250 * ms, 500 * ms, 1000 * ms, 2500 * ms, 5000 * ms, 10_000 * ms}
	return histograms{
		batchMessages:  metrics.NewHistogram(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048),
		writeLatency:   metrics.NewHistogram(latencies...),
		outboxBytes:    metrics.NewHistogram(0, 1*kib, 4*kib, 16*kib, 64*kib, 256*kib, 1*mib, 4*mib, 16*mib, 64*mib),
		requestLatency: metrics.NewHistogram(latencies...),
	}
}

// read converts a histogram of integers to one of units that each are so many of those.
func read(h *metrics.Histogram, unit float64) Histogram {
	bounds := make([]float64, len(h.Bounds()))
	for i, b := range h.Bounds() {
		bounds[i] = float64(b) / unit
	}
	return Histogram{Bounds: bounds, Counts: h.Counts(), Sum: float64(h.Sum()) / unit}
}
