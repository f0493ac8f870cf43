package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Defaults of StreamOptions.
const (
	DefaultMessages   = 2000
	DefaultAge        = 24 * time.Hour
	DefaultBytes      = 1 << 30
	DefaultDuplicates = 2 * time.Minute
)

const (
	// apiTimeout is how long an answer of JetStream may take.
	apiTimeout = 3 * time.Second
	// streamRetry is how long the Broker waits after something that went wrong with the stream.
	streamRetry = 250 * time.Millisecond
	// deletion is how long a server gets to delete a stream before it is made anew. Servers that are asked earlier delete files of the new
	// one, too, and then do not answer to what is published to it.
	deletion = 200 * time.Millisecond
	// slowClock is how often all that is subscribed to is compared with the stream, if nothing gives a reason to.
	slowClock = 30 * time.Second
)

// StreamOptions are the limits of the stream of a group. The zero value of a field stands for its default. They are for the instance that
// makes the stream: a stream that is there is used as it is, and differences are logged.
type StreamOptions struct {
	// Memory keeps the stream in memory. It is lost with the server, or with the last of its Replicas. The default is files.
	Memory bool
	// Replicas is on how many servers of a NATS cluster the stream is, 1 to 5. The default is 1.
	Replicas int
	// Messages is how many stored messages are kept of a topic. Publications that come at the same time may share one. The default is 2,000.
	Messages int
	// Age is how long publications are kept. The default is 24 hours.
	Age time.Duration
	// Bytes is how large the stream gets, with all its topics. Then the oldest messages are dropped, of whatever topic. The default is 1 GiB.
	// A server reserves as much, and refuses to make a stream for which it has not enough.
	Bytes int64
	// Duplicates is how long a repetition of a key is found to be one, no longer than Age. A publication is tried again for half as long. The
	// default is 2 minutes, or Age if that is less.
	Duplicates time.Duration
}

// complete checks the options and fills in defaults.
func (o *StreamOptions) complete() error {
	if o.Replicas < 0 || o.Messages < 0 || o.Age < 0 || o.Bytes < 0 || o.Duplicates < 0 {
		return errors.New("natsbroker: an option of the stream may not be negative")
	}
	if o.Replicas > 5 {
		return errors.New("natsbroker: a stream has 1 to 5 replicas")
	}
	setDefault(&o.Replicas, 1)
	setDefault(&o.Messages, DefaultMessages)
	setDefault(&o.Age, DefaultAge)
	setDefault(&o.Bytes, DefaultBytes)
	setDefault(&o.Duplicates, min(DefaultDuplicates, o.Age))
	if o.Duplicates > o.Age {
		return errors.New("natsbroker: Duplicates of the stream may not be longer than its Age")
	}
	return nil
}

func setDefault[T comparable](value *T, to T) {
	if *value == *new(T) {
		*value = to
	}
}

// keeper is what a Broker has more in mode JetStream: a stream that keeps publications.
type keeper struct {
	b        *Broker
	name     string // of the stream
	api      string // prefix of the subjects of JetStream
	from, to string // prefixes of subjects: published to, and published again by the stream
	slow     time.Duration
	answer   time.Duration // how long one may take
	replicas atomic.Int64
	warned   atomic.Bool // of other limits

	renumbering sync.Mutex // held while another epoch is written

	mu        sync.Mutex
	hint      *nats.Subscription // to what JetStream says about the stream
	wanted    check              // the next one
	number    uint64             // of the last check that was asked for
	kick      chan struct{}
	results   []*result           // for the dispatcher, in order
	epoch     string              // as of the last answer
	sightings map[string]sighting // by epoch
	lanes     map[string]*lane
	// requests are those that wait for JetStream, and what ends them.
	requests map[context.Context]context.CancelCauseFunc
	unheard  error // why their answers are not heard; nil: they are
}

func newKeeper(b *Broker) *keeper {
	return &keeper{
		b:         b,
		name:      token(b.options.Group),
		api:       "$JS.API.",
		from:      b.options.Group + ".p.",
		to:        b.options.Group + ".d.",
		slow:      slowClock,
		answer:    apiTimeout,
		kick:      make(chan struct{}, 1),
		lanes:     make(map[string]*lane),
		requests:  make(map[context.Context]context.CancelCauseFunc),
		sightings: make(map[string]sighting),
	}
}

func (k *keeper) config() jetstream.StreamConfig {
	o := k.b.options.Stream
	storage := jetstream.FileStorage
	if o.Memory {
		storage = jetstream.MemoryStorage
	}
	return jetstream.StreamConfig{
		Name:              k.name,
		Description:       "publications of the tank instances of group " + k.b.options.Group,
		Subjects:          []string{k.from + "*"}, // and not those of a group whose name begins with this prefix
		RePublish:         &jetstream.RePublish{Source: k.from + ">", Destination: k.to + ">"},
		Retention:         jetstream.LimitsPolicy,
		Discard:           jetstream.DiscardOld,
		AllowDirect:       true,
		MaxMsgsPerSubject: int64(o.Messages),
		MaxAge:            o.Age,
		MaxBytes:          o.Bytes,
		Duplicates:        o.Duplicates,
		Storage:           storage,
		Replicas:          o.Replicas,
		MaxMsgs:           -1,
		MaxConsumers:      -1,
	}
}

// errStream says that the stream cannot be used, or made.
var errStream = errors.New("natsbroker: the stream cannot be used")

// info asks for the stream, and makes it if it is not there.
func (k *keeper) info(ctx context.Context, s *session) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*k.answer)
	defer cancel()
	waited := k.current() == "" || k.b.options.Stream.Memory
	for range 8 {
		before := k.sighted()
		stream, err := s.js.Stream(ctx, k.name)
		switch {
		case err == nil:
			info := stream.CachedInfo()
			if err := k.usable(info); err != nil {
				return nil, err
			}
			epoch := epochOf(info)
			high := before[epoch].high
			switch {
			case info.Config.Metadata[epochKey] != epoch:
				err = k.adopt(ctx, s)
			case info.State.LastSeq < high:
				err = k.renumber(ctx, s, epoch, high)
			default:
				k.saw(info)
				return info, nil
			}
			if err != nil {
				return nil, err
			}
			continue
		case !errors.Is(err, jetstream.ErrStreamNotFound):
			return nil, fault(ctx, err)
		}
		if !waited {
			waited = true
			if err := sleep(ctx, deletion); err != nil {
				return nil, err
			}
			continue
		}
		_, err = s.js.CreateStream(ctx, k.config())
		if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return nil, fault(ctx, err)
		}
	}
	return nil, fmt.Errorf("natsbroker: the stream %s comes and goes", k.name)
}

// fault tells what JetStream refuses from an answer that did not come.
func fault(ctx context.Context, err error) error {
	var refused *jetstream.APIError
	var denied deniedError
	switch {
	case errors.As(context.Cause(ctx), &denied):
		return fmt.Errorf("%w: %w", errStream, denied.error)
	case ctx.Err() != nil:
		return fmt.Errorf("natsbroker: JetStream did not answer: %w", ctx.Err())
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w: is JetStream enabled on the server, as by nats-server -js? %w", errStream, err)
	case errors.As(err, &refused) && refused.Code < 500, errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("%w: %w", errStream, err)
	}
	return fmt.Errorf("natsbroker: %w", err)
}

// request returns a context for what waits for JetStream. It ends with the parent, with the network connection, and when the server does not
// permit that. Each answer has its own time.
func (k *keeper) request(parent context.Context, s *session) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	stop := context.AfterFunc(s.ctx, func() { cancel(nil) })
	k.mu.Lock()
	defer k.mu.Unlock()
	k.requests[ctx] = cancel
	return ctx, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.requests, ctx)
		stop()
		cancel(nil)
	}
}

// usable says what a stream lacks.
func (k *keeper) usable(info *jetstream.StreamInfo) error {
	has, want := info.Config, k.config()
	var lacks []string
	check := func(ok bool, what string) {
		if !ok {
			lacks = append(lacks, what)
		}
	}
	check(slices.Contains(has.Subjects, want.Subjects[0]) || slices.Contains(has.Subjects, k.from+">"), "the subjects "+want.Subjects[0])
	check(has.RePublish != nil && *has.RePublish == *want.RePublish, "republishing to "+want.RePublish.Destination)
	check(has.AllowDirect, "direct access")
	check(has.Retention == want.Retention, "retention by limits")
	check(has.SubjectTransform == nil, "the subjects as they are published to")
	check(!has.NoAck, "acknowledgements")
	check(!has.Sealed && has.Mirror == nil, "new messages")
	if len(lacks) > 0 {
		return fmt.Errorf("%w: %s is there without %s", errStream, k.name, strings.Join(lacks, ", "))
	}
	k.replicas.Store(int64(has.Replicas))
	k.compare(has, want)
	return nil
}

// compare logs, once, in what the limits of the stream differ from the options.
func (k *keeper) compare(has, want jetstream.StreamConfig) {
	var differs []any
	check := func(name string, has, want any) {
		if has != want {
			differs = append(differs, name, fmt.Sprintf("%v, not %v", has, want))
		}
	}
	check("storage", has.Storage.String(), want.Storage.String())
	check("replicas", has.Replicas, want.Replicas)
	check("messages", has.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	check("age", has.MaxAge, want.MaxAge)
	check("bytes", has.MaxBytes, want.MaxBytes)
	check("duplicates", has.Duplicates, want.Duplicates)
	check("discard", has.Discard.String(), want.Discard.String())
	if len(differs) > 0 && k.warned.CompareAndSwap(false, true) {
		k.b.log.Warn("natsbroker: the stream "+k.name+" has other limits than the options", differs...)
	}
}

// limits is what a stream has dropped, and what it may have.
type limits struct {
	first uint64 // sequence of its first message
	holes bool   // messages behind that are not there any more
	most  int    // messages of a name that are kept; 0: any number
}

func limitsOf(info *jetstream.StreamInfo) limits {
	state := info.State
	return limits{
		first: state.FirstSeq,
		holes: state.Msgs > 0 && state.LastSeq-state.FirstSeq+1 != state.Msgs,
		most:  int(max(info.Config.MaxMsgsPerSubject, 0)),
	}
}

// subscribeHint asks for what JetStream says about the stream. Without a permission for that, changes are found later.
func (k *keeper) subscribeHint(conn *nats.Conn) {
	sub, _ := conn.ChanSubscribe(k.hintSubject(), k.b.in) // an error is found by others, too
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hint = sub
	if sub != nil && k.b.stopped() { // Close may not see it any more
		_ = sub.Unsubscribe()
	}
}

func (k *keeper) unsubscribeHint() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.hint != nil {
		_ = k.hint.Unsubscribe()
	}
}

func (k *keeper) hintSubject() string { return "$JS.EVENT.ADVISORY.STREAM.*." + k.name }

// hinted reports whether a message is such a hint, and asks for a check.
func (k *keeper) hinted(sub *nats.Subscription) bool {
	k.mu.Lock()
	is := k.hint == sub
	k.mu.Unlock()
	if is {
		k.ask(check{})
	}
	return is
}
