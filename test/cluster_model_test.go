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

// A group of instances in a model, whose broker fails in every way that it may. The model looks at the end of each step, when nothing
// moves any more, so it knows what had to arrive.

// groupTopics are the topics of the model: one keeps messages, and one knows who is in it.
var groupTopics = []string{"news", "kept", "room"}

const groupClients = 5

// group is what the model knows.
type group struct {
	t       *testing.T
	network *brokertest.Network
	opts    []tank.Option
	nodes   []*groupNode
	people  []*person
	log     map[string][]*sent // by topic, in the order in which they began
	byData  map[string]*sent
	step    int
	cut     bool   // the whole network is
	ended   string // user and topic of the subscriptions that this step ends
}

// groupNode is an instance of the model.
type groupNode struct {
	*server
	number int
	broker *scribe
	cut    bool
	held   bool
	conns  map[string]*groupConn // by the ids of clients
	marks  *marks
}

// marks are what plain clients have sent behind their commands, see groupConn.mark.
type marks struct {
	mu   sync.Mutex
	last map[string]string // by the ids of clients
}

func (m *marks) of(id string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last[id]
}

// sent is a publication, or what is sent to clients in another way.
type sent struct {
	topic     string
	publisher string
	order     int // among those of the publisher
	started   int // step
	done      int // step; 0: it is not known yet what became of it
	err       error
	unsure    bool // it may or may not have been published
	repeated  bool // with its key
	reached   bool // somebody
	key       string
	at        time.Time
	data      string
	json      bool
	due       []due
	result    chan error
}

// due is a subscription that has to get a publication, unless something is lost meanwhile.
type due struct {
	conn   *groupConn
	sub    *groupSub
	losses int // of its node, when the publication began
}

// person is a client of the model, who comes back.
type person struct {
	number int
	user   string
	v2     bool
	conn   *groupConn
	at     map[string]*stand    // of tank.v2: where it stood lastly, by topic
	had    map[string]*groupSub // what it comes back for
}

// stand is where a client of tank.v2 stands in a topic.
type stand struct {
	epoch string
	seq   uint64
	base  int // step: of what began later, it was told, or gets it
	got   map[*sent]bool
}

// groupConn is a connection of the model.
type groupConn struct {
	*tape
	person    *person
	node      *groupNode
	client    *tank.Client
	subs      map[string]*groupSub
	announced map[string]bool // by events
	gone      bool            // so says the event
	closed    bool            // by the model, or the server
	asked     map[uint64]func(said, time.Time) error
	marks     []func(refused bool) // of a plain client: what waits for its mark, oldest first
	marked    int
	refused   bool // of a plain client: a refusal came since the last mark
	nextID    uint64
	others    map[*sent]bool // what it got that is not of a topic
}

// groupSub is a subscription that a client has asked for.
type groupSub struct {
	inForce int // step; 0: not yet
	leaving bool
	replay  *stand // what it resumes from; nil: nothing
	orders  map[string]int
	got     map[*sent]bool
}

type groupStep struct {
	Do     string
	Node   int
	Client int
	Topic  string
	Number int
}

func drawGroupStep(t *rapid.T) groupStep {
	return groupStep{
		Do: rapid.SampledFrom([]string{"sub", "sub", "sub", "unsub", "flap", "publish", "publish", "publish", "publish json", "key", "repeat", "say", "say", "say", "come", "come", "absence", "absence", "absence", "cut client",
			"cut node", "cut node", "heal node", "heal node", "cut all", "heal all", "lose", "lose", "slow", "slow", "fail", "hold", "release", "release", "broadcast", "send", "close user", "unsub user", "pause", "pause", "rest",
			"restart"}).Draw(t, "do"),
		Node:   rapid.IntRange(0, 2).Draw(t, "node"),
		Client: rapid.IntRange(0, groupClients-1).Draw(t, "client"),
		Topic:  rapid.SampledFrom(groupTopics).Draw(t, "topic"),
		Number: rapid.IntRange(1, 4).Draw(t, "number"),
	}
}

// TestGroupsKeepTheirPromises runs random programs over two and three instances.
func TestGroupsKeepTheirPromises(t *testing.T) {
	t.Parallel() // its time is that of bubbles
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.IntRange(2, 3).Draw(rt, "instances")
		steps := rapid.SliceOfN(rapid.Custom(drawGroupStep), 10, 60).Draw(rt, "steps")
		var failure string
		synctest.Test(t, func(t *testing.T) {
			g := newGroup(t, size)
			for i, p := range g.people {
				g.come(p, g.nodes[i%size])
			}
			failure = play(steps, g.do, g.end)
		})
		if failure != "" {
			rt.Fatal(failure)
		}
	})
}

// play takes the steps of a model. It returns what is wrong, or "".
func play[S any](steps []S, do func(S) error, end func() error) (failure string) {
	for i, step := range steps {
		if err := do(step); err != nil {
			return fmt.Sprintf("step %d %+v: %v", i+1, step, err)
		}
	}
	if err := end(); err != nil {
		return fmt.Sprint("at the end: ", err)
	}
	return ""
}

func newGroup(t *testing.T, size int) *group {
	g := &group{t: t, network: brokertest.NewNetwork(), log: map[string][]*sent{}, byData: map[string]*sent{}}
	g.opts = []tank.Option{atWill, anyMayPublish,
		tank.WithTopics("kept", tank.TopicOptions{History: tank.History{Age: time.Minute}}),
		tank.WithTopics("room", tank.TopicOptions{Presence: tank.Presence{Enabled: true}}),
	}
	for i := range size {
		g.nodes = append(g.nodes, g.serve(i))
	}
	for i := range groupClients {
		g.people = append(g.people, &person{number: i, user: fmt.Sprint("user", i%4), v2: i%2 == 0, at: map[string]*stand{}})
	}
	return g
}

// serve starts an instance.
func (g *group) serve(number int) *groupNode {
	n := &groupNode{number: number, broker: newScribe(g.network.Node()), conns: map[string]*groupConn{}, marks: &marks{last: map[string]string{}}}
	handler := tank.WithMessageHandler(func(c *tank.Client, m tank.Message) {
		n.marks.mu.Lock()
		defer n.marks.mu.Unlock()
		n.marks.last[c.ID()] = string(m.Data)
	})
	n.server = serve(g.t, slices.Concat(g.opts, []tank.Option{tank.WithBroker(n.broker), handler})...)
	synctest.Wait()
	return n
}

// up reports whether an instance has its broker.
func (g *group) up(n *groupNode) bool { return !g.cut && !n.cut }

func (g *group) do(step groupStep) error {
	g.step++
	g.ended = ""
	n, p := g.nodes[step.Node%len(g.nodes)], g.people[step.Client]
	c := p.conn
	switch step.Do {
	case "sub":
		if c != nil && c.subs[step.Topic] == nil {
			c.subscribe(g, step.Topic)
		}
	case "unsub":
		if c != nil && c.subs[step.Topic] != nil {
			c.unsubscribe(step.Topic)
		}
	case "flap":
		if c != nil && c.subs[step.Topic] == nil && len(c.marks) == 0 {
			for range step.Number {
				c.command("sub:", `"sub"`, step.Topic)
				c.command("unsub:", `"unsub"`, step.Topic)
			}
		}
	case "publish", "publish json":
		for range step.Number {
			g.publish(n, step.Topic, "", step.Do != "publish")
			synctest.Wait()
		}
	case "key":
		g.publish(n, step.Topic, fmt.Sprint("key", g.step), false)
	case "repeat":
		if all := g.log[step.Topic]; len(all) > 0 {
			g.repeat(n, all[len(all)-1-step.Number%min(4, len(all))])
		}
	case "say":
		if c != nil {
			for range step.Number {
				c.publish(g, step.Topic)
			}
		}
	case "come":
		g.come(p, n)
	case "absence": // in which something is lost, or not
		if c != nil && c.node == g.nodes[c.node.number] {
			p.leave()
			if err := g.settle(); err != nil {
				return err
			}
			g.step++
			if step.Number%2 == 0 {
				c.node.broker.Lose(1)
			}
			g.publish(n, step.Topic, "", false)
			if err := g.settle(); err != nil {
				return err
			}
			g.step++
			g.come(p, c.node)
		}
	case "cut client":
		p.leave()
	case "cut node":
		n.cut = true
		n.broker.Cut()
	case "heal node":
		n.cut = false
		n.broker.Heal()
	case "cut all":
		g.cut = true
		g.network.Cut()
	case "heal all":
		g.cut = false
		g.network.Heal()
	case "lose":
		n.broker.Lose(step.Number)
	case "slow":
		n.broker.SlowSubscribe(time.Duration(step.Number) * time.Second)
	case "fail":
		n.broker.FailSubscribe(errors.New("scripted"))
	case "hold":
		n.held = true
		n.broker.HoldPublish()
	case "release":
		n.release()
	case "broadcast", "send", "close user", "unsub user":
		if !n.held && !g.isBusy(p.user) {
			return g.toAll(n, step.Do, p.user, step.Topic)
		}
	case "pause":
		time.Sleep(time.Duration(step.Number*step.Number) * 700 * time.Millisecond)
	case "rest":
		return g.rest()
	case "restart":
		return g.restart(n.number)
	}
	return g.settle()
}

func (n *groupNode) release() {
	n.held = false
	n.broker.ReleasePublish()
}

// What clients do.

// come has a client connect to an instance, where it subscribes to what it had.
func (g *group) come(p *person, n *groupNode) {
	p.leave()
	before := p.had
	p.had = nil
	synctest.Wait()
	var end *peer
	if p.v2 {
		end = n.dial2(p.user, 1<<16)
	} else {
		end = n.dial(p.user)
	}
	c := &groupConn{tape: record(end), person: p, node: n, subs: map[string]*groupSub{}, announced: map[string]bool{}, asked: map[uint64]func(said, time.Time) error{}, others: map[*sent]bool{}}
	p.conn = c
	for _, client := range n.GetAllClients() {
		if n.conns[client.ID()] == nil && client.UserID() == p.user {
			c.client = client
			n.conns[client.ID()] = c
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(before)) {
		if !before[topic].leaving {
			c.subscribe(g, topic)
		}
	}
}

// leave cuts a connection.
func (p *person) leave() {
	if c := p.conn; c != nil {
		c.conn.Close()
		c.closed = true
		p.conn, p.had = nil, c.subs
	}
}

// command sends a command whose answer nobody looks at.
func (c *groupConn) command(plain, v2, topic string) {
	if c.person.v2 {
		c.send(fmt.Sprintf(`{%s:%q}`, v2, topic))
	} else {
		c.send(plain + topic)
	}
}

// ask sends a command of tank.v2 with an id.
func (c *groupConn) ask(members string, answer func(said, time.Time) error) {
	c.nextID++
	c.asked[c.nextID] = answer
	c.send(fmt.Sprintf(`{"id":%d,%s}`, c.nextID, members))
}

// mark has a plain client learn when its last command was handled.
func (c *groupConn) mark(then func(refused bool)) {
	c.marks = append(c.marks, then)
	c.send(fmt.Sprint("mark ", c.marked+len(c.marks)))
}

func (c *groupConn) subscribe(g *group, topic string) {
	s := &groupSub{orders: map[string]int{}, got: map[*sent]bool{}}
	c.subs[topic] = s
	if !c.person.v2 {
		c.send("sub:" + topic)
		return
	}
	since := ""
	if at := c.person.at[topic]; at != nil {
		since, s.replay = fmt.Sprintf(`,"since":[%q,%d]`, at.epoch, at.seq), at
	}
	c.ask(fmt.Sprintf(`"sub":%q%s`, topic, since), func(f said, at time.Time) error { return c.subscribed(g, topic, s, f, at) })
}

// subscribed is for the answer to a sub.
func (c *groupConn) subscribed(g *group, topic string, s *groupSub, f said, at time.Time) error {
	switch {
	case f.OK == nil && c.closed:
		return nil // the instance is being restarted
	case f.OK == nil && (s.leaving || g.ended == c.person.user+topic):
		if !s.leaving {
			delete(c.subs, topic)
		}
		return nil // it was ended before it began
	case f.OK == nil:
		return fmt.Errorf("the subscription to %s is refused: %v", topic, f.Error)
	case !c.node.broker.inForce(topic, at):
		return fmt.Errorf("the subscription to %s is answered, and not in force", topic)
	}
	if c.subs[topic] == s {
		s.inForce = g.step
	}
	if f.OK.Recovered != nil && *f.OK.Recovered {
		if s.replay == nil || f.OK.Epoch != s.replay.epoch || *f.OK.From != s.replay.seq {
			return fmt.Errorf("recovered from somewhere else")
		}
		return nil // the replay is looked at when it has come: see checkStands
	}
	s.replay = nil
	stand := &stand{epoch: f.OK.Epoch, base: g.step, got: map[*sent]bool{}}
	if f.OK.Seq != nil {
		stand.seq = *f.OK.Seq
	}
	c.person.at[topic] = stand
	return nil
}

func (c *groupConn) unsubscribe(topic string) {
	s := c.subs[topic]
	s.leaving = true
	over := func() {
		if c.subs[topic] == s {
			delete(c.subs, topic)
			delete(c.person.at, topic)
		}
	}
	if c.person.v2 {
		c.ask(fmt.Sprintf(`"unsub":%q`, topic), func(said, time.Time) error { over(); return nil })
	} else {
		c.send("unsub:" + topic)
		c.mark(func(bool) { over() })
	}
}

func (c *groupConn) publish(g *group, topic string) {
	p := g.begin(c.node, topic)
	p.publisher, p.order = fmt.Sprintf("client %p", c), len(g.byData)
	result := p.result
	if c.person.v2 {
		c.ask(fmt.Sprintf(`"pub":%q,"data":%q`, topic, p.data), func(f said, _ time.Time) error {
			if f.Error != nil {
				result <- fmt.Errorf("%s: %w", f.Error.Code, refusal(f.Error.Code))
			} else {
				result <- nil
			}
			return nil
		})
	} else {
		c.send(fmt.Sprintf(`{"topic":%q,"data":%q}`, topic, p.data))
		c.mark(func(refused bool) {
			if refused {
				result <- tank.ErrBusy // a plain client does not know why
			} else {
				result <- nil
			}
		})
	}
}

// refusal returns what a code says: with busy, the publication may have been published.
func refusal(code string) error {
	if code == "busy" {
		return tank.ErrBusy
	}
	return tank.ErrBroker
}

// What the program does.

// begin takes note of a publication.
func (g *group) begin(n *groupNode, topic string) *sent {
	p := &sent{topic: topic, started: g.step, at: time.Now(), data: fmt.Sprint("p", len(g.byData)+1), result: make(chan error, 2)}
	g.byData[p.data] = p
	g.log[topic] = append(g.log[topic], p)
	if topic == "" {
		return p
	}
	for _, m := range g.nodes {
		for _, c := range m.conns {
			s := c.subs[topic]
			if s == nil || s.leaving || c.closed || !g.up(m) {
				continue
			}
			if s.inForce > 0 && s.inForce < g.step || m == n && c.client != nil && c.client.IsSubscribed(topic) {
				p.due = append(p.due, due{c, s, m.broker.losses(topic)})
			}
		}
	}
	return p
}

func (g *group) publish(n *groupNode, topic, key string, asJSON bool) {
	p := g.begin(n, topic)
	p.key, p.json, p.publisher, p.order = key, asJSON, fmt.Sprint("node ", n.number), len(g.byData)
	if slices.ContainsFunc(g.log[topic], func(o *sent) bool { return o != p && o.done == 0 && o.publisher == p.publisher }) {
		p.publisher += fmt.Sprint(" beside ", g.step, " ", p.data) // at the same time, in another goroutine
	}
	g.send(n, p)
}

// send publishes in a goroutine, for as long as the context lasts.
func (g *group) send(n *groupNode, p *sent) {
	within := time.Duration(1+g.step%4) * 3 * time.Second
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		switch {
		case p.key != "":
			_, err := n.PublishMessage(ctx, tank.Publication{Topic: p.topic, Data: p.data, Key: p.key})
			p.result <- err
		case p.json:
			p.result <- n.PublishJSON(ctx, p.topic, p.data)
		default:
			p.result <- n.Publish(ctx, p.topic, p.data)
		}
	}()
}

// repeat publishes again what has a key.
func (g *group) repeat(n *groupNode, p *sent) {
	if p.key == "" || p.done == 0 || p.err != nil && !p.unsure || time.Since(p.at) > time.Minute {
		return
	}
	p.repeated = true
	again := *p
	again.result = make(chan error, 1)
	g.send(n, &again)
}

// toAll does what goes to clients of all instances beside topics.
func (g *group) toAll(n *groupNode, do, user, topic string) error {
	up, told := g.up(n), make(map[*groupNode]int)
	name := "\x00talk"
	if do == "broadcast" {
		name = ""
	}
	for _, m := range g.nodes {
		told[m] = m.broker.losses(name)
	}
	var p *sent
	switch do {
	case "broadcast":
		p = g.begin(n, "")
		p.err = n.BroadcastMessage([]byte(p.data))
		if up != (p.err == nil) {
			return fmt.Errorf("BroadcastMessage returns %v, and the broker is there: %v", p.err, up)
		}
		p.done = g.step
	case "send":
		p = g.begin(n, "")
		n.SendToUser(user, tank.Message{Data: []byte(p.data)})
		p.done, p.unsure = g.step, true
	case "close user":
		n.CloseUser(user)
	case "unsub user":
		g.ended = user + topic
		n.UnsubscribeUser(user, topic)
	}
	before := make(map[*groupConn]bool)
	for _, m := range g.nodes {
		for _, c := range m.conns {
			before[c] = !c.closed
		}
	}
	if err := g.settle(); err != nil {
		return err
	}
	for _, m := range g.nodes {
		for _, c := range m.conns {
			if do == "unsub user" && c.person.user == user && !c.person.v2 && !c.client.IsSubscribed(topic) {
				delete(c.subs, topic) // which has no event if it was not in force
			}
			reaches := m == n && do != "broadcast" || up && g.up(m) && m.broker.losses(name) == told[m] && m.broker.inForce(name, time.Now())
			if !reaches || !before[c] || do != "broadcast" && c.person.user != user {
				continue
			}
			switch _, code := c.ended(); do {
			case "broadcast", "send":
				if !c.closed && !c.others[p] {
					return fmt.Errorf("client %d on node %d did not get %s", c.person.number, m.number, p.data)
				}
			case "close user":
				if code != 1000 {
					return fmt.Errorf("client %d on node %d was not closed: %d", c.person.number, m.number, code)
				}
			case "unsub user":
				if c.subs[topic] != nil && c.subs[topic].inForce > 0 {
					return fmt.Errorf("client %d on node %d is still subscribed", c.person.number, m.number)
				}
			}
		}
	}
	return nil
}

// isBusy reports whether the server has not looked yet at all that plain connections of a user have sent.
func (g *group) isBusy(user string) bool {
	return slices.ContainsFunc(g.people, func(p *person) bool { return p.user == user && p.conn != nil && len(p.conn.marks) > 0 })
}

// mend ends all that is wrong with the broker.
func (g *group) mend() {
	g.cut = false
	g.network.Heal()
	for _, n := range g.nodes {
		n.cut = false
		n.broker.Heal()
		n.release()
	}
}

// rest lets everything come to rest. Then all know who is there.
func (g *group) rest() error {
	g.mend()
	for range 9 {
		time.Sleep(5 * time.Second)
		if err := g.settle(); err != nil {
			return err
		}
	}
	there := make(map[string]bool)
	in := make(map[*groupNode]bool)
	for _, n := range g.nodes {
		for _, c := range n.conns {
			for topic, s := range c.subs {
				if c.closed || s.leaving {
					continue
				}
				if s.inForce == 0 {
					return fmt.Errorf("client %d on node %d is not told that it is subscribed to %s", c.person.number, n.number, topic)
				}
				if topic == "room" {
					there[c.person.user], in[n] = true, true
				}
			}
		}
	}
	for n := range in {
		here, err := n.Presence("room")
		if err != nil {
			return err
		}
		if got, want := slices.Sorted(maps.Keys(here.Info)), slices.Sorted(maps.Keys(there)); !slices.Equal(got, want) || here.Users != len(want) {
			return fmt.Errorf("node %d says that %d are there, %v, and it is %v", n.number, here.Users, got, want)
		}
	}
	for topic, all := range g.log {
		for _, p := range all {
			if p.done == 0 {
				return fmt.Errorf("nobody knows what became of %s of %s, to %s", p.data, p.publisher, topic)
			}
		}
	}
	return nil
}

// restart ends an instance, and puts another one in its place.
func (g *group) restart(number int) error {
	n := g.nodes[number]
	n.release()
	for _, p := range g.people {
		if p.conn != nil && p.conn.node == n {
			p.conn.closed = true
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := n.Shutdown(ctx); err != nil {
		return fmt.Errorf("Shutdown: %w", err)
	}
	if err := g.settle(); err != nil {
		return err
	}
	for _, c := range n.conns {
		return fmt.Errorf("client %d has no disconnect event", c.person.number)
	}
	if left := n.broker.left(); len(left) > 0 {
		return fmt.Errorf("subscriptions were made or ended twice: %v", left)
	}
	g.nodes[number] = g.serve(number)
	return g.settle()
}

// end is the end of a program: when all have gone, nothing is left at the broker.
func (g *group) end() error {
	g.step++
	if err := g.rest(); err != nil {
		return err
	}
	for _, p := range g.people {
		p.leave()
	}
	time.Sleep(6 * time.Minute) // longer than topics linger, and are kept
	g.step++
	if err := g.settle(); err != nil {
		return err
	}
	for _, n := range g.nodes {
		if len(n.conns) > 0 {
			return fmt.Errorf("node %d has %d clients without a disconnect event", n.number, len(n.conns))
		}
		if left := n.broker.left("", "\x00talk"); len(left) > 0 {
			return fmt.Errorf("node %d has still subscriptions at the broker, or has made or ended some twice: %v", n.number, left)
		}
	}
	return nil
}

// What comes.

// settle lets everything come that is on its way, and looks at it.
func (g *group) settle() error {
	synctest.Wait()
	for _, n := range g.nodes {
		if err := g.hear(n); err != nil {
			return fmt.Errorf("node %d: %w", n.number, err)
		}
	}
	conns := map[*groupConn]bool{}
	for _, n := range g.nodes {
		for _, c := range n.conns {
			conns[c] = true
		}
	}
	for _, p := range g.people {
		if p.conn != nil {
			conns[p.conn] = true
		}
	}
	for c := range conns {
		if err := g.read(c); err != nil {
			return fmt.Errorf("client %d on node %d: %w", c.person.number, c.node.number, err)
		}
	}
	if err := g.results(); err != nil {
		return err
	}
	for c := range conns {
		if err := g.checkStands(c); err != nil {
			return fmt.Errorf("client %d on node %d: %w", c.person.number, c.node.number, err)
		}
		if c.closed && c.person.conn == c {
			c.person.conn = nil
		}
		if c.gone {
			delete(c.node.conns, c.client.ID())
		}
	}
	return nil
}

// hear takes the events of an instance, which balance.
func (g *group) hear(n *groupNode) error {
	for {
		select {
		case e, open := <-n.ConnEvents:
			if !open {
				return nil
			}
			c := n.conns[e.ClientID]
			switch {
			case e.EventType == tank.EventConnect || e.EventType == tank.EventMissed:
				continue
			case c == nil || c.gone:
				return fmt.Errorf("the event %+v is of a client that is not there", e)
			}
			switch e.EventType {
			case tank.EventSubscribe:
				if c.announced[e.Topic] {
					return fmt.Errorf("%s has two events for the same subscription", e.Topic)
				}
				if !n.broker.inForce(e.Topic, e.Time) {
					return fmt.Errorf("%s has an event for a subscription that is not in force", e.Topic)
				}
				c.announced[e.Topic] = true
				if s := c.subs[e.Topic]; s != nil && !c.person.v2 {
					s.inForce = g.step
				}
			case tank.EventUnsubscribe:
				if !c.announced[e.Topic] {
					return fmt.Errorf("%s has an event for the end of a subscription that had none for its beginning", e.Topic)
				}
				delete(c.announced, e.Topic)
				if !c.person.v2 && !c.subs[e.Topic].ends() {
					delete(c.subs, e.Topic) // the server has ended it
				}
			case tank.EventDisconnect:
				if got, want := slices.Sorted(slices.Values(e.Topics)), slices.Sorted(maps.Keys(c.announced)); !slices.Equal(got, want) {
					return fmt.Errorf("disconnected from %v, and events say that it was in %v", got, want)
				}
				c.gone, c.closed = true, true
			}
		default:
			return nil
		}
	}
}

// ends reports whether there is no subscription, or the client ends it.
func (s *groupSub) ends() bool { return s == nil || s.leaving }

// read takes what has come to a client.
func (g *group) read(c *groupConn) error {
	for _, f := range c.take() {
		if err := g.frame(c, f); err != nil {
			return fmt.Errorf("%w: %s", err, f.text)
		}
	}
	if at, _ := c.ended(); !at.IsZero() {
		c.closed = true
	}
	if !c.person.v2 {
		for len(c.marks) > 0 && c.client != nil {
			var last int
			fmt.Sscanf(c.node.marks.of(c.client.ID()), "mark %d", &last)
			if last <= c.marked {
				break
			}
			c.marked++
			c.marks[0](c.refused)
			c.marks = c.marks[1:]
		}
		if len(c.marks) == 0 {
			c.refused = false
		}
	}
	return nil
}

func (g *group) frame(c *groupConn, f taped) error {
	switch {
	case strings.HasPrefix(f.text, "["):
		var parts []json.RawMessage
		var topic, data string
		var seq uint64
		if json.Unmarshal([]byte(f.text), &parts) != nil || len(parts) < 3 || json.Unmarshal(parts[0], &topic) != nil || json.Unmarshal(parts[1], &seq) != nil || json.Unmarshal(parts[2], &data) != nil {
			return errors.New("cannot be understood")
		}
		return g.arrives2(c, topic, seq, data)
	case strings.HasPrefix(f.text, "p"):
		return g.comes(c, f.text)
	}
	var s struct {
		said
		Data        *string
		Gap         *struct{ Seq uint64 }
		Interrupted *bool
	}
	if err := json.Unmarshal([]byte(f.text), &s); err != nil {
		return err
	}
	if text, isText := s.Msg.(string); isText {
		return g.comes(c, text)
	}
	switch at := c.person.at[s.Topic]; {
	case s.Data != nil: // a plain client's
		data := *s.Data
		if strings.HasPrefix(data, `"`) {
			data = strings.Trim(data, `"`) // JSON
		}
		return g.arrives(c, s.Topic, data, true)
	case s.ID > 0:
		answer := c.asked[s.ID]
		if answer == nil {
			return errors.New("nobody has asked")
		}
		delete(c.asked, s.ID)
		return answer(s.said, f.at)
	case s.Error != nil:
		c.refused = true
	case s.Gap != nil && at != nil:
		at.base, at.seq = g.step, s.Gap.Seq-1
	case s.Reset != nil:
		return errors.New("nobody has reset it")
	case s.End != nil:
		delete(c.subs, s.Topic)
		delete(c.person.at, s.Topic)
	}
	return nil
}

// comes is for what is not of a topic.
func (g *group) comes(c *groupConn, data string) error {
	p := g.byData[data]
	switch {
	case p == nil || p.topic != "":
		return errors.New("nobody has sent this")
	case c.others[p]:
		return errors.New("it comes twice")
	case p.err != nil:
		return fmt.Errorf("it comes after %w", p.err)
	}
	c.others[p] = true
	return nil
}

// arrives2 is arrives for a client of tank.v2, which knows when it has missed something.
func (g *group) arrives2(c *groupConn, topic string, seq uint64, data string) error {
	at, s := c.person.at[topic], c.subs[topic]
	if at == nil || s == nil {
		return errors.New("the client is not subscribed")
	}
	switch {
	case seq <= at.seq:
		return fmt.Errorf("the client stands at %d already", at.seq)
	case seq > at.seq+1: // so something is missing, which the client sees
		at.base = g.step
	}
	at.seq = seq
	if err := g.arrives(c, topic, data, false); err != nil {
		return err
	}
	p := g.byData[data]
	if at.got[p] {
		return errors.New("it comes twice, over two connections")
	}
	at.got[p] = true
	if missing := g.missing(at, topic, p.started); missing != nil && !p.repeated {
		return fmt.Errorf("%s is missing, which %s has published in step %d, and the client was not told", missing.data, missing.publisher, missing.started)
	}
	return nil
}

// missing returns what a client of tank.v2 should have of what was published before a step, or nil.
func (g *group) missing(at *stand, topic string, before int) *sent {
	for _, p := range g.log[topic] {
		if p.started > at.base && p.done > 0 && p.done < before && p.err == nil && !p.unsure && !at.got[p] && !p.repeated {
			return p
		}
	}
	return nil
}

// arrives is for a publication.
func (g *group) arrives(c *groupConn, topic, data string, plain bool) error {
	p, s := g.byData[data], c.subs[topic]
	switch {
	case p == nil || p.topic != topic:
		return errors.New("nobody has published this")
	case s == nil && plain: // a flap, or what came before the end
		return nil
	case s.got[p]:
		return errors.New("it comes twice")
	case p.done > 0 && p.err != nil && !p.unsure && !p.repeated:
		return fmt.Errorf("it comes after %w", p.err)
	case !p.repeated && s.orders[p.publisher] > p.order:
		return fmt.Errorf("it is not in the order of %s", p.publisher)
	}
	p.reached, s.got[p] = true, true
	s.orders[p.publisher] = max(s.orders[p.publisher], p.order)
	return nil
}

// results takes what has become of publications. What was accepted has reached everybody by now who had to get it.
func (g *group) results() error {
	for topic, all := range g.log {
		for _, p := range all {
			if p.done > 0 {
				continue
			}
			select {
			case p.err = <-p.result:
			default:
				if c := g.publisherOf(p); c != nil && c.closed {
					p.done, p.unsure = g.step, true // nobody will know
				}
				continue
			}
			p.done = g.step
			switch {
			case errors.Is(p.err, tank.ErrBroker), errors.Is(p.err, tank.ErrClosed):
				if p.reached {
					return fmt.Errorf("%s to %s has reached somebody, and %s was told %w", p.data, topic, p.publisher, p.err)
				}
			case p.err != nil:
				p.unsure = true
			default:
				if err := g.checkDue(p); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (g *group) publisherOf(p *sent) *groupConn {
	for _, n := range g.nodes {
		for _, c := range n.conns {
			if p.publisher == fmt.Sprintf("client %p", c) {
				return c
			}
		}
	}
	if strings.HasPrefix(p.publisher, "client") {
		return &groupConn{closed: true}
	}
	return nil
}

func (g *group) checkDue(p *sent) error {
	for _, d := range p.due {
		c := d.conn
		if c.closed || d.sub.leaving || c.subs[p.topic] != d.sub || c.node.broker.losses(p.topic) != d.losses || !g.up(c.node) || p.repeated || g.ended == c.person.user+p.topic {
			continue
		}
		if !d.sub.got[p] {
			return fmt.Errorf("%s to %s, which %s has published in step %d, did not reach client %d on node %d", p.data, p.topic, p.publisher, p.started, c.person.number, c.node.number)
		}
	}
	return nil
}

// checkStands looks at what was recovered: nothing is missing. While an instance has no broker, it does not know what it misses; it tells
// a gap afterwards, and has told its clients that it is interrupted.
func (g *group) checkStands(c *groupConn) error {
	for topic, s := range c.subs {
		if s.replay != nil && s.inForce == g.step {
			at := s.replay
			s.replay = nil
			if missing := g.missing(at, topic, g.step); missing != nil && g.up(c.node) {
				return fmt.Errorf("recovered in %s, and %s is missing, which %s has published in step %d", topic, missing.data, missing.publisher, missing.started)
			}
		}
	}
	return nil
}

// scribe is a broker that takes note of what it is asked, and of what it says.
type scribe struct {
	*brokertest.Node
	mu        sync.Mutex
	receivers map[broker.Receiver]*heardBy
	lost      map[string]int
	downs     int
}

// heardBy is a Receiver of the instance's, and what is known of its subscription.
type heardBy struct {
	broker.Receiver
	of                *scribe
	name              string
	began, ended      time.Time
	subscribed, tries int
	unsubscribed      int
}

func newScribe(n *brokertest.Node) *scribe {
	return &scribe{Node: n, receivers: map[broker.Receiver]*heardBy{}, lost: map[string]int{}}
}

func (s *scribe) Open(w broker.Watcher) error { return s.Node.Open(watchedBy{w, s}) }

type watchedBy struct {
	broker.Watcher
	of *scribe
}

func (w watchedBy) Down(cause error, inDoubt int) {
	w.of.mu.Lock()
	w.of.downs++
	w.of.mu.Unlock()
	w.Watcher.Down(cause, inDoubt)
}

// wrap returns the subscriptions with Receivers that are watched. Called with mu held.
func (s *scribe) wrap(subs []broker.Subscription) (list []*heardBy, wrapped []broker.Subscription) {
	for _, sub := range subs {
		h := s.receivers[sub.To]
		if h == nil {
			h = &heardBy{Receiver: sub.To, of: s, name: sub.Name}
			s.receivers[sub.To] = h
		}
		list, wrapped = append(list, h), append(wrapped, broker.Subscription{Name: sub.Name, Keep: sub.Keep, To: h})
	}
	return list, wrapped
}

func (s *scribe) Subscribe(ctx context.Context, subs []broker.Subscription) error {
	s.mu.Lock()
	list, wrapped := s.wrap(subs)
	for _, h := range list {
		h.tries++
	}
	s.mu.Unlock()
	err := s.Node.Subscribe(ctx, wrapped)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range list {
		if err == nil {
			h.subscribed++
			h.began = time.Now()
		}
	}
	return err
}

func (s *scribe) Unsubscribe(subs []broker.Subscription) {
	s.mu.Lock()
	list, wrapped := s.wrap(subs)
	for _, h := range list {
		h.unsubscribed++
		h.ended = time.Now()
	}
	s.mu.Unlock()
	s.Node.Unsubscribe(wrapped)
}

func (h *heardBy) Lost(cause error) {
	h.of.mu.Lock()
	h.of.lost[h.name]++
	h.of.mu.Unlock()
	h.Receiver.Lost(cause)
}

// losses counts how many times something under a name may have been lost so far.
func (s *scribe) losses(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost[name] + s.downs
}

// inForce reports whether a name was subscribed to at a time.
func (s *scribe) inForce(name string, at time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.receivers {
		if h.name == name && h.subscribed > 0 && !h.began.After(at) && (h.ended.IsZero() || !h.ended.Before(at)) {
			return true
		}
	}
	return false
}

// left returns what was subscribed to and not ended, beside some names, or was subscribed to or ended twice. Without names, what was not
// ended is left to Close.
func (s *scribe) left(but ...string) (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.receivers {
		open := h.tries > 0 && h.unsubscribed == 0
		if h.subscribed > 1 || h.unsubscribed > 1 || len(but) > 0 && open && !slices.Contains(but, h.name) {
			list = append(list, fmt.Sprintf("%q: subscribed %d times, ended %d times", h.name, h.subscribed, h.unsubscribed))
		}
	}
	slices.Sort(list)
	return list
}
