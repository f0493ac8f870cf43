package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// TestModel runs random programs of steps against an instance and a model of it, each in a bubble of its own. After each
// step, when everything has come to rest, everything observable has to agree. model_actions_test.go has the steps.
func TestModel(t *testing.T) {
	t.Parallel() // its time is that of bubbles
	rapid.Check(t, func(rt *rapid.T) {
		policy := uniform([]tank.OutboxPolicy{tank.OutboxClose, tank.OutboxClose, tank.OutboxDropOldest, tank.OutboxKeepLatest}).Draw(rt, "policy")
		program := programs.Draw(rt, "program")
		var failure error
		bubble(t, func(t *testing.T) { failure = newModel(t, policy).run(program) })
		if failure != nil { // outside the bubble, or rapid could not look for a smaller program
			rt.Fatal(failure)
		}
	})
}

// Limits of the instance, so small that they are reached all the time.
var modelLimits = tank.Limits{
	OutboxBytes:       2000,
	MessageBytes:      4 << 10,
	Subscriptions:     3,
	MessagesPerSecond: 10,
	MessageBurst:      40,
	PingsPerSecond:    5,
	PingBurst:         10,
	TotalOutboxBytes:  1 << 30,
}

// smallest is how many bytes the smallest batch has.
const smallest = 8

// maxRefusals is how many subscriptions in a row a client is refused.
const maxRefusals = 16

// The names that authorizers know.
const (
	private   = "private"   // is forbidden
	explosive = "explosive" // makes them panic
)

// all is the source of broadcasts, own of messages to one client alone, and refusals of error frames. Topics are
// sources as well.
const (
	all      = ""
	own      = "\x00own"
	refusals = "\x00refusals"
)

// model is what an instance is in principle: an append-only log for each topic, and for each client which parts of
// which logs it has to get.
type model struct {
	*server
	log     map[string][]string // payloads by source: topics, whether anybody subscribed or not, and broadcasts
	rooms   map[string]*room    // topics with subscribers
	dying   map[string]*room    // those that lost their last one just now
	policy  tank.OutboxPolicy
	players []*player // everybody who ever connected
	left    meter     // the emptiest of those who are gone: all have the same address

	in       int // messages that clients sent and the instance looked at
	taken    int // messages that topics have taken; more if a topic lost its last subscriber just before
	shutOut  int // handshakes that were refused
	waited   int // of those, for the rate
	evicted  int
	panics   int
	refused  int    // handshakes that were not reported yet
	slack    uint64 // messages that may count as lost
	lost     int    // events, because Errors was closed
	shutdown *shutdown
}

// room is a topic while it has subscribers.
type room struct {
	born               int // in the log
	delivered, dropped int
	before             *room // whose end was so near that this one may be the same
	is                 *room // the same, as it turned out
}

func (r *room) it() *room {
	for r.is != nil {
		r = r.is
	}
	return r
}

// shutdown is one that has begun.
type shutdown struct {
	cutAt  time.Time // when its context ends
	cut    bool      // which some client waited for
	either bool      // its context had ended before it began, so nobody knows who is first
	result chan error
}

// span is the log's part from one position up to another, or to the end while open.
type span struct {
	from, to int
	open     bool
}

// player is a connection, both ends of it.
type player struct {
	*peer
	m      *model
	gate   *gate
	user   string
	buffer int // bytes that its socket takes while it does not read
	handle *tank.Client

	// What it does.
	frozen  bool         // it does not read
	hungUp  bool         // it has dropped the connection
	rest    []byte       // of a frame that it has begun to send
	inFrame atomic.Bool  // the same, for the peer's own goroutine
	then    func()       // what that frame will do
	stalled time.Time    // when it began to
	sign    time.Time    // its last sign of life, while it is silent
	maybe   time.Time    // the last thing that may have been taken for one
	pings   []string     // payloads sent
	busyAt  atomic.Int64 // when it sent last, or the instance has waited for its rate; Unix milliseconds
	behind  atomic.Int64 // how long the instance has waited since it last caught up, in microseconds: pings of that time may come at once

	// What the model says.
	topics   map[string]bool         // subscriptions, and all
	spans    map[string][]span       // of what it has to get
	due      map[string][]string     // the same, of what is in no log
	lost     map[string]map[int]bool // but for these
	dropped  int                     // messages for it that are not written
	queue    []message               // on their way: those that do not count as written
	longest  int                     // it was since the socket took all of it
	closing  *closing
	deaf     bool // its frames are not looked at any more
	gone     bool
	losing   bool // since its queue was empty
	refusals int  // of subscriptions, in a row
	messages meter
	pinging  meter
	events   []string // expected and not seen
	faults   []string // expected and not seen: codes, with alternatives

	// A full socket is given what is queued in pieces, each of them all that waits at the time. What is in a piece
	// counts as written when all of it is, and cannot be dropped.
	piece   bool // one is being written
	begun   int  // of the queue, in this piece
	partly  int  // of those, written
	blocked [2]time.Time
	mixed   bool // several messages came at once, so the model does not know what batches they are in
	vague   bool // nor the pieces
	early   int  // messages written then, which may not count
	bytes   int  // of their frames

	// What was seen.
	at         int // where in the stream the first frame begins that is not complete
	length     int // of the stream
	seen       time.Time
	got        map[string][]int // which ones of which source
	written    int
	counted    int // the same, for the instance
	pongs      []string
	closeFrame string
	slow       bool
	blamed     string // the fault that ended it
	end        *tank.ConnEvent
	orderly    bool // by a closing handshake
}

// message is one that is queued: where it comes from, and which of that source it is.
type message struct {
	source  string
	room    *room // nil: of no topic
	at      int
	payload string
}

// closing is a connection's end that has begun.
type closing struct {
	reason string // code and text
	at     time.Time
	byPeer bool // who has sent its close frame
	final  bool // the instance hangs up behind its close frame
	slow   bool // what is queued is given up
	most   int  // how many messages are written then
}

// ending is a way in which a connection may end by itself: not before one time, and by another at the latest.
type ending struct {
	reason       string
	first, last  time.Time
	fault        string // that is reported with it
	byShutdownTo bool   // cut by it, that is
}

// failed is what the model panics with to leave a program early.
type failed struct{ error }

func fail(format string, args ...any) { panic(failed{fmt.Errorf(format, args...)}) }

func newModel(t *testing.T, policy tank.OutboxPolicy) *model {
	m := &model{policy: policy, log: make(map[string][]string), rooms: make(map[string]*room), dying: make(map[string]*room)}
	authorize := func(_ *tank.Client, topic string) error {
		switch topic {
		case private:
			return errors.New("private")
		case explosive:
			panic("told to")
		}
		return nil
	}
	m.server = serve(t,
		tank.WithLimits(modelLimits),
		tank.WithOutboxPolicy(policy),
		tank.WithSubscribeAuthorizer(authorize),
		tank.WithPublishAuthorizer(byTopic(authorize)),
		tank.WithMessageHandler(m.handle))
	synctest.Wait()
	return m
}

// handle is the instance's message handler.
func (m *model) handle(c *tank.Client, msg tank.Message) {
	what, arg, _ := strings.Cut(string(msg.Data), " ")
	switch what {
	case "echo":
		c.Send(tank.Message{Data: []byte(arg)})
	case "panic":
		panic("told to")
	}
}

func (m *model) run(program []step) (err error) {
	i := 0
	defer func() {
		for _, p := range m.players { // or their goroutines would wait for ever
			p.thaw()
			p.conn.Close()
		}
		switch why := recover().(type) {
		case nil:
		case failed:
			err = fmt.Errorf("step %d of %v: %w", i, program, why.error)
		default:
			err = fmt.Errorf("step %d of %v: panic: %v\n%s", i, program, why, debug.Stack())
		}
	}()
	for i = range program {
		program[i].do(m)
		m.settle()
		m.check()
	}
	i++
	m.finish()
	return nil
}

// finish lets everybody read, and shuts down.
func (m *model) finish() {
	for _, p := range m.players {
		p.thaw()
	}
	m.settle()
	m.check()
	if m.shutdown == nil {
		m.shutDown(time.Hour)
		m.settle()
		m.check()
	}
	time.Sleep(tank.DefaultCloseTimeout + time.Nanosecond) // there are peers who do not hear the answer to their close frame
	m.settle()
	m.check()
	select {
	case err := <-m.shutdown.result:
		s := m.shutdown
		if cut := errors.Is(err, context.DeadlineExceeded); cut != s.cut && !s.either || err != nil && !cut {
			fail("Shutdown returned %v; it cut connections: %v", err, s.cut)
		}
	default:
		fail("Shutdown does not return")
	}
	if _, open := <-m.ConnEvents; open {
		fail("an event is left")
	}
	if _, open := <-m.Errors; open {
		fail("an error is left")
	}
}

// What the steps do to the model.

// connect is somebody's arrival.
func (m *model) connect(user string, buffer int) {
	peer, response := m.request(handshake{path: "/?user_id=" + user, buffer: buffer})
	if m.shutdown != nil {
		peer.conn.Close()
		m.shutOut++
		if response.StatusCode != 503 {
			fail("handshake was answered with %s", response.Status)
		}
		if slices.ContainsFunc(m.players, func(p *player) bool { return !p.gone }) {
			m.refused++
		} else {
			m.lost++
		}
		return
	}
	if response.StatusCode != 101 {
		fail("handshake was answered with %s", response.Status)
	}
	synctest.Wait() // the answer is sent before the client is registered
	p := &player{peer: peer, m: m, user: user, buffer: buffer, topics: make(map[string]bool), spans: make(map[string][]span),
		due: make(map[string][]string), lost: make(map[string]map[int]bool), got: make(map[string][]int), sign: time.Now(), seen: time.Now()}
	p.messages.inherit(m.left, modelLimits.MessageBurst)
	early, _ := peer.conn.R.Peek(peer.conn.R.Buffered()) // behind the handshake
	p.gate = &gate{conn: peer.conn.Conn.(*memnet.Conn), raw: bytes.Clone(early), sipped: bytes.Clone(early), thawed: make(chan struct{})}
	close(p.gate.thawed)
	peer.conn.R = bufio.NewReader(p.gate)
	if all := m.GetAllClients(); len(all) > 0 { // else it has ended already
		p.handle = all[len(all)-1]
	}
	m.players = append(m.players, p)
	p.events = append(p.events, "connect")
	p.join(all)
	go p.read()
	p.say("hello", func() {}) // which may have to wait, because of what it has inherited
	synctest.Wait()
}

// join and leave are a subscription's two ends.
func (p *player) join(topic string) {
	p.topics[topic] = true
	if topic != all && p.m.rooms[topic] == nil {
		p.m.rooms[topic] = &room{born: len(p.m.log[topic]), before: p.m.dying[topic]}
	}
	if p.closing == nil {
		p.spans[topic] = append(p.spans[topic], span{from: len(p.m.log[topic]), open: true})
	}
}

func (p *player) leave(topic string) {
	delete(p.topics, topic)
	p.endSpan(topic)
	if topic != all && p.m.subscribers(topic) == 0 {
		p.m.dying[topic] = p.m.rooms[topic]
		delete(p.m.rooms, topic)
	}
}

func (p *player) endSpan(topic string) {
	if s := p.spans[topic]; len(s) > 0 && s[len(s)-1].open {
		s[len(s)-1].to, s[len(s)-1].open = len(p.m.log[topic]), false
	}
}

func (m *model) subscribers(topic string) (n int) {
	for _, p := range m.players {
		if p.topics[topic] {
			n++
		}
	}
	return n
}

// subscribe and unsubscribe are for whoever may.
func (p *player) subscribe(topic string) {
	if !p.topics[topic] {
		p.refusals = 0
		p.join(topic)
		p.events = append(p.events, "subscribe "+topic)
	}
}

// mustNot reports whether it has as many subscriptions as it may have.
func (p *player) mustNot(topic string) bool {
	return !p.topics[topic] && len(p.topics)-1 >= modelLimits.Subscriptions // one is all
}

func (p *player) unsubscribe(topic string) {
	if p.topics[topic] {
		p.leave(topic)
		p.events = append(p.events, "unsubscribe "+topic)
	}
}

// publish is a message of a topic, or to all.
func (m *model) publish(topic, payload string) {
	at := len(m.log[topic])
	m.log[topic] = append(m.log[topic], payload)
	if topic == all || m.rooms[topic] != nil {
		m.taken++
	}
	for _, p := range m.players {
		if p.topics[topic] && p.offer(message{topic, m.rooms[topic], at, payload}) && topic != all {
			m.rooms[topic].delivered++
		}
	}
}

// published is how many messages there were, whether anybody subscribed or not.
func (m *model) published() (n int) {
	for _, log := range m.log {
		n += len(log)
	}
	return n
}

// give is a message to one alone, or an error frame.
func (p *player) give(source, payload string) (taken bool) {
	p.due[source] = append(p.due[source], payload)
	return p.offer(message{source, nil, len(p.due[source]) - 1, payload})
}

// offer queues a message. When the outbox has no room for it, the policy says what happens.
func (p *player) offer(msg message) (taken bool) {
	size, queued := frameSize(msg.payload), p.queued()
	full := queued+size > modelLimits.OutboxBytes
	sure := !p.vague || p.queued()-p.bytes > 0 && queued-p.bytes+size > modelLimits.OutboxBytes
	if p.closing == nil && p.m.policy == tank.OutboxClose && queued > 0 && full && (sure || p.wasSlow()) {
		p.m.evicted++
		p.close("1013 slow client")
		p.closing.slow, p.closing.most = true, p.written+p.begun-p.partly
		if p.vague {
			p.closing.most = p.written + len(p.queue)
		} else {
			p.lose(p.begun, len(p.queue))
		}
	}
	p.queue = append(p.queue, msg)
	p.longest = max(p.longest, len(p.queue)+p.early)
	if p.closing != nil {
		p.lose(len(p.queue)-1, len(p.queue))
		return false
	}
	if full && len(p.queue)-p.begun > 1 && p.m.policy != tank.OutboxClose {
		p.shed()
	}
	return true
}

// queued is how many bytes of frames are on their way and do not count as written, at most.
func (p *player) queued() int {
	sum := p.bytes
	for _, m := range p.queue {
		sum += frameSize(m.payload)
	}
	return sum
}

// lose drops a part of the queue.
func (p *player) lose(from, to int) {
	for _, msg := range p.queue[from:to] {
		if p.lost[msg.source] == nil {
			p.lost[msg.source] = make(map[int]bool)
		}
		p.lost[msg.source][msg.at] = true
		p.loseOne(msg)
	}
	p.queue = slices.Delete(p.queue, from, to)
}

func (p *player) loseOne(msg message) {
	p.dropped++
	if msg.room != nil {
		msg.room.it().dropped++
	}
}

// shed drops messages that can be dropped, but not the newest.
func (p *player) shed() {
	if !p.losing {
		p.losing = true
		p.faults = append(p.faults, "1013")
	}
	if p.m.policy == tank.OutboxKeepLatest {
		seen := make(map[string]bool) // topics, of which one that began anew is still the same one
		for i := len(p.queue) - 1; i >= p.begun; i-- {
			of := p.queue[i].source
			if seen[of] {
				p.lose(i, i+1)
			}
			seen[of] = of != own && of != refusals
		}
	}
	for p.queued() > modelLimits.OutboxBytes && len(p.queue)-p.begun > 1 {
		p.lose(p.begun, p.begun+1)
	}
}

// wasSlow looks whether the instance closed it as slow. It is for what the model does not know.
func (p *player) wasSlow() bool {
	synctest.Wait()
	p.m.hear()
	return p.slow
}

// close begins a connection's end. What comes from here on is for it no more.
func (p *player) close(reason string) bool {
	if p.closing != nil {
		return false
	}
	for topic := range p.spans {
		p.endSpan(topic)
	}
	p.closing = &closing{reason: reason, at: time.Now()}
	return true
}

// blame is close over something that the peer did.
func (p *player) blame(reason, fault string) {
	if p.close(reason) {
		p.faults = append(p.faults, fault)
	}
}

// explode is a callback's panic.
func (p *player) explode() {
	p.m.panics++
	p.blame("1011 internal error", "1011")
}

func (m *model) shutDown(patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	m.t.Cleanup(cancel)
	m.shutdown = &shutdown{cutAt: time.Now().Add(patience), either: patience <= 0, result: make(chan error, 1)}
	for _, p := range m.players {
		p.close("1001 server is shutting down, please reconnect")
	}
	go func() { m.shutdown.result <- m.Shutdown(ctx) }()
}

// What a peer does.

// gate is a peer's view of its connection: it can stop reading.
type gate struct {
	conn   *memnet.Conn
	raw    []byte        // all that was read
	sipped []byte        // the last of it, not given to the peer's goroutine yet
	thawed chan struct{} // closed while it reads
}

// sip reads a little in the goroutine of a frozen peer.
func (g *gate) sip(n int) {
	g.conn.SetReadDeadline(time.Time{})
	b := make([]byte, min(n, len(g.conn.Buffered())))
	if len(b) > 0 {
		g.conn.Read(b)
	}
	g.conn.SetReadDeadline(time.Unix(1, 0))
	g.raw, g.sipped = append(g.raw, b...), append(g.sipped, b...)
}

func (g *gate) Read(b []byte) (int, error) {
	for {
		if n := copy(b, g.sipped); n > 0 {
			g.sipped = g.sipped[n:]
			return n, nil
		}
		n, err := g.conn.Read(b)
		g.raw = append(g.raw, b[:n]...)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		<-g.thawed
	}
}

// read is the peer's own goroutine. It answers pings and close frames, unless that would be in the middle of a frame.
func (p *player) read() {
	defer p.conn.Close()
	for {
		op, payload, err := p.receive()
		switch {
		case err != nil:
			return
		case op == opClose && p.inFrame.Load():
			return
		case op == opClose:
			p.write(frame(opClose, payload))
		case op == opPing && !p.inFrame.Load():
			p.write(frame(opPong, payload))
		}
	}
}

func (p *player) freeze() {
	if !p.frozen {
		p.silent()
		p.frozen = true
		p.gate.thawed = make(chan struct{})
		p.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

func (p *player) thaw() {
	if p.frozen {
		p.frozen = false
		p.conn.SetReadDeadline(time.Time{})
		close(p.gate.thawed)
	}
}

// silent says that the peer answers no pings from now on. Up to now it has answered all of them.
func (p *player) silent() {
	if !p.isSilent() {
		p.sign, p.maybe = time.Now(), time.Now()
	}
}

func (p *player) isSilent() bool { return p.frozen || p.rest != nil }

// put sends bytes, behind what is left of a frame that was begun.
func (p *player) put(b []byte) {
	p.sign, p.maybe = time.Now(), time.Now()
	if rest := p.rest; rest != nil {
		p.rest = nil
		p.inFrame.Store(false)
		p.write(rest)
		p.heard(p.then)
		p.m.settle() // or it could close before what it published comes
	}
	p.write(b)
}

func (p *player) write(b []byte) {
	if len(b) > 0 {
		p.sends()
	}
	p.peer.write(b)
}

// sends takes note that something is sent. Behind a pause the instance has caught up.
func (p *player) sends() {
	if now := time.Now().UnixMilli(); now-p.busyAt.Swap(now) >= 100 {
		p.behind.Store(0)
	}
}

// say sends a text message. effect is what it does when the instance looks at it.
func (p *player) say(text string, effect func()) {
	p.put(frame(opText, text))
	p.heard(effect)
}

func (p *player) heard(effect func()) {
	if p.closing != nil {
		return
	}
	p.m.in++
	if early := p.messages.take(modelLimits.MessagesPerSecond, modelLimits.MessageBurst, true); early > 0 {
		p.m.waited++
		time.Sleep(early - 1)
		p.m.settle() // before it has an effect
		time.Sleep(time.Nanosecond)
		p.behind.Add(early.Microseconds())
		p.busyAt.Store(time.Now().UnixMilli())
	}
	if p.closing == nil {
		effect()
	}
}

// meter is a token bucket.
type meter struct{ full time.Time } // when it is, again

// take takes a token, and returns how long the bucket was too empty for it. Then it takes one only if it waits.
func (b *meter) take(perSecond, burst int, wait bool) (early time.Duration) {
	each, now := time.Second/time.Duration(perSecond), time.Now()
	if b.full.Before(now) {
		b.full = now
	}
	early = max(0, b.full.Sub(now)-time.Duration(burst-1)*each)
	if early == 0 || wait {
		b.full = b.full.Add(each)
	}
	return early
}

// inherit makes a bucket as empty as another one: unless most is 0, not so empty that the first of so many tokens has to be waited
// for longer than the others.
func (b *meter) inherit(left meter, most int) {
	full := left.full
	if latest := time.Now().Add(time.Duration(most) * time.Second / time.Duration(modelLimits.MessagesPerSecond)); most > 0 && full.After(latest) {
		full = latest
	}
	if full.After(b.full) {
		b.full = full
	}
}

// has reports whether so many tokens are there.
func (b meter) has(tokens, perSecond, burst int) bool {
	for range tokens {
		if b.take(perSecond, burst, false) > 0 {
			return false
		}
	}
	return true
}

// What is seen.

// settle waits until everything has come to rest, and takes note of what has happened.
func (m *model) settle() {
	synctest.Wait()
	for _, p := range m.players {
		p.look()
	}
	drain(m.ConnEvents, m.event)
	for _, p := range m.players {
		p.timeOut()
	}
	drain(m.Errors, m.fault)
	again := false
	for _, p := range m.players {
		if p.full() && p.at == p.length && len(p.queue) == 0 && !p.gone && !p.hungUp && p.end == nil { // a control frame may be next, or not
			again = true
			p.thaw()
			continue
		}
		if !p.gone && p.ended() {
			p.gone = true
			p.m.left.inherit(p.messages, 0)
			for _, msg := range p.queue[:p.partly] { // a piece counts as a whole
				p.loseOne(msg)
			}
			p.lose(p.partly, len(p.queue))
			p.queue, p.begun, p.partly = nil, 0, 0
			again = again || p.frozen
			p.thaw() // to see what is left in the socket
			for topic := range p.topics {
				p.leave(topic)
			}
		}
	}
	clear(m.dying)
	if again {
		m.settle()
	}
}

// hear takes up events.
func (m *model) hear() {
	drain(m.ConnEvents, m.event)
	drain(m.Errors, m.fault)
}

func drain[E any](events <-chan E, handle func(E)) {
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			handle(e)
		default:
			return
		}
	}
}

func (m *model) event(e *tank.ConnEvent) {
	for _, p := range m.players {
		if p.handle == nil || p.handle.ID() != e.ClientID {
			continue
		}
		if e.EventType == tank.EventDisconnect && p.end == nil && len(p.events) == 0 && e.UserID == p.user {
			p.end = e
			return
		}
		got := strings.TrimSpace(string(e.EventType) + " " + e.Topic)
		if len(p.events) == 0 || p.events[0] != got || e.UserID != p.user {
			fail("%v: event %q (%s), want %q", p, got, e.Reason, p.events)
		}
		p.events = p.events[1:]
		return
	}
	fail("event %+v of nobody", e)
}

func (m *model) fault(e *tank.ErrorEvent) {
	code := fmt.Sprint(e.Code)
	for _, p := range m.players {
		if p.handle == nil || p.handle.ID() != e.ClientID {
			continue
		}
		i := slices.IndexFunc(p.faults, func(want string) bool { return strings.Contains(want, code) })
		if code == "1013" && !p.slow && m.policy == tank.OutboxClose {
			p.slow = true
			return
		}
		if i < 0 {
			if stack := stackOf(e); p.blamed != "" || p.closing != nil || stack != "" {
				fail("%v: error %v %v, want %q\n%s", p, code, e, p.faults, stack)
			}
			p.blamed = code
			return
		}
		p.faults = slices.Delete(p.faults, i, i+1)
		return
	}
	if e.Code != tank.CodeUpgrade || m.refused == 0 {
		fail("error %v %v of nobody", code, e)
	}
	m.refused--
}

// timeOut closes it when it takes too long to send a message.
func (p *player) timeOut() {
	at := p.stalled.Add(tank.DefaultMessageTimeout)
	if p.rest == nil || p.deaf || p.gone || time.Now().Before(at) || p.end != nil && p.end.Time.Before(at) {
		return
	}
	p.deaf = true
	if p.closing == nil {
		p.blame("1008 message took too long", "2008")
		p.closing.at, p.closing.final = at, true
	}
}

// stackOf returns where the library panicked, if that is what it is about.
func stackOf(e *tank.ErrorEvent) string {
	var p *actor.PanicError
	if errors.As(e.Err, &p) {
		return string(p.Stack)
	}
	return ""
}

// look reads what has come to the peer's end, whether it has taken it or not.
func (p *player) look() {
	if p.hungUp {
		return
	}
	frames, length := p.frames()
	progress := length > p.length
	p.length = length
	for _, f := range frames {
		if p.closeFrame != "" {
			fail("%v: frame behind the close frame: %+v", p, f)
		}
		p.at += frameSize(f.payload)
		switch payload := f.payload; f.op {
		case opPing:
		case opPong:
			p.pongs = append(p.pongs, payload)
		case opClose:
			p.closeFrame = "1005"
			if len(payload) > 0 {
				p.closeFrame = fmt.Sprint(int(payload[0])<<8|int(payload[1]), " ", payload[2:])
			}
		case opText:
			p.receivedText(payload)
		default:
			fail("%v: %+v", p, f)
		}
	}
	p.count(progress)
}

// received is a frame that has come to the peer's end.
type received struct {
	op      byte
	payload string
}

// frames returns the frames that were not looked at, and the length of the stream.
func (p *player) frames() (list []received, length int) {
	stream := append(bytes.Clone(p.gate.raw), p.gate.conn.Buffered()...)
	for r := bufio.NewReader(bytes.NewReader(stream[p.at:])); ; {
		f, err := wstest.ReadFrame(r)
		if err != nil {
			return list, len(stream)
		}
		list = append(list, received{f.Opcode(), string(f.Payload)})
	}
}

// receivedText is the first of its source that is queued.
func (p *player) receivedText(payload string) {
	source := sourceOf(payload)
	i := slices.IndexFunc(p.queue[p.partly:], func(m message) bool { return m.source == source })
	if i < 0 || p.queue[p.partly+i].payload != payload {
		fail("%v got of %q\n%q, queued are\n%+v", p, source, payload, p.queue[p.partly:])
	}
	msg := p.queue[p.partly+i]
	p.got[source] = append(p.got[source], msg.at)
	p.written++
	p.queue = slices.Delete(p.queue, p.partly+i, p.partly+i+1)
	if p.vague {
		p.early++
		p.bytes += frameSize(payload)
	} else {
		p.queue = slices.Insert(p.queue, p.partly, msg)
		p.partly++
	}
}

// blur says that the model does not know the pieces any more.
func (p *player) blur() {
	p.vague = true
	for _, msg := range p.queue[:p.partly] {
		p.early++
		p.bytes += frameSize(msg.payload)
	}
	p.queue = slices.Delete(p.queue, 0, p.partly)
	p.piece, p.begun, p.partly = false, 0, 0
}

// count finds out what counts as written, and which piece is being written.
func (p *player) count(progress bool) {
	now := time.Now()
	if !p.full() && !p.gone { // at rest, nothing is being written
		p.piece, p.begun, p.mixed, p.vague = false, 0, false, false
		p.counted += p.early
		p.early, p.bytes, p.longest = 0, 0, len(p.queue)
	}
	if p.partly >= p.begun && (p.partly > 0 || progress) {
		p.counted += p.partly
		p.queue = slices.Delete(p.queue, 0, p.partly)
		p.piece, p.begun, p.partly = false, 0, 0
	}
	if !p.full() && p.closing != nil && p.closing.slow {
		p.lose(0, len(p.queue))
	}
	if len(p.queue) == 0 {
		p.losing = false
	}
	if p.full() && !p.piece && !p.vague && (len(p.queue) > 0 || p.at < p.length) {
		p.piece, p.begun = true, len(p.queue)
	}
	switch {
	case !p.full():
		p.blocked = [2]time.Time{}
	case p.blocked[0].IsZero():
		p.blocked = [2]time.Time{p.seen, now}
	case progress:
		p.blocked = [2]time.Time{now, now.Add(tank.DefaultWriteTimeout)} // it gets between one timeout and two
	}
	p.seen = now
}

// full reports whether the peer does not read and the socket takes no more.
func (p *player) full() bool { return p.room() == 0 }

// room is how many bytes the socket takes, if the peer does not read.
func (p *player) room() int {
	if !p.frozen {
		return math.MaxInt
	}
	return p.buffer - len(p.gate.conn.Buffered())
}

// ended says whether the connection has ended, after comparing that with what the model says.
func (p *player) ended() bool {
	must, now := false, time.Now()
	switch {
	case p.hungUp, p.m.shutdown != nil && p.m.shutdown.either:
		must = true
	case p.closing != nil && !p.frozen: // the peer has answered, or hung up
		must = !p.deaf || p.closing.byPeer || p.rest != nil || p.closing.final
	case p.closing != nil && p.closing.byPeer && p.closeFrame != "":
		must = true
	}
	ends := p.endings()
	if p.end == nil {
		for _, e := range ends {
			must = must || now.After(e.last)
		}
		if must {
			fail("%v has not ended: %+v, frozen %v, deaf %v; it must by now (%v): %+v", p, p.closing, p.frozen, p.deaf, now, ends)
		}
		return false
	}
	if must && strings.Contains(p.reasons(), p.end.Reason) && (p.end.Time.Equal(now) || p.end.Time.Equal(p.closing.at)) {
		p.orderly = !p.hungUp && !(p.m.shutdown != nil && p.m.shutdown.either)
		return true
	}
	for _, e := range ends {
		if e.reason == p.end.Reason && e.fault == p.blamed && !p.end.Time.Before(e.first) && !p.end.Time.After(e.last) {
			if e.byShutdownTo {
				p.m.shutdown.cut = true
			}
			p.close(e.reason)
			p.closing.byPeer = false
			return true
		}
	}
	fail("%v ended at %v: %+v; it could: %+v", p, time.Now(), p.end, ends)
	return false
}

// reasons lists what may be the reason of an end that has begun.
func (p *player) reasons() string {
	r := p.closing.reason
	if s := p.m.shutdown; s != nil && s.either {
		r += "|1006 cut at the deadline of the shutdown"
	}
	return r
}

// endings lists how the connection may end with time.
func (p *player) endings() (list []ending) {
	if c := p.closing; c != nil {
		at := c.at.Add(tank.DefaultCloseTimeout)
		list = append(list, ending{reason: c.reason, first: at, last: at})
		if s := p.m.shutdown; s != nil {
			list = append(list, ending{reason: c.reason, first: s.cutAt, last: s.cutAt, byShutdownTo: true})
		}
	}
	if p.full() {
		e := ending{reason: "1006 write timeout", fault: "2004",
			first: p.blocked[0].Add(tank.DefaultWriteTimeout), last: p.blocked[1].Add(tank.DefaultWriteTimeout)}
		if p.closing != nil {
			e.reason, e.fault = p.closing.reason, ""
		}
		list = append(list, e)
	}
	if p.closing == nil && p.isSilent() { // the first ping without an answer comes within an interval
		first := p.sign.Add(tank.DefaultHeartbeatTimeout)
		list = append(list, ending{reason: "1006 heartbeat timeout", first: first,
			last: p.maybe.Add(tank.DefaultHeartbeatTimeout + tank.DefaultHeartbeatInterval), fault: "2005"})
	}
	return list
}

// check compares everything observable with the model.
func (m *model) check() {
	var want tank.Stats
	var written, lost, doubt uint64 // messages that may not count as written; of those, in connections that ended; that may be lost
	var least, most int64           // outbox bytes
	for _, p := range m.players {
		p.check()
		if waiting := p.queued(); waiting > 0 {
			most += memoryOf(waiting, p.longest)
		}
		if !p.vague {
			least = max(least, int64(p.queued()))
		}
		written += uint64(p.early)
		want.MessagesOut += uint64(p.counted + p.early)
		want.Dropped += uint64(p.dropped)
		if p.gone {
			lost += uint64(p.early)
		} else {
			want.Clients++
		}
		doubt += p.doubt()
	}
	want.Topics = len(m.rooms)
	want.MessagesIn = uint64(m.in)
	want.Accepted, want.Refused = uint64(len(m.players)), uint64(m.shutOut)
	want.Evicted, want.PanicsRecovered = uint64(m.evicted), uint64(m.panics)
	want.EventsDropped, want.Throttled = uint64(m.lost), uint64(m.waited)
	m.slack = lost + doubt
	got := m.Stats()
	want.State, want.BytesIn, want.BytesOut, want.Uptime = got.State, got.BytesIn, got.BytesOut, got.Uptime
	if want.Published = uint64(m.taken); got.Published > want.Published && got.Published <= uint64(m.published()) {
		want.Published = got.Published
	}
	if got.OutboxMemory >= least && got.OutboxMemory <= most {
		want.OutboxMemory = got.OutboxMemory
	}
	// These wrap around when there are too few.
	if d := got.Dropped - want.Dropped; d <= lost+doubt {
		want.Dropped = got.Dropped
		if o := want.MessagesOut - got.MessagesOut; o <= written && (doubt > 0 || o >= d && o-d <= written-lost) {
			want.MessagesOut = got.MessagesOut
		}
	}
	if got != want {
		fail("stats are\n%+v, want\n%+v, and %d to %d outbox bytes", got, want, least, most)
	}
	if m.GetClientCount() != want.Clients {
		fail("%d clients, want %d", m.GetClientCount(), want.Clients)
	}
	m.checkTopics()
}

// memoryOf returns the most memory that an outbox counts in which so many bytes wait, and so many messages have waited at once since it
// was empty. What waits for several counts once.
func memoryOf(bytes, messages int) int64 {
	batches := bytes/smallest + 1 // at most
	const slot = 8                // which they keep until it is empty; there are up to twice as many as were in use, and those may grow
	return int64(2*bytes + batches*wire.BatchOverhead + 4*messages*slot)
}

func (m *model) checkTopics() {
	live := m.GetAllTopics()
	names := slices.Sorted(maps.Keys(m.rooms))
	if !slices.EqualFunc(live, names, func(t tank.TopicStats, name string) bool { return t.Name == name }) {
		fail("topics are %+v, want %q", live, names)
	}
	for _, t := range live {
		m.checkTopic(t)
	}
	for _, name := range topicNames {
		if got := m.GetTopicSubscriberCount(name); got != m.subscribers(name) {
			fail("%q has %d subscribers, want %d", name, got, m.subscribers(name))
		}
	}
}

// checkTopic also finds out whether a topic began anew, or went on.
func (m *model) checkTopic(t tank.TopicStats) {
	r := m.rooms[t.Name]
	for {
		want := tank.TopicStats{Name: t.Name, Subscribers: m.subscribers(t.Name), Published: uint64(len(m.log[t.Name]) - r.born),
			Delivered: uint64(r.delivered), Dropped: uint64(r.dropped), CreatedAt: t.CreatedAt, LastPublishedAt: t.LastPublishedAt}
		if t.Dropped >= want.Dropped && t.Dropped <= want.Dropped+m.slack {
			want.Dropped = t.Dropped
		}
		want.Seq = want.Published
		b := r.before
		switch {
		case t == want:
			r.before = nil
			return
		case b == nil:
			fail("topic is\n%+v, want\n%+v", t, want)
		}
		r.born, r.delivered, r.dropped, r.before, b.is = b.born, r.delivered+b.delivered, r.dropped+b.dropped, b.before, r
	}
}

func (p *player) String() string {
	return fmt.Sprintf("player %d of %s", slices.Index(p.m.players, p), p.user)
}

func (p *player) check() {
	if slow := p.closing != nil && p.closing.slow; p.slow != slow {
		fail("%v was found slow: %v, want %v", p, p.slow, slow)
	}
	slack := p.doubt() + uint64(p.early)
	if d := p.handle.Stats().Dropped - uint64(p.dropped); d > slack {
		fail("%v lost %d messages, want %d and %d at most", p, p.handle.Stats().Dropped, p.dropped, slack)
	}
	if p.blamed != "" && !p.gone {
		fail("%v: error %s", p, p.blamed)
	}
	if len(p.events) > 0 || len(p.faults) > 0 {
		fail("%v: missing events %q, errors %q", p, p.events, p.faults)
	}
	names := slices.Sorted(maps.Keys(p.topics))
	if len(names) > 0 && names[0] == all {
		names = names[1:]
	}
	if got := p.handle.Topics(); !slices.Equal(got, names) {
		fail("%v has topics %q, want %q", p, got, names)
	}
	for source := range p.due {
		p.checkRun(source)
	}
	for source := range p.spans {
		p.checkRun(source)
	}
	p.checkComplete()
}

// doubt is how many of the queued messages may be lost already.
func (p *player) doubt() uint64 {
	if p.vague && p.closing != nil && p.closing.slow {
		return uint64(len(p.queue))
	}
	return 0
}

// checkRun compares what has come from a source with the parts of its log that have to, less what was lost.
func (p *player) checkRun(source string) {
	if slices.ContainsFunc(p.queue, func(m message) bool { return m.source == source }) {
		return // it is still queued
	}
	var want []int
	add := func(from, to int) {
		for i := from; i < to; i++ {
			if !p.lost[source][i] {
				want = append(want, i)
			}
		}
	}
	add(0, len(p.due[source]))
	for _, s := range p.spans[source] {
		if s.open {
			s.to = len(p.m.log[source])
		}
		add(s.from, s.to)
	}
	if got := p.got[source]; !slices.Equal(got, want) {
		fail("%v got of %q\n%d, want\n%d", p, source, got, want)
	}
}

// checkComplete looks for what is missing. Something may be missing when the socket is full, or the connection was cut.
func (p *player) checkComplete() {
	waiting := p.gate.conn.Buffered()
	if !p.frozen && len(waiting) > 0 && !p.gone {
		fail("%v does not read", p)
	}
	if p.full() || p.hungUp {
		return
	}
	missing := len(p.queue)
	handshake := p.closing != nil && !(p.gone && p.closeFrame == "")
	switch {
	case p.gone && p.closeFrame == "":
		if p.orderly {
			fail("%v did not get a close frame", p)
		}
	case handshake && strings.TrimSpace(p.closeFrame) != p.closing.reason:
		fail("%v got close frame %q, want %q", p, p.closeFrame, p.closing.reason)
	case handshake && p.closing.slow && p.written > p.closing.most:
		fail("%v got %d messages although it was closed as slow, want %d at most", p, p.written, p.closing.most)
	case missing > 0 && !(p.closing != nil && p.closing.slow):
		fail("%v misses %d messages", p, missing)
	}
	if p.closing == nil && !slices.Equal(p.pongs, p.pings) {
		fail("%v got pongs %q, want %q", p, p.pongs, p.pings)
	}
}

// frameSize is how many bytes a server's frame has.
func frameSize(payload string) int {
	switch n := len(payload); {
	case n < 126:
		return n + 2
	case n <= 0xFFFF:
		return n + 4
	default:
		return n + 10
	}
}

// sourceOf says where a message comes from.
func sourceOf(payload string) string {
	var decoded struct {
		Topic *string
		Error *struct{}
	}
	switch err := json.Unmarshal([]byte(payload), &decoded); {
	case err == nil && decoded.Topic != nil:
		return *decoded.Topic
	case err == nil && decoded.Error != nil:
		return refusals
	case strings.HasPrefix(payload, "all "):
		return all
	}
	return own
}

// envelope is a topic's message.
func envelope(topic, data string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(struct {
		Topic string `json:"topic"`
		Data  string `json:"data"`
	}{topic, data})
	return strings.TrimSpace(b.String())
}
