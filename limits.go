package tank

import (
	"fmt"
	"math"
	"time"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/budget"
	"github.com/fanqie/tank-websocket-go-server/internal/metrics"
	"github.com/fanqie/tank-websocket-go-server/internal/poller"
)

// Defaults of the limits.
const (
	DefaultMessageBytes       = 32 << 10
	DefaultMessageTimeout     = 10 * time.Second
	DefaultMessagesPerSecond  = 100
	DefaultMessageBurst       = 200
	DefaultPingsPerSecond     = 10
	DefaultPingBurst          = 20
	DefaultSubscriptions      = 128
	DefaultConnections        = 10_000
	DefaultConnectionsPerUser = 32
	DefaultOutboxBytes        = 1 << 20
	DefaultTotalOutboxBytes   = 1 << 30
	DefaultTopicQueueBytes    = 1 << 20
	DefaultTotalHistoryBytes  = 256 << 20
	DefaultPublishTimeout     = 5 * time.Second
	DefaultWriteTimeout       = 5 * time.Second
	DefaultCloseTimeout       = 5 * time.Second
)

// Limits bound what one client, one topic, or all clients together can use. A zero field stands for its default. A very large
// value, such as math.MaxInt, stands for no limit.
type Limits struct {
	// MessageBytes is the maximum size of a received message, in bytes. A client that sends more is closed with 1009.
	// Default 32 KiB.
	MessageBytes int
	// MessageTimeout is the maximum time from the first byte of a received message to its last. A client that takes longer is
	// closed with 1008, also when the server has read a message of very many fragments more slowly, see below: so each one comes
	// to an end. Default 10 s.
	MessageTimeout time.Duration
	// MessagesPerSecond and MessageBurst limit the messages of one client, commands included: its rate per second, and how many
	// it may send at once after a rest. Past the limit, the server reads the connection more slowly. No message is lost, and
	// Stats.Throttled counts the messages that waited. A message that takes long to decompress, or has more than 64 fragments,
	// counts as several. A new connection inherits the allowance of a closed connection of the same user, or of the same address
	// when no authenticator names the user. Default 100 and 200.
	MessagesPerSecond, MessageBurst int
	// PingsPerSecond and PingBurst limit the pings of one client (RFC 6455, section 5.5.2), and its pongs that answer no ping: the
	// rate per second, and how many it may send at once after a rest. A client past the limit is closed with 1008. Default 10
	// and 20.
	PingsPerSecond, PingBurst int
	// Subscriptions is the maximum number of topics that one client is subscribed to. A "sub:" past the limit is answered with an
	// error frame "limit", and after 16 of these in a row the client is closed with 1008. Client.Subscribe returns ErrLimit.
	// Default 128.
	Subscriptions int
	// Connections is the maximum number of connections of the instance, those in their handshake included. A request past the
	// limit is answered with 503. Default 10,000.
	Connections int
	// ConnectionsPerUser is the maximum number of connections of one user. The limit is for users that an authenticator names: the
	// query parameter user_id is no proof, so anyone could use it to lock out another user. A connection past the limit is closed
	// with 1008. Default 32.
	ConnectionsPerUser int
	// OutboxBytes is the maximum number of queued bytes of one client: accepted, but not yet taken by its socket. The OutboxPolicy
	// says what happens past the limit; by default the client is closed with 1013. Publishers do not wait for clients, so a
	// burst over the limit affects every subscriber. An empty outbox accepts a single batch of any size (about 128 KiB, or one
	// larger message). A loop over Manager.Subscribe has a queue of the same limit. Default 1 MiB.
	OutboxBytes int
	// TotalOutboxBytes is the maximum memory of the queued bytes of all clients together. A message that is queued for several
	// clients counts once. Past the limit, the client with the most queued bytes is closed with 1013. Default 1 GiB.
	TotalOutboxBytes int
	// TopicQueueBytes is the maximum number of bytes that are queued in one topic, to be encoded. Past the limit, publishers wait.
	// Default 1 MiB.
	TopicQueueBytes int
	// TotalHistoryBytes is the maximum memory of what all topics keep together: messages (see WithTopics), keys of publications, and
	// 1 KiB for each topic that keeps some or lingers. Those that linger may take an eighth of it. Past the limit, topics without
	// subscribers end, the longest idle first, and then topics with subscribers drop the oldest of what they keep. Whoever comes back
	// to one of these is told when messages may be missing. Default 256 MiB.
	TotalHistoryBytes int
	// PublishTimeout is how long BroadcastMessage, BroadcastTopicMessage, Client.SendTopic and publications by clients wait for room
	// in the queue of a topic, how long Manager.Position, Manager.Presence and Manager.Reset wait for a topic, and how long calls without
	// a context wait for the broker, see WithBroker. Default 5 s.
	PublishTimeout time.Duration
	// WriteTimeout is how long a write may make no progress. Then the client is disconnected: a client that stops reading, after less
	// than twice that time. With TLS on other systems than Linux, the client has to take a whole write in that time: 16 KiB, or
	// Upgrader.WriteBufferSize where that is more, and what its socket frees at a time. Default 5 s.
	WriteTimeout time.Duration
	// CloseTimeout is how long a client has to answer a close frame. Then it is disconnected. Default 5 s.
	CloseTimeout time.Duration
}

// limit is a field of Limits.
type limit[T int | time.Duration] struct {
	name     string
	value    *T
	standard T
}

func (l *Limits) numbers() []limit[int] {
	return []limit[int]{
		{"MessageBytes", &l.MessageBytes, DefaultMessageBytes},
		{"MessagesPerSecond", &l.MessagesPerSecond, DefaultMessagesPerSecond},
		{"MessageBurst", &l.MessageBurst, DefaultMessageBurst},
		{"PingsPerSecond", &l.PingsPerSecond, DefaultPingsPerSecond},
		{"PingBurst", &l.PingBurst, DefaultPingBurst},
		{"Subscriptions", &l.Subscriptions, DefaultSubscriptions},
		{"Connections", &l.Connections, DefaultConnections},
		{"ConnectionsPerUser", &l.ConnectionsPerUser, DefaultConnectionsPerUser},
		{"OutboxBytes", &l.OutboxBytes, DefaultOutboxBytes},
		{"TotalOutboxBytes", &l.TotalOutboxBytes, DefaultTotalOutboxBytes},
		{"TopicQueueBytes", &l.TopicQueueBytes, DefaultTopicQueueBytes},
		{"TotalHistoryBytes", &l.TotalHistoryBytes, DefaultTotalHistoryBytes},
	}
}

func (l *Limits) durations() []limit[time.Duration] {
	return []limit[time.Duration]{
		{"MessageTimeout", &l.MessageTimeout, DefaultMessageTimeout},
		{"PublishTimeout", &l.PublishTimeout, DefaultPublishTimeout},
		{"WriteTimeout", &l.WriteTimeout, DefaultWriteTimeout},
		{"CloseTimeout", &l.CloseTimeout, DefaultCloseTimeout},
	}
}

// WithLimits sets all limits, also those of an earlier WithLimits. No field may be negative.
func WithLimits(l Limits) Option {
	requirePositive(l.numbers(), "%d is negative")
	requirePositive(l.durations(), "%v is negative")
	return func(c *config) { c.limits = l }
}

func requirePositive[T int | time.Duration](fields []limit[T], format string) {
	for _, f := range fields {
		require(*f.value >= 0, "WithLimits", f.name+" "+format, *f.value)
	}
}

func (l *Limits) setDefaults() {
	setDefaults(l.numbers())
	setDefaults(l.durations())
	// These stand for no limit, and do not overflow in calculations.
	l.MessageBytes = min(l.MessageBytes, math.MaxInt/2)
	l.MessageBurst, l.PingBurst = min(l.MessageBurst, client.MaxBurst), min(l.PingBurst, client.MaxBurst)
}

func setDefaults[T int | time.Duration](fields []limit[T]) {
	for _, f := range fields {
		if *f.value == 0 {
			*f.value = f.standard
		}
	}
}

// OutboxPolicy says what happens to a client whose queued bytes exceed Limits.OutboxBytes, because it reads too slowly.
type OutboxPolicy int

// The outbox policies. Every lost message is counted in ClientStats.Dropped, in the TopicStats.Dropped of its topic, and in
// Stats.Dropped.
const (
	// OutboxClose closes the client with 1013: a connection that stays open never misses a message. The default.
	OutboxClose = OutboxPolicy(client.CloseSlow)
	// OutboxDropOldest drops the oldest queued messages, as many as necessary. An ErrorEvent with CodeSlowClient reports the
	// first loss, and the next first loss after the outbox has been empty.
	OutboxDropOldest = OutboxPolicy(client.DropOldest)
	// OutboxKeepLatest drops all but the latest message of each topic; if that is not enough, the oldest. BroadcastMessage counts
	// as one topic. It is for states of which only the latest matters. An ErrorEvent with CodeSlowClient reports losses as for
	// OutboxDropOldest. Bytes that the kernel holds already, up to some MiB, arrive first.
	OutboxKeepLatest = OutboxPolicy(client.KeepLatest)
)

// String returns the name of the constant.
func (p OutboxPolicy) String() string {
	switch p {
	case OutboxClose:
		return "OutboxClose"
	case OutboxDropOldest:
		return "OutboxDropOldest"
	case OutboxKeepLatest:
		return "OutboxKeepLatest"
	}
	return fmt.Sprintf("OutboxPolicy(%d)", int(p))
}

// WithOutboxPolicy sets what happens to clients that read too slowly. Default OutboxClose.
func WithOutboxPolicy(p OutboxPolicy) Option {
	require(p >= OutboxClose && p <= OutboxKeepLatest, "WithOutboxPolicy", "%d is not a policy", p)
	return func(c *config) { c.outboxPolicy = p }
}

func (l *Limits) messageRate() client.Rate {
	return client.Rate{PerSecond: l.MessagesPerSecond, Burst: l.MessageBurst}
}

func (l *Limits) pingRate() client.Rate {
	return client.Rate{PerSecond: l.PingsPerSecond, Burst: l.PingBurst}
}

func (c *config) clientOptions(outboxes *budget.Budget, returnWithin func() time.Duration, writeLatency *metrics.Histogram) *client.Options {
	l := c.limits
	var p *poller.Poller
	if c.poller {
		p = poller.New()
	}
	return &client.Options{
		OutboxBytes:    l.OutboxBytes,
		Policy:         client.Policy(c.outboxPolicy),
		Budget:         outboxes,
		MessageBytes:   l.MessageBytes,
		MessageTimeout: l.MessageTimeout,
		Messages:       l.messageRate(),
		Pings:          l.pingRate(),
		WriteTimeout:   l.WriteTimeout,
		CloseTimeout:   l.CloseTimeout,
		ReturnWithin:   returnWithin,
		Poller:         p,
		Counters:       &client.Counters{},
		WriteLatency:   writeLatency,
	}
}
