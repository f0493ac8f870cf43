package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/broker"
	"github.com/fanqie/tank-websocket-go-server/broker/brokertest"
)

// A group of instances in a model, whose broker keeps what is published. What was published, in which order and with which numbers, the
// model learns from a subscription of its own, at a node that nothing goes wrong with.

// keptTopics says how much is kept of each topic of the model.
var keptTopics = map[string]tank.History{"few": {Messages: 5, Age: 5 * time.Minute}, "long": {Messages: 1000, Age: time.Minute}}

const (
	keptPeople = 5 // of whom one does not speak tank.v2
	keptBuffer = 1 << 16
)

// keptGroup is what the model knows.
type keptGroup struct {
	t       *testing.T
	network *brokertest.Network
	nodes   []*keptNode
	people  []*keptPerson
	logs    map[string]*keptLog
	results []func() (done bool, err error) // of what was begun
	data    []keptSent
	cut     bool // the whole network is
}

type keptSent struct{ topic, key, data string }

type keptNode struct {
	*server
	broker    *scribe
	troubled  bool // something of its broker may have failed, or be late
	positions map[string]tank.Position
}

// keptLog is what was published to a topic. It is a Receiver.
type keptLog struct {
	mu      sync.Mutex
	epoch   string
	entries []keptEntry
	dropped uint64 // offset, in the epoch, of the last one that the broker does not keep any more
}

type keptEntry struct {
	broker.Message
	epoch string
}

func (l *keptLog) Began(epoch string, _ uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.epoch != epoch {
		l.epoch, l.dropped = epoch, 0
	}
}

func (l *keptLog) Deliver(messages []broker.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range messages {
		m.Data = strings.Trim(m.Data, `"`)
		l.entries = append(l.entries, keptEntry{m, l.epoch})
	}
}

func (l *keptLog) Lost(error) {}

// of returns what was published in an epoch behind a number, up to another one.
func (l *keptLog) of(epoch string, behind, upTo uint64) (list []keptEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.epoch == epoch && behind < e.Offset && e.Offset <= upTo {
			list = append(list, e)
		}
	}
	return list
}

// end returns the epoch and the number of what was published last.
func (l *keptLog) end() (epoch string, seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.entries); n > 0 && l.entries[n-1].epoch == l.epoch {
		seq = l.entries[n-1].Offset
	}
	return l.epoch, seq
}

// floor returns behind which number the broker has everything of the epoch that there is.
func (l *keptLog) floor() uint64 {
	epoch, _ := l.end()
	floor := l.dropped
	for _, e := range l.of(epoch, 0, 1<<53) {
		if e.Reset {
			floor = max(floor, e.Offset)
		}
	}
	return floor
}

// has returns what the broker has of the last messages up to a number, as far as that is within the limits at a time.
func (l *keptLog) has(limits tank.History, upTo uint64, now time.Time) []keptEntry {
	epoch, _ := l.end()
	list := l.of(epoch, l.floor(), upTo)
	list = list[max(0, len(list)-limits.Messages):]
	for len(list) > 0 && now.Sub(list[0].At) >= limits.Age {
		list = list[1:]
	}
	return list
}

// mustBeWhole reports whether nothing behind a position may be called missing, where a topic stands at another: the broker has all that
// is in between, which is within the limits.
func (l *keptLog) mustBeWhole(limits tank.History, since, at tank.Position, now time.Time) bool {
	epoch, _ := l.end()
	between := l.of(epoch, since.Seq, at.Seq)
	return since.Epoch == epoch && at.Epoch == epoch && l.floor() <= since.Seq && since.Seq <= at.Seq &&
		len(between) == len(l.has(limits, at.Seq, now)[max(0, len(l.has(limits, at.Seq, now))-len(between)):])
}

// find returns the entry with a number, or nil.
func (l *keptLog) find(epoch string, seq uint64) *keptEntry {
	if list := l.of(epoch, seq-1, seq); len(list) == 1 {
		return &list[0]
	}
	return nil
}

// keptPerson is a client of the model, who comes back.
type keptPerson struct {
	user string
	v2   bool
	conn *keptConn
	at   map[string]*keptStand
	had  map[string][]tank.Position // where it stood
}

// keptStand is where a client stands, as tanktest counts. Of a plain client, whole and last count what there is in the log.
type keptStand struct {
	epoch       string
	whole, last uint64
	gap         uint64
	upTo        uint64                 // the topic said that it stands there
	answered    map[tank.Position]bool // of own publications that were answered before they came
	losses      int                    // of the node, by then
}

// known returns up to which number everything has come, or may be missing.
func (at *keptStand) known() uint64 { return max(at.last, max(at.gap, 1)-1) }

type keptConn struct {
	*tape
	person *keptPerson
	node   *keptNode
	subs   map[string]string // "asked", "in", "leaving"
	asked  map[uint64]func(keptSaid, time.Time) error
	nextID uint64
	losses map[string]int // of the node, by topic, at the end of the step before
}

// keptSaid is a frame of tank.v2 that is no publication.
type keptSaid struct {
	ID uint64
	OK *struct {
		Epoch, Why string
		Seq, From  uint64
		Recovered  *bool
		Duplicate  bool
	}
	Error *struct{ Code string }
	Topic string
	Data  *string // a plain client's
	Gap   *struct{ Seq uint64 }
	Reset *struct {
		Epoch string
		Seq   uint64
	}
}

type keptStep struct {
	Do           string
	Node, Client int
	Topic        string
	Number       int
}

func drawKeptStep(t *rapid.T) keptStep {
	return keptStep{
		Do: rapid.SampledFrom([]string{"sub", "sub", "sub", "last", "last", "unsub", "heal", "heal", "publish", "publish", "publish", "publish", "publish json", "ask", "ask", "key", "repeat", "repeat", "say", "say", "say key", "say again",
			"come", "come", "come", "absence", "absence", "cut client", "cut node", "cut node", "heal node", "heal node", "cut all", "heal all", "lose", "lose", "delay", "delay", "no delay", "hold", "hold", "release", "release", "slow", "fail", "fail", "lose receipt",
			"slow subscribe", "fail subscribe", "forget", "reset", "lose memory", "history", "history", "page", "position", "pause", "pause", "rest", "restart", "restart"}).Draw(t, "do"),
		Node:   rapid.IntRange(0, 2).Draw(t, "node"),
		Client: rapid.IntRange(0, keptPeople-1).Draw(t, "client"),
		Topic:  rapid.SampledFrom([]string{"few", "long"}).Draw(t, "topic"),
		Number: rapid.IntRange(1, 7).Draw(t, "number"),
	}
}

// TestKeptGroupsKeepTheirPromises runs random programs over two and three instances.
func TestKeptGroupsKeepTheirPromises(t *testing.T) {
	t.Parallel() // its time is that of bubbles
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.IntRange(2, 3).Draw(rt, "instances")
		steps := rapid.SliceOfN(rapid.Custom(drawKeptStep), 10, 60).Draw(rt, "steps")
		var failure string
		synctest.Test(t, func(t *testing.T) {
			g := newKeptGroup(t, size)
			failure = play(steps, g.do, g.end)
		})
		if failure != "" {
			rt.Fatal(failure)
		}
	})
}

type noWatcher struct{}

func (noWatcher) Down(error, int) {}
func (noWatcher) Up()             {}

func newKeptGroup(t *testing.T, size int) *keptGroup {
	g := &keptGroup{t: t, network: brokertest.NewKeepingNetwork(), logs: map[string]*keptLog{}}
	own := g.network.Node()
	must(t, own.Open(noWatcher{}))
	t.Cleanup(func() { own.Close(context.Background()) })
	for topic := range keptTopics {
		g.logs[topic] = &keptLog{}
		must(t, own.Subscribe(context.Background(), []broker.Subscription{{Name: topic, Keep: true, To: g.logs[topic]}}))
	}
	for range size {
		g.nodes = append(g.nodes, g.serve())
	}
	for i := range keptPeople {
		p := &keptPerson{user: fmt.Sprint("user", i), v2: i != 3, at: map[string]*keptStand{}, had: map[string][]tank.Position{}}
		g.people = append(g.people, p)
		g.come(p, g.nodes[i%size])
	}
	return g
}

func (g *keptGroup) serve() *keptNode {
	n := &keptNode{broker: newScribe(g.network.Node()), positions: map[string]tank.Position{}}
	opts := []tank.Option{atWill, anyMayPublish, tank.WithBroker(n.broker)}
	for topic, limits := range keptTopics {
		opts = append(opts, tank.WithTopics(topic, tank.TopicOptions{History: limits}))
	}
	n.server = serve(g.t, opts...)
	synctest.Wait()
	n.troubled = g.cut
	return n
}

func (g *keptGroup) do(step keptStep) error {
	n, p, topic := g.nodes[step.Node%len(g.nodes)], g.people[step.Client], step.Topic
	c := p.conn
	idle := c != nil && (c.subs[topic] == "" || c.subs[topic] == "in")
	switch step.Do {
	case "sub":
		if idle && c.subs[topic] == "" {
			c.subscribe(g, topic, p.since(topic, 0), 0)
		}
	case "last":
		if idle {
			c.subscribe(g, topic, p.since(topic, step.Number%3*2), uint64(step.Number))
		}
	case "heal":
		if idle && c.subs[topic] == "in" {
			c.subscribe(g, topic, p.since(topic, step.Number-1), 0)
		}
	case "unsub":
		if idle && c.subs[topic] == "in" {
			c.unsubscribe(topic)
		}
	case "publish", "publish json", "ask":
		for range step.Number {
			g.publish(n, step.Do, keptSent{topic, "", g.newData(topic, "")})
			if step.Number%2 == 0 {
				synctest.Wait()
			}
		}
	case "key":
		g.publish(n, "ask", keptSent{topic, "key", g.newData(topic, "key")})
	case "repeat":
		if old := g.withKey("key"); old != nil {
			g.publish(n, "ask", *old)
		}
	case "say", "say key":
		if c != nil && p.v2 {
			key := ""
			if step.Do == "say key" {
				key = p.user
			}
			c.publish(g, keptSent{topic, key, g.newData(topic, key)})
		}
	case "say again":
		if old := g.withKey(p.user); c != nil && p.v2 && old != nil {
			c.publish(g, *old)
		}
	case "come":
		g.come(p, n)
	case "absence":
		p.leave()
		for range step.Number {
			g.publish(n, "publish", keptSent{topic, "", g.newData(topic, "")})
		}
		if err := g.settle(); err != nil {
			return err
		}
		g.come(p, n)
	case "cut client":
		p.leave()
	case "cut node":
		n.troubled = true
		n.broker.Cut()
	case "heal node":
		n.broker.Heal()
	case "cut all":
		g.cut = true
		g.trouble()
		g.network.Cut()
	case "heal all":
		g.cut = false
		g.network.Heal()
	case "lose":
		n.troubled = true
		n.broker.Lose(step.Number%3 + 1)
	case "delay":
		n.troubled = true
		n.broker.Delay(time.Duration(step.Number*step.Number) * 50 * time.Millisecond)
	case "no delay":
		n.broker.Delay(0)
	case "hold":
		n.troubled = true
		n.broker.HoldAfter()
	case "release":
		n.broker.ReleaseAfter()
	case "slow":
		n.troubled = true
		n.broker.SlowAfter(time.Duration(step.Number) * time.Second)
	case "fail":
		n.troubled = true
		for range step.Number {
			n.broker.FailAfter(errors.New("scripted"))
		}
	case "lose receipt":
		n.troubled = true
		n.broker.LoseReceipt(errors.New("scripted"))
	case "slow subscribe":
		n.troubled = true
		n.broker.SlowSubscribe(time.Duration(step.Number) * time.Second)
	case "fail subscribe":
		n.troubled = true
		n.broker.FailSubscribe(errors.New("scripted"))
	case "forget":
		synctest.Wait()
		g.forget(topic, step.Number-1)
	case "reset":
		g.begin(func() error { return n.Reset(topic) }, func(err error) error {
			return n.allows(err)
		})
	case "lose memory":
		if !g.cut {
			g.trouble()
			g.network.Restart()
		}
	case "history", "page":
		g.history(n, p, topic, step)
	case "position":
		var at tank.Position
		g.begin(func() (err error) { at, err = n.Position(topic); return err }, func(err error) error {
			before := n.positions[topic]
			if err == nil && at.Epoch == before.Epoch && at.Seq < before.Seq || err == nil && at.Epoch == "" {
				return fmt.Errorf("the position is %v after %v", at, before)
			}
			if err == nil {
				n.positions[topic] = at
			}
			return n.allows(err)
		})
	case "pause":
		time.Sleep(time.Duration(step.Number*step.Number) * 600 * time.Millisecond)
	case "rest":
		return g.rest()
	case "restart":
		return g.restart(step.Node % len(g.nodes))
	}
	return g.settle()
}

// allows looks at the error of a call: something must have been wrong with the broker.
func (n *keptNode) allows(err error) error {
	if err != nil && !n.troubled {
		return fmt.Errorf("nothing is wrong, and a call returned %w", err)
	}
	return nil
}

func (g *keptGroup) trouble() {
	for _, n := range g.nodes {
		n.troubled = true
	}
}

// begin has something done in a goroutine. What has become of it is looked at when all has come to rest.
func (g *keptGroup) begin(do func() error, then func(error) error) {
	result := make(chan error, 1)
	go func() { result <- do() }()
	g.results = append(g.results, func() (bool, error) {
		select {
		case err := <-result:
			return true, then(err)
		default:
			return false, nil
		}
	})
}

func (g *keptGroup) newData(topic, key string) string {
	data := fmt.Sprint("p", len(g.data)+1)
	g.data = append(g.data, keptSent{topic, key, data})
	return data
}

// withKey returns what was published last with a key.
func (g *keptGroup) withKey(key string) *keptSent {
	for _, s := range slices.Backward(g.data) {
		if s.key != "" && strings.HasPrefix(s.key, key) {
			return &s
		}
	}
	return nil
}

// keyOf makes a key that is used again only for the same.
func (s keptSent) keyOf() string {
	if s.key == "" {
		return ""
	}
	return s.key + s.data
}

func (g *keptGroup) publish(n *keptNode, how string, s keptSent) {
	var at tank.Position
	g.begin(func() (err error) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		switch how {
		case "publish":
			return n.Publish(ctx, s.topic, s.data)
		case "publish json":
			return n.PublishJSON(ctx, s.topic, s.data)
		}
		at, err = n.PublishMessage(ctx, tank.Publication{Topic: s.topic, Data: s.data, Key: s.keyOf()})
		return err
	}, func(err error) error {
		switch {
		case err != nil:
			return n.allows(err)
		case how == "ask":
			return g.isAt(s, at)
		case !g.logs[s.topic].contains(s.data):
			return fmt.Errorf("%s was published, and is not in the log", s.data)
		}
		return nil
	})
}

func (g *keptGroup) isAt(s keptSent, at tank.Position) error {
	if e := g.logs[s.topic].find(at.Epoch, at.Seq); e == nil || e.Data != s.data {
		return fmt.Errorf("%s was published at %v, where there is %+v", s.data, at, e)
	}
	return nil
}

func (l *keptLog) contains(data string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.entries, func(e keptEntry) bool { return e.Data == data })
}

// forget has the broker forget all of a topic but the last messages.
func (g *keptGroup) forget(topic string, left int) {
	l := g.logs[topic]
	epoch, _ := l.end()
	kept := l.of(epoch, l.dropped, 1<<53)
	for i, e := range slices.Backward(kept) {
		if e.Reset {
			kept = kept[i:]
			break
		}
	}
	g.network.Forget(topic, left)
	if n := len(kept) - left; n > 0 {
		l.dropped = kept[n-1].Offset
	}
}

// history reads a page.
func (g *keptGroup) history(n *keptNode, p *keptPerson, topic string, step keptStep) {
	since, most, log, troubled := p.since(topic, step.Number-2), 0, g.logs[topic], n.troubled
	if step.Do == "page" {
		most = step.Number
	}
	_, end := log.end()
	var page tank.HistoryPage
	g.begin(func() (err error) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		page, err = n.History(ctx, topic, since, most)
		return err
	}, func(err error) error {
		if err != nil {
			return n.allows(err)
		}
		if err := checkPage(log, keptTopics[topic], page, since, most); err != nil {
			return fmt.Errorf("%w: behind %v, most %d: %+v", err, since, most, page)
		}
		if !troubled && !n.troubled && most == 0 && page.Last.Seq < end {
			return fmt.Errorf("it ends before %d: %+v", end, page)
		}
		return nil
	})
}

func checkPage(log *keptLog, limits tank.History, page tank.HistoryPage, since tank.Position, most int) error {
	epoch, now := page.First.Epoch, time.Now()
	if since == (tank.Position{}) {
		since.Epoch = epoch
	}
	first := page.First.Seq
	var texts, want []string
	for _, m := range page.Messages {
		texts = append(texts, m.Data)
	}
	if len(page.Messages) > 0 {
		first--
	}
	for _, e := range log.of(epoch, first, page.Last.Seq) {
		want = append(want, e.Data)
	}
	last := page.Last
	switch has := log.has(limits, last.Seq, now); {
	case !slices.Equal(texts, want):
		return fmt.Errorf("it should have %v", want)
	case most > 0 && len(texts) > most:
		return errors.New("there are too many")
	case page.Whole && (since.Epoch != epoch || len(log.of(epoch, since.Seq, first)) > 0):
		return errors.New("it is not whole")
	case !page.Whole && most == 0 && since.Epoch == epoch && log.mustBeWhole(limits, since, last, now):
		return errors.New("it is whole")
	case log.epoch != epoch || most > 0 && page.Whole:
		return nil
	case len(has) > 0 && !page.Whole && most == 0 && has[0].Offset <= first:
		return fmt.Errorf("there is more, from %d on", has[0].Offset)
	}
	return nil
}

// come has a client connect to an instance, where it subscribes to what it had.
func (g *keptGroup) come(p *keptPerson, n *keptNode) {
	var before map[string]string
	if p.conn != nil {
		before = p.conn.subs
	}
	p.leave()
	synctest.Wait()
	c := &keptConn{person: p, node: n, subs: map[string]string{}, asked: map[uint64]func(keptSaid, time.Time) error{}, losses: map[string]int{}}
	if p.v2 {
		c.tape = record(n.dial2(p.user, keptBuffer))
	} else {
		c.tape = record(n.dial(p.user))
	}
	p.conn = c
	for _, topic := range slices.Sorted(maps.Keys(keptTopics)) {
		if before == nil || before[topic] == "in" || before[topic] == "asked" {
			c.subscribe(g, topic, p.since(topic, 0), 0)
		}
	}
}

func (p *keptPerson) leave() {
	if p.conn != nil {
		p.conn.conn.Close()
		p.conn = nil
	}
}

// since returns where the client stands, or stood that many times ago; below 0, or if it stands nowhere, the zero Position.
func (p *keptPerson) since(topic string, ago int) (none tank.Position) {
	had := p.had[topic]
	switch {
	case ago == 0 && p.at[topic] != nil:
		return tank.Position{Epoch: p.at[topic].epoch, Seq: p.at[topic].whole}
	case ago <= 0 || len(had) == 0:
		return none
	}
	return had[max(0, len(had)-ago*ago)]
}

func (c *keptConn) ask(members string, answer func(keptSaid, time.Time) error) {
	c.nextID++
	c.asked[c.nextID] = answer
	c.send(fmt.Sprintf(`{"id":%d,%s}`, c.nextID, members))
}

func (c *keptConn) subscribe(g *keptGroup, topic string, since tank.Position, last uint64) {
	if !c.person.v2 {
		if c.subs[topic] == "" {
			c.send("sub:" + topic)
			c.subs[topic] = "in"
			c.person.at[topic] = &keptStand{}
		}
		return
	}
	members := fmt.Sprintf(`"sub":%q`, topic)
	if since.Epoch != "" {
		members += fmt.Sprintf(`,"since":[%q,%d]`, since.Epoch, since.Seq)
	}
	if last > 0 {
		members += fmt.Sprintf(`,"last":%d`, last)
	}
	had := c.subs[topic]
	c.subs[topic] = "asked"
	c.ask(members, func(f keptSaid, at time.Time) error {
		if f.OK == nil {
			c.subs[topic] = had
			return fmt.Errorf("it is refused")
		}
		c.subs[topic] = "in"
		return c.subscribed(g.logs[topic], topic, since, last, f, at)
	})
}

// subscribed is for the answer to a sub.
func (c *keptConn) subscribed(log *keptLog, topic string, since tank.Position, last uint64, f keptSaid, now time.Time) error {
	ok, limits := f.OK, keptTopics[topic]
	at := tank.Position{Epoch: ok.Epoch, Seq: ok.Seq}
	recovered := ok.Recovered != nil && *ok.Recovered
	replayed := log.of(ok.Epoch, ok.From, ok.Seq)
	switch has := log.has(limits, ok.Seq, now); {
	case since.Epoch != "" && ok.Recovered == nil, since.Epoch == "" && ok.Recovered != nil:
		return errors.New("it does not say whether something is missing, or says so without being asked")
	case recovered && (since.Epoch != ok.Epoch || since.Seq > ok.Seq):
		return errors.New("it stands elsewhere")
	case recovered && ok.From != since.Seq:
		return errors.New("it is replayed from somewhere else")
	case recovered && len(replayed) > limits.Messages:
		return errors.New("more is replayed than is to be kept")
	case ok.Recovered != nil && !recovered && (ok.Why == "epoch") != (since.Epoch != ok.Epoch):
		return errors.New("it does not say why")
	case ok.Recovered != nil && !recovered && log.mustBeWhole(limits, since, at, now):
		return fmt.Errorf("nothing is missing: the broker has everything behind %d", log.floor())
	case !recovered && last == 0 && ok.Recovered != nil && ok.From != ok.Seq:
		return errors.New("it is replayed what nobody has asked for")
	case !recovered && last > 0 && uint64(len(replayed)) > last:
		return fmt.Errorf("%d are replayed", len(replayed))
	case !recovered && last > 0 && log.epoch == ok.Epoch && uint64(len(replayed)) < min(last, uint64(len(has))):
		return fmt.Errorf("%d are replayed, and there are %d", len(replayed), len(has))
	}
	from := ok.From
	if ok.Recovered == nil && last == 0 {
		from = ok.Seq
	}
	c.person.at[topic] = &keptStand{epoch: ok.Epoch, whole: from, last: from, upTo: ok.Seq, answered: map[tank.Position]bool{}}
	return nil
}

func (c *keptConn) unsubscribe(topic string) {
	if !c.person.v2 {
		c.send("unsub:" + topic)
		synctest.Wait()
		c.subs[topic] = ""
		return
	}
	c.subs[topic] = "leaving"
	c.ask(fmt.Sprintf(`"unsub":%q`, topic), func(f keptSaid, _ time.Time) error {
		c.subs[topic] = ""
		if f.OK == nil {
			return errors.New("it is refused")
		}
		return nil
	})
}

// publish has the client publish. The answer comes behind the publication, where the client is subscribed.
func (c *keptConn) publish(g *keptGroup, s keptSent) {
	members := fmt.Sprintf(`"pub":%q,"data":%q`, s.topic, s.data)
	if s.key != "" {
		members += fmt.Sprintf(`,"key":%q`, s.keyOf())
	}
	c.ask(members, func(f keptSaid, _ time.Time) error {
		if f.Error != nil {
			return c.node.allows(errors.New(f.Error.Code))
		}
		at := c.person.at[s.topic]
		epoch := ""
		for _, e := range g.logs[s.topic].all() {
			if e.Offset == f.OK.Seq && e.Data == s.data {
				epoch = e.epoch
			}
		}
		if epoch == "" {
			return fmt.Errorf("there is no %s with this number", s.data)
		}
		if c.subs[s.topic] == "in" && (at.epoch != epoch || at.last < f.OK.Seq && at.gap <= f.OK.Seq) {
			at.answered[tank.Position{Epoch: epoch, Seq: f.OK.Seq}] = true
		}
		return nil
	})
}

func (l *keptLog) all() []keptEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entries
}

// settle lets everything come that is on its way, and looks at it.
func (g *keptGroup) settle() error {
	synctest.Wait()
	for _, p := range g.people {
		if p.conn == nil {
			continue
		}
		for _, f := range p.conn.take() {
			if err := p.conn.frame(g, f); err != nil {
				return fmt.Errorf("%s: %w: %s", p.user, err, f.text)
			}
		}
		if at, code := p.conn.ended(); !at.IsZero() {
			return fmt.Errorf("%s: the connection has ended: %d", p.user, code)
		}
		for topic, at := range p.at {
			p.conn.losses[topic] = p.conn.node.broker.told(topic)
			if p.v2 && p.conn.subs[topic] == "in" {
				p.had[topic] = append(p.had[topic], tank.Position{Epoch: at.epoch, Seq: at.whole})
				if missing := g.logs[topic].of(at.epoch, at.known(), at.upTo); len(missing) > 0 {
					return fmt.Errorf("%s: number %d is not replayed, up to %d", p.user, missing[0].Offset, at.upTo)
				}
			}
		}
	}
	var errs []error
	g.results = slices.DeleteFunc(g.results, func(result func() (bool, error)) bool {
		done, err := result()
		errs = append(errs, err)
		return done
	})
	return errors.Join(errs...)
}

func (c *keptConn) frame(g *keptGroup, f taped) error {
	if strings.HasPrefix(f.text, "[") {
		return c.publication(g, f.text)
	}
	var s keptSaid
	if err := json.Unmarshal([]byte(f.text), &s); err != nil {
		return err
	}
	at := c.person.at[s.Topic]
	switch {
	case s.Data != nil:
		return c.plain(g.logs[s.Topic], s.Topic, strings.Trim(*s.Data, `"`))
	case s.ID > 0:
		answer := c.asked[s.ID]
		if answer == nil {
			return errors.New("nobody has asked")
		}
		delete(c.asked, s.ID)
		return answer(s, f.at)
	case s.Error != nil:
		return errors.New("nobody has done wrong")
	case c.subs[s.Topic] == "":
		return nil
	case s.Gap != nil:
		at.gap = max(at.gap, s.Gap.Seq)
		if c.node.broker.told(s.Topic) == 0 {
			return errors.New("there is no gap")
		}
	case s.Reset != nil && s.Reset.Epoch == at.epoch:
		e := g.logs[s.Topic].find(at.epoch, s.Reset.Seq)
		if e == nil || !e.Reset || s.Reset.Seq <= at.last {
			return errors.New("nobody has reset it there")
		}
		if missing := g.logs[s.Topic].of(at.epoch, at.known(), e.Offset-1); len(missing) > 0 {
			return fmt.Errorf("number %d is missing", missing[0].Offset)
		}
		at.whole, at.last, at.gap = e.Offset, e.Offset, 0
	case s.Reset != nil:
		answered := at.answered
		*at = keptStand{epoch: s.Reset.Epoch, whole: s.Reset.Seq, last: s.Reset.Seq, answered: answered}
	}
	return nil
}

// publication is for one that comes to a client of tank.v2.
func (c *keptConn) publication(g *keptGroup, text string) error {
	var parts []json.RawMessage
	var topic, data string
	var seq uint64
	var more struct{ Prev *uint64 }
	if json.Unmarshal([]byte(text), &parts) != nil || json.Unmarshal(parts[0], &topic) != nil || json.Unmarshal(parts[1], &seq) != nil || json.Unmarshal(parts[2], &data) != nil ||
		len(parts) > 3 && json.Unmarshal(parts[3], &more) != nil {
		return errors.New("cannot be understood")
	}
	at, log := c.person.at[topic], g.logs[topic]
	if c.subs[topic] == "" || at == nil {
		return errors.New("the client is not subscribed")
	}
	before := seq - 1
	if more.Prev != nil {
		before = *more.Prev
	}
	switch e := log.find(at.epoch, seq); {
	case e == nil || e.Reset || e.Data != data:
		return fmt.Errorf("number %d is %+v", seq, e)
	case seq <= at.last:
		return fmt.Errorf("it stands at %d", at.last)
	case before != at.last && before >= at.gap && before > at.upTo:
		return fmt.Errorf("the one before is %d, and it stands at %d", before, at.last)
	case len(log.of(at.epoch, at.known(), seq-1)) > 0:
		return fmt.Errorf("number %d is missing", log.of(at.epoch, at.known(), seq)[0].Offset)
	case at.answered[tank.Position{Epoch: at.epoch, Seq: seq}] && seq > at.upTo:
		return errors.New("it was answered before")
	}
	at.last = seq
	if at.gap == 0 {
		at.whole = seq
	}
	return nil
}

// plain is for one that comes to a plain client: in order, and what is missing was lost on the way to its node.
func (c *keptConn) plain(log *keptLog, topic, data string) error {
	at, losses, all := c.person.at[topic], c.node.broker.told(topic), log.all()
	if at.last == 0 { // a repetition with a key comes twice in the log, in two epochs
		for i, e := range all {
			if e.Data == data {
				at.last = uint64(i)
			}
		}
	}
	for i, e := range all {
		switch {
		case uint64(i) < at.last || e.Reset:
		case e.Data == data:
			at.last, at.losses = uint64(i)+1, c.losses[topic]
			return nil
		case at.last > 0 && at.losses == losses:
			return fmt.Errorf("%s is missing", e.Data)
		}
	}
	return errors.New("it is not in order, or comes twice")
}

// told counts how many times something of a topic was lost.
func (s *scribe) told(topic string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost[topic]
}

// mend ends all that is wrong with the broker.
func (g *keptGroup) mend() {
	g.cut = false
	g.network.Heal()
	for _, n := range g.nodes {
		n.broker.Heal()
		n.broker.Delay(0)
		n.broker.ReleaseAfter()
	}
}

// rest lets everything come to rest. Then everybody has what was published.
func (g *keptGroup) rest() error {
	g.mend()
	for range 8 {
		time.Sleep(5 * time.Second)
		if err := g.settle(); err != nil {
			return err
		}
	}
	if len(g.results) > 0 {
		return fmt.Errorf("%d calls have not returned", len(g.results))
	}
	for _, p := range g.people {
		if p.conn == nil {
			continue
		}
		if len(p.conn.asked) > 0 {
			return fmt.Errorf("%s: %d commands are not answered", p.user, len(p.conn.asked))
		}
		for topic, is := range p.conn.subs {
			at, log := p.at[topic], g.logs[topic]
			epoch, end := log.end()
			switch {
			case is == "":
			case !p.v2:
				if rest := slices.DeleteFunc(slices.Clone(log.all()[at.last:]), func(e keptEntry) bool { return e.Reset }); at.last > 0 && at.losses == p.conn.node.broker.told(topic) && len(rest) > 0 {
					return fmt.Errorf("%s: %s: %s is missing", p.user, topic, rest[0].Data)
				}
			case at.epoch != epoch:
				return fmt.Errorf("%s: %s is in epoch %s, and it is %s", p.user, topic, at.epoch, epoch)
			case len(log.of(epoch, at.known(), end)) > 0:
				return fmt.Errorf("%s: %s stands at %d, and %d was published", p.user, topic, at.last, end)
			}
		}
	}
	return nil
}

// restart ends an instance, and puts another one in its place.
func (g *keptGroup) restart(number int) error {
	n := g.nodes[number]
	n.troubled = true
	if err := g.settle(); err != nil {
		return err
	}
	var gone []*keptPerson
	for _, p := range g.people {
		if p.conn != nil && p.conn.node == n {
			p.leave()
			gone = append(gone, p)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := n.Shutdown(ctx); err != nil {
		return fmt.Errorf("Shutdown: %w", err)
	}
	if left := n.broker.left(); len(left) > 0 {
		return fmt.Errorf("subscriptions were made or ended twice: %v", left)
	}
	g.nodes[number] = g.serve()
	for _, p := range gone {
		g.come(p, g.nodes[number])
	}
	return g.settle()
}

// end is the end of a program: when all have gone, nothing is left.
func (g *keptGroup) end() error {
	if err := g.rest(); err != nil {
		return err
	}
	for _, p := range g.people {
		p.leave()
	}
	time.Sleep(10 * time.Minute) // longer than topics linger, and are kept
	if err := g.settle(); err != nil {
		return err
	}
	for i, n := range g.nodes {
		if s := n.Stats(); s.Topics+s.LingeringTopics+s.Clients > 0 {
			return fmt.Errorf("node %d has still %+v", i, s)
		}
		if left := n.broker.left("", "\x00talk"); len(left) > 0 {
			return fmt.Errorf("node %d has still subscriptions at the broker, or has made or ended some twice: %v", i, left)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := n.Shutdown(ctx); err != nil {
			return fmt.Errorf("Shutdown: %w", err)
		}
	}
	return nil
}
