package suite

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/load"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/proc"
)

// bench is one contender's server, fresh for one measurement. What is published is published there. In a group there are more.
type bench struct {
	*proc.Server
	more          []*proc.Server
	broker        *proc.Server // nil: none
	kept          string       // where it keeps files; empty: nowhere
	ctx           context.Context
	dialect       dialect
	compress      bool
	fleets        []*load.Fleet
	subscriptions int // that the server should have
}

// newBench starts the server. It must be closed.
func newBench(ctx context.Context, c Contender, config contender.Config) (*bench, error) {
	b := &bench{ctx: ctx, dialect: c.dialect, compress: config.Compression}
	if c.broker != "" {
		var err error
		if b.kept, err = os.MkdirTemp("", "broker-"); err != nil {
			return nil, err
		}
		if b.broker, err = startBroker(ctx, c, b.kept); err != nil {
			b.close()
			return nil, err
		}
		config.Broker = b.broker.Subscribers
	}
	for i := range max(1, c.nodes) {
		s, err := proc.Start(ctx, c.with(config)...)
		switch {
		case err != nil:
			b.close()
			return nil, err
		case i == 0:
			b.Server = s
		default:
			b.more = append(b.more, s)
		}
	}
	return b, nil
}

// close ends the server first: its side of the connections should not be closed one by one.
func (b *bench) close() {
	for _, s := range b.servers() {
		s.Stop()
	}
	if b.broker != nil {
		b.broker.Stop()
	}
	if b.kept != "" {
		_ = os.RemoveAll(b.kept)
	}
	for _, f := range b.fleets {
		f.Close()
	}
}

// connect connects clients without subscribing them.
func (b *bench) connect(clients int) (*load.Fleet, error) {
	return b.dial(load.Options{Clients: clients})
}

// dial is connect with options; where to connect, and how to talk, it knows.
func (b *bench) dial(opts load.Options) (*load.Fleet, error) {
	opts.Addr, opts.Compress = b.Subscribers, b.compress
	for _, s := range b.more {
		opts.More = append(opts.More, s.Subscribers)
	}
	opts.Lines, opts.Beats = b.dialect.lines, b.dialect.beats
	opts.Subprotocol, opts.Greeted, opts.Mixed = b.dialect.subprotocol, b.dialect.greeted, b.dialect.mixed
	f, err := load.Dial(b.ctx, opts)
	if err != nil {
		return nil, err
	}
	b.fleets = append(b.fleets, f)
	if b.dialect.hello == "" {
		return f, nil
	}
	f.Arm(int64(opts.Clients), nil)
	for i := range opts.Clients {
		if err := f.Send(i, b.dialect.hello); err != nil {
			return nil, err
		}
	}
	_, err = f.Await(b.ctx)
	return f, err
}

// hangUp ends the connections of a fleet, and waits until the server has noticed.
func (b *bench) hangUp(f *load.Fleet, subscriptions int) error {
	f.Close()
	b.fleets = slices.DeleteFunc(b.fleets, func(other *load.Fleet) bool { return other == f })
	b.subscriptions -= subscriptions
	return b.awaitSubscriptions()
}

// subscribe subscribes each client to its topics and waits until the server has done it.
func (b *bench) subscribe(f *load.Fleet, clients int, topics func(client int) []string) error {
	var all [][]string
	answers := 0
	for i := range clients {
		var say []string
		d := b.dialect.of(i)
		for j, topic := range topics(i) {
			say = append(say, d.subscribe(2+j, topic))
		}
		all = append(all, say)
		b.subscriptions += len(say)
		answers += int(d.answers(int64(len(say))))
	}
	f.Arm(int64(answers), nil)
	for i, say := range all {
		if err := f.SendAll(i, say); err != nil {
			return err
		}
	}
	if answers > 0 {
		if _, err := f.Await(b.ctx); err != nil {
			return fmt.Errorf("subscribing: %w", err)
		}
	}
	return b.awaitSubscriptions()
}

// subscribed connects clients and subscribes them all to one topic.
func (b *bench) subscribed(clients int, topic string) (*load.Fleet, error) {
	f, err := b.connect(clients)
	if err != nil {
		return nil, err
	}
	return f, b.subscribe(f, clients, func(int) []string { return []string{topic} })
}

// subscribeTime is how long the server has to make subscriptions.
const subscribeTime = 30 * time.Second

func (b *bench) awaitSubscriptions() error {
	for deadline := time.Now().Add(subscribeTime); ; time.Sleep(5 * time.Millisecond) {
		st, err := b.Stats(b.ctx)
		switch {
		case err != nil:
			return err
		case st.Subscriptions == b.subscriptions:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%d subscriptions, want %d", st.Subscriptions, b.subscriptions)
		}
	}
}

// usage is what a stretch of time took of processors.
type usage struct {
	start        time.Time
	server, load time.Duration
}

// begin begins a stretch.
func (b *bench) begin() (usage, error) {
	cpu, err := b.cpu()
	return usage{time.Now(), cpu, proc.Own()}, err
}

// since is what the server's processors worked since begin.
func (b *bench) since(u usage) (time.Duration, error) {
	cpu, err := b.cpu()
	return cpu - u.server, err
}

// load has the server work until the fleet has got all that it waits for. It returns how many units of that came per second, under the
// name of the unit, and what one unit took; a server that does not tell its allocations has none.
func (b *bench) load(f *load.Fleet, unit string, units float64, work func() error) (values, error) {
	before, err := b.Stats(b.ctx)
	if err != nil {
		return nil, err
	}
	u, err := b.begin()
	if err != nil {
		return nil, err
	}
	if err := work(); err != nil {
		return nil, err
	}
	end, err := f.Await(b.ctx)
	if err != nil {
		return nil, err
	}
	own := proc.Own()
	cpu, err := b.since(u)
	if err != nil {
		return nil, err
	}
	resident, err := b.resident()
	if err != nil {
		return nil, err
	}
	after, err := b.Stats(b.ctx)
	if err != nil {
		return nil, err
	}
	elapsed := end.Sub(u.start)
	v := values{
		"load":  (own - u.load).Seconds() / elapsed.Seconds(),
		unit:    units / elapsed.Seconds(),
		"cpu":   float64(cpu.Nanoseconds()) / units,
		"cores": cpu.Seconds() / elapsed.Seconds(),
		"peak":  float64(resident),
		"wire":  float64(f.Bytes()) / units,
	}
	if before.Allocations > 0 {
		v["allocs"] = float64(after.Allocations-before.Allocations) / units
	}
	return v, nil
}

// checkedShare is how many clients there are for each whose messages are checked. Checking costs more than counting.
const checkedShare = 64

// newSample checks some clients; all of them, and keeps latencies, when there is room for any.
func newSample(template string, topic func(int) string, latencies int) (*load.Sample, error) {
	checker, err := payload.NewChecker(template)
	s := &load.Sample{Every: checkedShare, Payload: checker, Topic: topic}
	if latencies > 0 {
		s.Every, s.Latencies = 1, make([]int64, 0, latencies)
	}
	return s, err
}

// explain adds to an error what the server says of itself.
func (b *bench) explain(err error) error {
	if err == nil || b.ctx.Err() != nil {
		return err
	}
	if st, e := b.Stats(b.ctx); e == nil && st.Dropped > 0 {
		err = fmt.Errorf("%w; the server says it dropped %d", err, st.Dropped)
	}
	return err
}

func all(n int64) func(int) int64 { return func(int) int64 { return n } }

func one(topic string) func(int) string { return func(int) string { return topic } }

// sorted sorts latencies for percentiles.
func sorted(latencies []int64) []int64 {
	slices.Sort(latencies)
	return latencies
}
