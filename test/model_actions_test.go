package test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// step is one thing that happens in the model: what, to whom, about which topic, and a number that says more.
type step struct {
	What  string
	Who   int
	Topic string
	N     int
	Ops   []int // of a pipeline, or a sequence
}

// GoString makes programs readable that rapid found.
func (s step) GoString() string { return s.String() }

func (s step) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s(%d %q %d %v)", s.What, s.Who, s.Topic, s.N, s.Ops))
}

// topicNames are what topics are called here.
var topicNames = []string{"news", "中文", `a:"b\`, private, explosive}

// programs are runs of steps. A program that is part of another is simpler, and so are what comes first of names, and
// smaller numbers.
var programs = rapid.Custom(func(t *rapid.T) (program []step) {
	t.Repeat(map[string]func(*rapid.T){"step": func(t *rapid.T) {
		s := step{
			What:  uniform(actionNames).Draw(t, "what"),
			Who:   uniform([]int{0, 1, 2, 3, 4, 5}).Draw(t, "who"),
			Topic: topicNames[uniform([]int{0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 4}).Draw(t, "topic")],
			N:     uniform([]int{0, 1, 2, 3, 4, 5, 6, 7, 8}).Draw(t, "n"),
		}
		if s.What == "pipeline" || s.What == "sequence" {
			s.Ops = rapid.SliceOfN(uniform([]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}), 1, 8).Draw(t, "ops")
		}
		program = append(program, s)
	}})
	return program
})

// uniform picks one. rapid.SampledFrom would pick the first ones most of the time.
func uniform[V any](values []V) *rapid.Generator[V] {
	var each []*rapid.Generator[V]
	for _, v := range values {
		each = append(each, rapid.Just(v))
	}
	return rapid.OneOf(each...)
}

// actions is what can happen. Those that need a client get one that is still connected.
var actions = map[string]struct {
	weight int
	do     func(*model, *player, step)
}{
	"connect":     {8, nil},
	"sub":         {12, (*model).doSub},
	"unsub":       {5, (*model).doUnsub},
	"greed":       {1, (*model).doGreed},
	"Subscribe":   {4, (*model).doSubscribe},
	"Unsubscribe": {3, (*model).doUnsubscribe},
	"publish":     {12, (*model).doPublish},
	"say":         {8, (*model).doSay},
	"broadcast":   {4, (*model).doBroadcast},
	"Send":        {4, (*model).doSend},
	"echo":        {2, (*model).doEcho},
	"burst":       {4, (*model).doBurst},
	"volley":      {3, (*model).doVolley},
	"race":        {4, (*model).doRace},
	"pipeline":    {5, (*model).doPipeline},
	"sequence":    {6, (*model).doSequence},
	"brim":        {4, (*model).doBrim},
	"freeze":      {8, func(_ *model, p *player, _ step) { p.freeze() }},
	"thaw":        {5, func(_ *model, p *player, _ step) { p.thaw() }},
	"sip":         {4, (*model).doSip},
	"dawdle":      {3, (*model).doDawdle},
	"trickle":     {2, (*model).doTrickle},
	"stall":       {3, (*model).doStall},
	"cut":         {3, (*model).doCut},
	"close":       {2, (*model).doClose},
	"Close":       {2, (*model).doServerClose},
	"kick":        {2, (*model).doKick},
	"panic":       {1, (*model).doPanic},
	"bad name":    {2, (*model).doBadName},
	"violation":   {2, (*model).doViolation},
	"ping":        {2, (*model).doPing},
	"flood":       {2, (*model).doFlood},
	"advance":     {6, (*model).doAdvance},
	"shut down":   {1, (*model).doShutDown},
	"afterwards":  {1, (*model).doAfterwards},
}

var actionNames = func() (names []string) {
	for name, a := range actions {
		for range a.weight {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { // the plainest first
		return cmp.Or(cmp.Compare(actions[b].weight, actions[a].weight), cmp.Compare(a, b))
	})
	return names
}()

func (s step) do(m *model) {
	var live []*player
	for _, p := range m.players {
		if !p.gone {
			live = append(live, p)
		}
	}
	if s.What == "connect" || len(live) == 0 {
		if len(live) < 6 {
			m.arrive(s)
		}
		return
	}
	actions[s.What].do(m, live[s.Who%len(live)], s)
}

// arrive connects somebody, who may subscribe at once.
func (m *model) arrive(s step) {
	m.connect(fmt.Sprint("u", s.Who%3), []int{300, 700, 64 << 10}[s.N%3])
	if s.N >= 3 && m.shutdown == nil {
		m.settle()
		m.doSub(m.players[len(m.players)-1], s)
	}
}

// text makes the next message of a source, of some size.
func (m *model) text(source string, n int) string {
	return fmt.Sprint(len(m.log[source]), strings.Repeat("x", []int{0, 40, 200, 600, 2500}[n%5]))
}

// expect fails unless a method returned this error.
func expect(got, want error, what string) {
	if !errors.Is(got, want) {
		fail("%s returned %v, want %v", what, got, want)
	}
}

func (m *model) closed() error {
	if m.shutdown != nil {
		return tank.ErrClosed
	}
	return nil
}

func (m *model) doSub(p *player, s step) {
	p.say("sub:"+s.Topic, func() { p.askToSubscribe(s.Topic) })
}

func (p *player) askToSubscribe(topic string) {
	switch {
	case !p.ask(topic, "subscription refused"):
	case p.mustNot(topic):
		p.faults = append(p.faults, "2008") // before the next line, which may look at events
		p.refuse("limit", fmt.Sprintf("tank: limit reached: the client has %d subscriptions", modelLimits.Subscriptions), topic)
		if p.refusals++; p.refusals == maxRefusals {
			p.close("1008 too many subscriptions")
		}
	default:
		p.subscribe(topic)
	}
}

// ask is what the authorizers say.
func (p *player) ask(topic, refusal string) bool {
	switch topic {
	case private:
		p.faults = append(p.faults, "2007")
		p.refuse("forbidden", "tank: forbidden: "+refusal, topic)
	case explosive:
		p.explode()
	default:
		return true
	}
	return false
}

func (p *player) refuse(code, message, topic string) {
	p.give(refusals, fmt.Sprintf(`{"error":{"code":%q,"message":%q,"topic":%q}}`, code, message, topic))
}

func (m *model) doUnsub(p *player, s step) {
	p.say("unsub:"+s.Topic, func() { p.unsubscribe(s.Topic) })
}

func (m *model) doSubscribe(p *player, s step) {
	want := m.closed()
	if want == nil && p.mustNot(s.Topic) {
		want = tank.ErrLimit
	}
	expect(p.handle.Subscribe(s.Topic), want, "Subscribe")
	if want == nil {
		p.subscribe(s.Topic)
	}
}

// doGreed asks for one subscription too many, again and again.
func (m *model) doGreed(p *player, s step) {
	for i := range maxRefusals + 3 {
		p.say("sub:"+topicNames[i%3], func() { p.askToSubscribe(topicNames[i%3]) })
		m.settle()
		p.say("sub:more", func() { p.askToSubscribe("more") })
		m.settle()
	}
}

func (m *model) doUnsubscribe(p *player, s step) {
	var want error
	if !p.topics[s.Topic] {
		want = tank.ErrNotFound
	}
	expect(p.handle.Unsubscribe(s.Topic), want, "Unsubscribe")
	p.unsubscribe(s.Topic)
}

func (m *model) doPublish(_ *player, s step) { m.publishNow(s.Topic, m.text(s.Topic, s.N)) }

func (m *model) publishNow(topic, data string) {
	expect(m.BroadcastTopicMessage(topic, data), m.closed(), "BroadcastTopicMessage")
	if m.closed() == nil {
		m.publish(topic, envelope(topic, data))
	}
}

func (m *model) doSay(p *player, s step) {
	message := envelope(s.Topic, m.text(s.Topic, s.N))
	p.say(message, func() { p.askToPublish(s.Topic, message) })
}

func (p *player) askToPublish(topic, message string) {
	if p.ask(topic, "publication refused") {
		p.m.publish(topic, message)
	}
}

func (m *model) doBroadcast(_ *player, s step) {
	text := "all " + m.text(all, s.N)
	expect(m.BroadcastMessage([]byte(text)), m.closed(), "BroadcastMessage")
	if m.closed() == nil {
		m.publish(all, text)
	}
}

func (m *model) doSend(p *player, s step) {
	m.send(p, fmt.Sprint("own ", len(p.due[own]), m.text(own, s.N)))
}

func (m *model) send(p *player, text string) {
	err := p.handle.Send(tank.Message{Data: []byte(text)})
	var want error
	if !p.give(own, text) {
		want = tank.ErrClosed
	}
	expect(err, want, "Send")
}

func (m *model) doEcho(p *player, s step) {
	text := fmt.Sprint("own ", len(p.due[own]), m.text(own, s.N))
	p.say("echo "+text, func() { p.give(own, text) })
}

// doBurst is more than a frozen client's outbox holds, one message at a time.
func (m *model) doBurst(p *player, s step) {
	if i := slices.IndexFunc(m.players, func(p *player) bool { return p.frozen && !p.gone }); i >= 0 {
		p = m.players[i]
	}
	topics := slices.Sorted(maps.Keys(p.topics))
	if topic := topics[s.N%len(topics)]; topic != all {
		s.Topic = topic
	}
	for i := range 12 {
		m.publishNow(s.Topic, m.text(s.Topic, 2))
		m.settle()
		if i%3 == s.N%3 && len(topics) > 1 {
			m.doBroadcast(p, step{N: s.N % 4})
			m.settle()
		}
	}
}

// hasRoom reports whether messages of so many bytes can come at once: then nobody's outbox gets full, whatever batches are
// made of them.
func (m *model) hasRoom(bytes int) bool {
	for _, p := range m.players {
		switch {
		case !p.frozen || p.closing != nil || bytes <= p.room():
		case p.queued()+bytes > modelLimits.OutboxBytes, m.policy != tank.OutboxClose: // which are the oldest?
			return false
		}
	}
	for _, p := range m.players {
		if p.frozen && p.closing == nil && bytes > p.room() {
			p.mixed = true
			if !p.piece {
				p.blur()
			}
		}
	}
	return true
}

// doVolley is messages from several goroutines at once.
func (m *model) doVolley(p *player, s step) {
	const each = 3
	if s.N%3 == 0 {
		p.freeze()
	}
	if m.closed() != nil || !m.hasRoom(4*each*100) {
		return
	}
	other := topicNames[(slices.Index(topicNames, s.Topic)+1)%len(topicNames)]
	var wg sync.WaitGroup
	for i := range each {
		p.give(own, fmt.Sprint("own volley ", i))
	}
	open := p.closing == nil
	wg.Go(func() {
		for i := range each {
			if err := p.handle.Send(tank.Message{Data: fmt.Append(nil, "own volley ", i)}); (err == nil) != open {
				m.t.Errorf("Send returned %v", err)
			}
		}
	})
	for _, source := range []string{s.Topic, other, all} {
		var list []string
		for i := range each {
			list = append(list, fmt.Sprint("all ", len(m.log[source])+i))
		}
		for _, data := range list {
			if source == all {
				m.publish(all, data)
			} else {
				m.publish(source, envelope(source, data))
			}
		}
		wg.Go(func() {
			for _, data := range list {
				if source == all {
					must(m.t, m.BroadcastMessage([]byte(data)))
				} else {
					must(m.t, m.BroadcastTopicMessage(source, data))
				}
			}
		})
	}
	wg.Wait()
}

// doRace publishes while somebody subscribes or unsubscribes. Which messages that concerns is seen afterwards; but it has
// to be all from one on, or up to one.
func (m *model) doRace(p *player, s step) {
	const n = 6
	if m.closed() != nil || p.closing != nil || p.frozen || p.rest != nil || s.Topic == private || s.Topic == explosive || !p.messages.has(1, modelLimits.MessagesPerSecond, modelLimits.MessageBurst) ||
		p.mustNot(s.Topic) || !m.hasRoom(n*100) {
		return
	}
	before, was := len(m.log[s.Topic]), p.topics[s.Topic]
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			must(m.t, m.BroadcastTopicMessage(s.Topic, fmt.Sprint(before+i)))
		}
	})
	if was {
		p.put(frame(opText, "unsub:"+s.Topic))
	} else {
		p.put(frame(opText, "sub:"+s.Topic))
	}
	p.heard(func() {})
	wg.Wait()
	synctest.Wait()
	k := 0 // of those it got
	frames, _ := p.frames()
	for _, f := range frames {
		if f.op == opText && sourceOf(f.payload) == s.Topic {
			k++
		}
	}
	if k > n {
		fail("%v got %d of %d messages", p, k, n)
	}
	change, upTo := func() { p.subscribe(s.Topic) }, n-k
	if was {
		change, upTo = func() { p.unsubscribe(s.Topic) }, k
	}
	for i := range n {
		if i == upTo {
			change()
		}
		m.publish(s.Topic, envelope(s.Topic, fmt.Sprint(before+i)))
	}
	if upTo == n {
		change()
	}
	if !was && m.subscribers(s.Topic) == 1 { // the topic may have taken some before it had somebody to give them to
		for _, t := range m.GetAllTopics() {
			if early := int(t.Published) - k; t.Name == s.Topic && early >= 0 && early <= n-k {
				m.rooms[s.Topic].born -= early
			}
		}
	}
}

// doPipeline sends several commands in one go.
func (m *model) doPipeline(p *player, s step) {
	if p.closing != nil || p.frozen || !p.messages.has(len(s.Ops)+1, modelLimits.MessagesPerSecond, modelLimits.MessageBurst) || !m.hasRoom(len(s.Ops)*130) {
		return
	}
	p.put(nil)
	var sent []byte
	say := func(text string, effect func()) {
		sent = append(sent, frame(opText, text)...)
		p.heard(effect)
	}
	for _, op := range s.Ops {
		topic := topicNames[op%3]
		switch {
		case op < 3:
			say("sub:"+topic, func() { p.askToSubscribe(topic) })
		case op < 6:
			message := envelope(topic, m.text(topic, 0))
			say(message, func() { m.publish(topic, message) })
		case op < 9:
			say("unsub:"+topic, func() { p.unsubscribe(topic) })
		default:
			text := fmt.Sprint("own ", len(p.due[own]))
			say("echo "+text, func() { p.give(own, text) })
		}
	}
	p.write(sent)
}

// doSip has a frozen client read a little.
func (m *model) doSip(p *player, s step) {
	if p.frozen {
		if p.mixed && !(p.closing != nil && p.closing.slow) {
			p.blur()
		}
		p.maybe = time.Now()
		p.gate.sip(1 << (s.N + 2))
	}
}

// doSequence does several things at the server one right behind the other.
func (m *model) doSequence(p *player, s step) {
	if s.N%3 == 0 {
		p.freeze()
	}
	size := s.N % 3
	if m.closed() != nil || !m.hasRoom(len(s.Ops)*[]int{130, 130, 260}[size]) {
		return
	}
	for _, op := range s.Ops {
		s.Topic, s.N = topicNames[op%3], size
		switch {
		case op < 3:
			m.doSubscribe(p, s)
		case op < 6:
			m.doPublish(p, s)
		case op < 9:
			m.doUnsubscribe(p, s)
		default:
			m.doSend(p, s)
		}
	}
}

// blocked returns a client whose socket is full, if there is one.
func (m *model) blocked(p *player) *player {
	if i := slices.IndexFunc(m.players, func(p *player) bool { return p.piece }); i >= 0 {
		p = m.players[i]
	}
	return p
}

// doBrim fills a frozen client's outbox up to the limit, or one byte more.
func (m *model) doBrim(p *player, s step) {
	if p = m.blocked(p); !p.piece {
		p.freeze()
		for range 2 {
			m.doSend(p, step{N: 3})
			m.settle()
		}
	}
	for range 2 { // small ones, so that it matters how many are dropped
		m.doSend(p, step{})
		m.settle()
	}
	if size := modelLimits.OutboxBytes - p.queued() + s.N%2; p.piece && size > 300 {
		m.send(p, "own "+strings.Repeat("x", size-4-len("own "))) // 4 bytes of header
	}
}

// doDawdle has a frozen client read a little now and then.
func (m *model) doDawdle(p *player, s step) {
	p = m.blocked(p)
	for range 3 {
		time.Sleep(2900*time.Millisecond + 17)
		m.settle()
		m.doSip(p, step{N: s.N % 3})
		m.settle()
	}
}

// doTrickle has a client send a message a little at a time.
func (m *model) doTrickle(p *player, s step) {
	for range 4 {
		m.doStall(p, step{Topic: s.Topic})
		time.Sleep(2900*time.Millisecond + 17)
		m.settle()
	}
}

// doStall sends the beginning of a message, or a little more of it.
func (m *model) doStall(p *player, s step) {
	switch {
	case p.closing != nil:
		return
	case len(p.rest) > 1 && s.N < 5:
		p.sign, p.maybe = time.Now(), time.Now()
		b := p.rest
		p.rest = b[1:]
		p.write(b[:1])
		return
	}
	p.put(nil)
	message := envelope(s.Topic, "stalled")
	b := frame(opText, message)
	k := 1 + (s.N*7)%(len(b)-1)
	time.Sleep(3 * time.Nanosecond) // or what happens by itself could happen in the same moment
	p.silent()
	p.inFrame.Store(true)
	p.write(b[:k])
	p.stalled = time.Now()
	p.rest, p.then = b[k:], func() { p.askToPublish(s.Topic, message) }
}

func (m *model) doCut(p *player, s step) {
	if s.N%2 == 0 && p.rest == nil {
		p.put(frame(opText, "sub:news")[:5])
	}
	reason, fault := "1006 connection closed without a close frame", "2003"
	if p.full() { // reader and writer notice at the same time
		reason, fault = reason+"|1006 write failed", fault+"|2004"
	}
	p.hungUp = true
	p.conn.Close()
	p.thaw()
	p.blame(reason, fault)
}

func (m *model) doClose(p *player, s step) {
	c := []struct {
		frame  []byte
		reason string
	}{
		{closeFrame(4000, "bye"), "4000 bye"}, {closeFrame(1000, ""), "1000"}, {frame(opClose, ""), "1005"},
	}[s.N%3]
	p.put(c.frame)
	if !p.deaf {
		p.close(c.reason)
		p.deaf, p.closing.byPeer = true, true
	}
}

func (m *model) doServerClose(p *player, _ step) {
	var want error
	if !p.close("4001 as the application says") {
		want = tank.ErrClosed
	}
	expect(p.handle.Close(4001, "as the application says"), want, "Close")
}

func (m *model) doKick(p *player, _ step) {
	want := 0
	for _, other := range m.players {
		if other.user == p.user && other.close("1000 closed by server") {
			want++
		}
	}
	if got := m.CloseUser(p.user); got != want {
		fail("CloseUser closed %d, want %d", got, want)
	}
}

func (m *model) doPanic(p *player, _ step) { p.say("panic", p.explode) }

func (m *model) doBadName(p *player, s step) {
	bad := []struct{ name, message string }{
		{"", "topic is empty"}, {"a\tb", `topic "a\tb" contains the control character U+0009`},
	}[s.N%2]
	message := []string{"sub:" + bad.name, "unsub:" + bad.name, envelope(bad.name, "x")}[s.N%3]
	p.say(message, func() { p.refuse("invalid_topic", "tank: invalid topic: "+bad.message, bad.name) })
	expect(m.BroadcastTopicMessage(bad.name, "x"), tank.ErrInvalidTopic, "BroadcastTopicMessage")
	expect(p.handle.Subscribe(bad.name), tank.ErrInvalidTopic, "Subscribe")
}

// doViolation sends what RFC 6455 or the limits forbid.
func (m *model) doViolation(p *player, s step) {
	v := []struct {
		frame         []byte
		reason, fault string
		deaf, byPeer  bool
	}{
		{frame(3, "x"), "1002 protocol error", "1002", true, false},
		{[]byte{0x81, 1, 'x'}, "1002 protocol error", "1002", true, false},
		{frame(opClose, "x"), "1002 protocol error", "1002", true, false},
		{frame(opText, "\xff"), "1007 text is not valid UTF-8", "1002", false, false},
		{closeFrame(1000, "\xff"), "1007 close reason is not valid UTF-8", "1002", true, true},
		{frame(opText, strings.Repeat("x", modelLimits.MessageBytes+1)), "1009 message too big", "1009", true, false},
	}[s.N%6]
	p.put(v.frame)
	if !p.deaf {
		p.blame(v.reason, v.fault)
		p.deaf, p.closing.byPeer = v.deaf, v.byPeer
		p.closing.final = v.deaf && !v.byPeer && p.closing.reason == v.reason
	}
}

func (m *model) doPing(p *player, _ step) { p.ping(1) }

// doFlood is many pings at once, or many messages.
func (m *model) doFlood(p *player, s step) {
	if n := s.N * 2; p.frozen {
		return
	} else if s.N%2 == 0 {
		p.ping(n)
		return
	}
	p.put(nil)
	n := 10 * s.N
	p.write([]byte(strings.Repeat(string(frame(opText, "chatter")), n)))
	for range n {
		p.heard(func() {})
	}
}

func (p *player) ping(n int) {
	p.put(nil)
	each := int64(time.Second/time.Microsecond) / int64(modelLimits.PingsPerSecond)
	p.sends()
	var sent []byte
	for range n {
		payload := fmt.Sprint(len(p.pings))
		sent = append(sent, frame(opPing, payload)...)
		switch {
		case p.closing != nil:
		case p.behind.Load() >= each: // it waited behind messages
			p.behind.Add(-each)
			p.pings = append(p.pings, payload)
		case p.pinging.take(modelLimits.PingsPerSecond, modelLimits.PingBurst, false) > 0:
			p.blame("1008 too many pings", "2008")
			p.deaf, p.closing.final = true, true
		default:
			p.pings = append(p.pings, payload)
		}
	}
	p.write(sent)
}

// doAdvance lets time go by. It never ends in the same moment as what happens by itself.
func (m *model) doAdvance(_ *player, s step) {
	ms := []int{1, 300, 1100, 2700, 4300, 5900, 11_000, 26_000, 41_000}[s.N]
	time.Sleep(time.Duration(ms)*time.Millisecond + 17*time.Nanosecond)
}

func (m *model) doShutDown(_ *player, s step) {
	if m.shutdown == nil {
		m.shutDown([]time.Duration{time.Hour, time.Second, -1}[s.N%3])
	}
}

// doAfterwards uses clients after their end.
func (m *model) doAfterwards(*player, step) {
	for _, p := range m.players {
		if p.gone {
			p.give(own, "own")
			expect(p.handle.Send(tank.Message{Data: []byte("own")}), tank.ErrClosed, "Send")
			expect(p.handle.Subscribe("news"), tank.ErrClosed, "Subscribe")
			expect(p.handle.Unsubscribe("news"), tank.ErrClosed, "Unsubscribe")
			expect(p.handle.Close(1000, ""), tank.ErrClosed, "Close")
		}
	}
}
