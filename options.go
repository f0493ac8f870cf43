package tank

import (
	"compress/flate"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/fanqie/tank-websocket-go-server/broker"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Defaults of the options.
const (
	DefaultHeartbeatInterval = 25 * time.Second
	DefaultHeartbeatTimeout  = 10 * time.Second
	DefaultEventBuffer       = 1024

	DefaultCompressionLevel     = flate.BestSpeed
	DefaultCompressionThreshold = 512
)

// Option configures an instance, see NewInstance. The With functions panic when a value makes no sense, naming the option:
// it is a mistake in the program, and clamping it silently would hide it.
type Option func(*config)

// config is everything the options set. It does not change after NewInstance.
type config struct {
	upgrader           *Upgrader // nil: the process-wide one
	authenticate       func(*http.Request) (Identity, error)
	authorizeSubscribe func(*Client, string) error
	authorizePublish   func(*Client, *Publication) error
	handleMessage      func(*Client, Message)
	handleRequest      func(*Client, Request) (any, error)
	handleToken        func(*Client, string) (Identity, error)
	handleConnect      func(*Client, *http.Request) error
	handleDisconnect   func(*Client, Disconnect)
	heartbeatInterval  time.Duration
	heartbeatTimeout   time.Duration
	limits             Limits
	outboxPolicy       OutboxPolicy
	protocols          []Protocol // that are permitted
	topics             topicTable
	broker             broker.Broker // nil: the instance is alone
	drainWindow        time.Duration // zero: all at once
	drainBatch         int           // clients
	logger             *slog.Logger
	errorBuffer        int
	connEventBuffer    int

	poller               bool
	compress             bool // for this instance, whatever the upgrader says
	compressionLevel     int
	compressionThreshold int
}

func newConfig(opts []Option) *config {
	c := &config{
		heartbeatInterval: DefaultHeartbeatInterval,
		heartbeatTimeout:  DefaultHeartbeatTimeout,
		errorBuffer:       DefaultEventBuffer,
		connEventBuffer:   DefaultEventBuffer,
		protocols:         []Protocol{V1, V2},

		poller:               true,
		compressionLevel:     DefaultCompressionLevel,
		compressionThreshold: DefaultCompressionThreshold,
	}
	for i, opt := range opts {
		require(opt != nil, "NewInstance", "option %d is nil", i+1)
		opt(c)
	}
	c.limits.setDefaults()
	c.topics.setDefaults(c.limits.TotalHistoryBytes)
	return c
}

// require panics about a senseless argument of an option, or of another function.
func require(ok bool, function, format string, args ...any) {
	if !ok {
		panic(fmt.Sprintf("tank: %s: %s", function, fmt.Sprintf(format, args...)))
	}
}

// WithUpgrader sets the upgrader of this instance. Default: the one given to SetCustomUpgrader.
func WithUpgrader(u Upgrader) Option {
	u.check("WithUpgrader")
	u.Subprotocols = slices.Clone(u.Subprotocols)
	return func(c *config) { c.upgrader = &u }
}

// WithAuthenticator sets the callback that authenticates a request and returns who it comes from. An error rejects the request
// with 401; its text goes to Errors and not to the client. So does an empty UserID, unless the Identity is Anonymous, and one that
// has expired. The callback runs in the request's goroutine and may block.
//
// Default: the user id is the query parameter user_id, which is a label that anyone can choose and not an identity.
func WithAuthenticator(f func(*http.Request) (Identity, error)) Option {
	require(f != nil, "WithAuthenticator", "function is nil")
	return func(c *config) { c.authenticate = f }
}

// WithSubscribeAuthorizer sets the callback that decides whether a client may subscribe to a topic with "sub:TOPIC", or with
// {"sub":"TOPIC"} in tank.v2, which may ask for messages that the topic keeps. An error rejects the subscription with an error
// frame "forbidden"; its text goes to Errors and not to the client. The callback runs in the connection's own goroutine and may
// block. Client.Renew calls it in the goroutine of its caller, perhaps while another call for the same client runs.
// Client.Subscribe, which is the server's decision, does not call it. Default: everyone may.
func WithSubscribeAuthorizer(f func(c *Client, topic string) error) Option {
	require(f != nil, "WithSubscribeAuthorizer", "function is nil")
	return func(c *config) { c.authorizeSubscribe = f }
}

// WithPublishAuthorizer lets clients publish with {"topic":"T","data":"D"}, or with {"pub":"T","data":JSON} in tank.v2, and sets
// the callback that decides about each publication. An error rejects it with an error frame "forbidden"; its text goes to Errors
// and not to the client. The callback may change Data, JSON and From, which is the user id of an authenticated client and empty
// otherwise; changes of Topic and Key are ignored. It must not keep the Publication. What it makes of a publication has to be valid
// UTF-8, and valid JSON where JSON is set: else the publication is rejected and reported with CodeSerialization. A plain socket
// gets Data alone, so a sender that others have to see goes into Data. The callback runs in the connection's own goroutine and may
// block. Default: clients cannot publish: such a message is treated as any other, and in tank.v2 answered with an error frame
// "unsupported".
func WithPublishAuthorizer(f func(c *Client, p *Publication) error) Option {
	require(f != nil, "WithPublishAuthorizer", "function is nil")
	return func(c *config) { c.authorizePublish = f }
}

// WithMessageHandler sets the callback for messages that are neither commands nor publications, which in tank.v2 are {"msg":JSON}
// without an id, and binary messages. The handler may keep Message.Data. It runs in the connection's own goroutine, one message at
// a time, and may block: meanwhile the server reads nothing from this client, and other clients do not wait. When it panics, the
// client is closed with 1011. Default: such messages are counted in Stats.MessagesIgnored and dropped; where clients may publish,
// they are answered with an error frame "bad_message" that says what was expected, and in tank.v2 with "unsupported".
func WithMessageHandler(f func(c *Client, m Message)) Option {
	require(f != nil, "WithMessageHandler", "function is nil")
	return func(c *config) { c.handleMessage = f }
}

// WithRequestHandler sets the callback for requests of clients of tank.v2: {"id":4,"msg":JSON} is answered {"id":4,"ok":RESULT}, where
// the result is encoded as by PublishJSON. An error is answered as an error frame: a *RequestError with its code and message, ErrBusy
// with the code "busy", any other with "internal"; its text then goes to Errors and not to the client. The callback runs in the
// connection's own goroutine, one request at a time, and may block: meanwhile the server reads nothing from this client. When it
// panics, the client is closed with 1011. Default: requests are answered with an error frame "unsupported".
func WithRequestHandler(f func(c *Client, r Request) (any, error)) Option {
	require(f != nil, "WithRequestHandler", "function is nil")
	return func(c *config) { c.handleRequest = f }
}

// WithTokenHandler sets the callback for new credentials of clients of tank.v2, {"id":5,"auth":"TOKEN"}, which are told with
// {"expires":60} that theirs are about to expire: 60 seconds before, or half of the time before, if that is less. The identity that it
// returns takes effect as that of Client.Renew; then the client is answered. An error is answered with "forbidden", or with "expired" for
// an identity that has expired, goes to Errors with CodeAuth and not to the client, and changes nothing. The callback runs in the
// connection's own goroutine, and may block: meanwhile the server reads nothing from this client. When it panics, the client is closed
// with 1011. Default: new credentials are answered with an error frame "unsupported", and nobody is told that they expire.
func WithTokenHandler(f func(c *Client, token string) (Identity, error)) Option {
	require(f != nil, "WithTokenHandler", "function is nil")
	return func(c *config) { c.handleToken = f }
}

// WithConnectHandler sets the callback that is called once for each connection, after its connect event and before anything that it
// sends is looked at. It may block, and call the methods of the client, such as Subscribe and Send. It runs in the connection's own
// goroutine. The context of the request ends when the connection begins to close; the request's body is empty, and the instance does
// not keep the request. A connection that is closed at once, as one too many of its user, has no call.
//
// An error refuses the connection: a *CloseError is closed with its code and reason, anything else with 3003 "refused", and the error
// goes to Errors. When the handler panics, the connection is closed with 1011. Shutdown waits for the handler, as long as its
// context lasts. Default: every connection is accepted.
func WithConnectHandler(f func(c *Client, r *http.Request) error) Option {
	require(f != nil, "WithConnectHandler", "function is nil")
	return func(c *config) { c.handleConnect = f }
}

// WithDisconnectHandler sets the callback that is called exactly once for each connection that the connect handler has accepted, or
// without one for every connection, those over Limits.ConnectionsPerUser included: after its disconnect event and after all its other
// callbacks have returned. It runs in a goroutine of its own and may block. Shutdown waits for it, as long as its context lasts. A
// panic is reported, and has no other effect. An authorizer that Client.Renew calls in the goroutine of its caller may outlast it.
// Default: none.
func WithDisconnectHandler(f func(c *Client, d Disconnect)) Option {
	require(f != nil, "WithDisconnectHandler", "function is nil")
	return func(c *config) { c.handleDisconnect = f }
}

// WithHeartbeat sets the interval of the pings to each client, and the timeout: a client from which no byte arrives for so long
// after a ping is disconnected. Both must be at least 1 ms. Default 25 s and 10 s.
func WithHeartbeat(interval, timeout time.Duration) Option {
	require(interval >= time.Millisecond, "WithHeartbeat", "interval %v is shorter than 1ms", interval)
	require(timeout >= time.Millisecond, "WithHeartbeat", "timeout %v is shorter than 1ms", timeout)
	return func(c *config) { c.heartbeatInterval, c.heartbeatTimeout = interval, timeout }
}

// WithProtocols sets which protocols clients may speak. A handshake that does not offer the subprotocol tank.v2 is refused with 400
// when only V2 is permitted. When only V1 is, tank.v2 is a subprotocol that the server does not know. Default V1 and V2.
func WithProtocols(protocols ...Protocol) Option {
	require(len(protocols) > 0, "WithProtocols", "there is no protocol")
	for _, p := range protocols {
		require(p == V1 || p == V2, "WithProtocols", "%d is not a protocol", int(p))
	}
	protocols = slices.Clone(protocols)
	return func(c *config) { c.protocols = protocols }
}

// WithTopics sets what the topics that match a pattern keep, and whether they know who is in them. A pattern is a topic's name, or a
// prefix with a "*" behind it, which also stands for nothing. A pattern without "*" wins over all with one, and of these the longest;
// so exactly one pattern counts for a topic, and their options are not merged. A "*" elsewhere stands for itself. The same pattern
// again replaces its options. A field must not be negative, and Presence must be Enabled to have others. Default: topics keep nothing, and do not know who is in them.
func WithTopics(pattern string, o TopicOptions) Option {
	if err := wire.CheckTopic(pattern); err != nil {
		require(false, "WithTopics", "%v", err)
	}
	h := o.History
	require(h.Messages >= 0, "WithTopics", "Messages %d is negative", h.Messages)
	require(h.Bytes >= 0, "WithTopics", "Bytes %d is negative", h.Bytes)
	require(h.Age >= 0, "WithTopics", "Age %v is negative", h.Age)
	require(o.Presence.Grace >= 0, "WithTopics", "Grace %v is negative", o.Presence.Grace)
	require(o.Presence.Max >= 0, "WithTopics", "Max %d is negative", o.Presence.Max)
	require(o.Presence.Enabled || o.Presence.Grace == 0 && o.Presence.Max == 0 && o.Presence.Info == nil, "WithTopics", "Presence has options, and is not Enabled")
	return func(c *config) { c.topics.set(pattern, o) }
}

// WithDrain makes Shutdown close the clients in batches with 1001, spread evenly over the window, so that they do not all
// reconnect at the same time. New connections are rejected from the start. Clients of later batches are served as before,
// publications included. The context of Shutdown should last for the window and the close timeout: when it ends, the remaining
// clients are disconnected. Default: all clients are closed at once.
func WithDrain(window time.Duration, batch int) Option {
	require(window > 0, "WithDrain", "window %v is not positive", window)
	require(batch > 0, "WithDrain", "batch %d is not a positive number of clients", batch)
	return func(c *config) { c.drainWindow, c.drainBatch = window, batch }
}

// WithLogger logs every ErrorEvent (level Warn; Error for panics; Info for a lost connection, and for a request during Shutdown) and
// every ConnEvent (level Debug), never a message's data. The attribute advice says what to do about a fault, where something can be
// done. A logger that blocks delays nothing else: events that it cannot keep up with are not logged, and are counted in
// Stats.EventsDropped. Default: nothing is logged.
func WithLogger(l *slog.Logger) Option {
	require(l != nil, "WithLogger", "logger is nil")
	return func(c *config) { c.logger = l }
}

// WithCompression accepts permessage-deflate in this instance, as Upgrader.EnableCompression does, and sets how messages
// to clients are compressed: level is that of compress/flate, 1 (fast) to 9 (small), and messages of fewer than
// threshold bytes are not compressed. Default: off; 1 and 512 bytes when the upgrader turns it on.
func WithCompression(level, threshold int) Option {
	require(level >= flate.BestSpeed && level <= flate.BestCompression, "WithCompression", "level %d is not 1 to 9", level)
	require(threshold >= 0, "WithCompression", "threshold %d is negative", threshold)
	return func(c *config) { c.compress, c.compressionLevel, c.compressionThreshold = true, level, threshold }
}

// WithPoller says whether idle connections, from which nothing comes, wait together in one goroutine, or each in a goroutine of its own.
// Together they take little more than half of the memory. A connection from which something comes has a goroutine either way, so there
// is nothing to gain where each connection sends something all the time. To wait together needs Linux, and connections that are mere TCP
// or Unix sockets: on other systems, and with TLS in this process, each connection has its goroutine in any case. Stats.Parked counts those
// that wait together. Default: true.
func WithPoller(on bool) Option {
	return func(c *config) { c.poller = on }
}

// WithErrorBuffer sets how many unread events the channel Errors holds. Default 1024.
func WithErrorBuffer(n int) Option {
	require(n > 0, "WithErrorBuffer", "%d is not a positive number of events", n)
	return func(c *config) { c.errorBuffer = n }
}

// WithConnEventBuffer sets how many unread events the channel ConnEvents holds. Default 1024.
func WithConnEventBuffer(n int) Option {
	require(n > 0, "WithConnEventBuffer", "%d is not a positive number of events", n)
	return func(c *config) { c.connEventBuffer = n }
}
