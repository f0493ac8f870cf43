package tank

import (
	"math"
	"time"

	"github.com/fanqie/tank-websocket-go-server/client"
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
	DefaultPublishTimeout     = 5 * time.Second
	DefaultWriteTimeout       = 5 * time.Second
	DefaultCloseTimeout       = 5 * time.Second
)

// Limits bound what one client, one topic, or all clients together can take. A zero field stands for its default; to do
// without a limit, set a very large one, such as math.MaxInt.
type Limits struct {
	// MessageBytes is the most a received message may have, in bytes. A client that sends more is closed with 1009.
	// Default 32 KiB.
	MessageBytes int
	// MessageTimeout is how long one received message may take from its first byte to its last. A client that takes
	// longer is closed with 1008. Default 10 s.
	MessageTimeout time.Duration
	// MessagesPerSecond and MessageBurst are how many messages, commands included, one client may send per second, and
	// how many at once after a rest. Past it the connection is read from more slowly: nothing is lost, and each message
	// that had to wait is counted in Stats.Throttled. A message that takes long to inflate, or has more than 64 fragments,
	// counts as several. A new connection inherits what a closed one of the same user has used up, or of the same address when
	// no authenticator names the user. Default 100 and 200.
	MessagesPerSecond, MessageBurst int
	// PingsPerSecond and PingBurst are the same for pings (RFC 6455, section 5.5.2), and for pongs that answer no ping, but a
	// client past it is closed with 1008. Default 10 and 20.
	PingsPerSecond, PingBurst int
	// Subscriptions is how many topics one client can be subscribed to. A "sub:" past it is answered with an error frame
	// "limit", and a client that was refused 16 times in a row is closed with 1008; Client.Subscribe returns ErrLimit.
	// Default 128.
	Subscriptions int
	// Connections is how many connections the instance can have, those whose handshake is being looked at included. A
	// request past it is answered with 503. Default 10,000.
	Connections int
	// ConnectionsPerUser is how many connections one user can have. It is for users that an authenticator named: the
	// query parameter user_id is no proof, so with that anyone could lock out somebody else. One more is closed with 1008.
	// Default 32.
	ConnectionsPerUser int
	// OutboxBytes is the most that may be on its way to one client, in bytes: accepted, but not yet taken by its
	// socket. What happens past it is the OutboxPolicy; by default the client is closed with 1013. As publishers do not
	// wait for clients, a larger burst does that to everyone. A single batch (about 128 KiB, or one larger message) is
	// always taken when nothing else is on its way. Default 1 MiB.
	OutboxBytes int
	// TotalOutboxBytes is the most memory that what is on its way to all clients may take, in bytes. What several
	// clients wait for counts once. Past it the client with the most on its way is closed with 1013. Default 1 GiB.
	TotalOutboxBytes int
	// TopicQueueBytes is the most that may wait to be encoded in one topic, in bytes. A publisher past it waits.
	// Default 1 MiB.
	TopicQueueBytes int
	// PublishTimeout is how long BroadcastMessage, BroadcastTopicMessage and publications by clients wait for room in
	// a topic. Default 5 s.
	PublishTimeout time.Duration
	// WriteTimeout is how long a client may take nothing of what is being written to it. Then it is cut. With TLS, it has
	// to take a whole write in that time: 16 KiB, or Upgrader.WriteBufferSize where that is more. Default 5 s.
	WriteTimeout time.Duration
	// CloseTimeout is how long a client has to answer a close frame before its connection is cut. Default 5 s.
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
	// What follows is no limit, and can be reckoned with.
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

// OutboxPolicy says what happens to a client that does not read fast enough, when it has Limits.OutboxBytes on its way.
type OutboxPolicy int

// The outbox policies. Every message lost is counted: in ClientStats.Dropped, in the Dropped of its topic's TopicStats, and in
// Stats.Dropped.
const (
	// OutboxClose closes the client with 1013: nothing is ever skipped on a connection that stays open. The default.
	OutboxClose = OutboxPolicy(client.CloseSlow)
	// OutboxDropOldest drops the oldest messages, as many as it takes. An ErrorEvent with CodeSlowClient tells when that
	// begins, and again after the outbox has been empty.
	OutboxDropOldest = OutboxPolicy(client.DropOldest)
	// OutboxKeepLatest drops all but the latest message of each topic, BroadcastMessage counting as one; if that is not
	// enough, the oldest. For states of which only the present one matters. The same event tells. What the kernel has taken
	// already, up to some MiB, comes first.
	OutboxKeepLatest = OutboxPolicy(client.KeepLatest)
)

// WithOutboxPolicy sets what happens to clients that do not read fast enough. Default OutboxClose.
func WithOutboxPolicy(p OutboxPolicy) Option {
	require(p >= OutboxClose && p <= OutboxKeepLatest, "WithOutboxPolicy", "%d is not a policy", p)
	return func(c *config) { c.outboxPolicy = p }
}

func (c *config) clientOptions() *client.Options {
	l := c.limits
	return &client.Options{
		OutboxBytes:    l.OutboxBytes,
		Policy:         client.Policy(c.outboxPolicy),
		Budget:         client.Budget{Bytes: l.TotalOutboxBytes},
		MessageBytes:   l.MessageBytes,
		MessageTimeout: l.MessageTimeout,
		Messages:       client.Rate{PerSecond: l.MessagesPerSecond, Burst: l.MessageBurst},
		Pings:          client.Rate{PerSecond: l.PingsPerSecond, Burst: l.PingBurst},
		WriteTimeout:   l.WriteTimeout,
		CloseTimeout:   l.CloseTimeout,
		Counters:       &client.Counters{},
	}
}
