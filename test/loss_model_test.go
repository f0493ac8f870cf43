package test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// What an outbox policy drops is told to clients of tank.v2: each of them knows of every number of its topics that it has come, or that
// it is lost.

// loser is a client of the model.
type loser struct {
	*tape
	handle *tank.Client
	at     map[string]tank.Position // where it stands, by topic that it is subscribed to
	asked  []asked                  // commands without an answer
	id     uint64
	lost   uint64            // messages of topics, by what it was told
	alone  map[string]uint64 // messages of topics for it alone that have not come and were not told to be lost
	other  uint64            // messages of no topic that have not come
}

// asked is a command that was sent.
type asked struct {
	id          uint64
	what, topic string
}

type lossStep struct {
	Do     string
	Client int
	Topic  string
	Number int
}

var lossSteps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) lossStep {
	return lossStep{
		Do:     uniform([]string{"publish", "publish", "publish", "publish", "pub", "freeze", "freeze", "sip", "thaw", "sub", "unsub", "heal", "last", "alone", "tell", "reset"}).Draw(t, "do"),
		Client: uniform([]int{0, 1}).Draw(t, "client"),
		Topic:  uniform([]string{"kept", "plain", "other"}).Draw(t, "topic"),
		Number: uniform([]int{0, 1, 2, 3, 5, 8, 13, 30}).Draw(t, "number"),
	}
}), 5, 40)

// losing is the world of the model.
type losing struct {
	t       *testing.T
	s       *server
	log     map[tank.Position]string // what was published as which number, by epoch
	clients []*loser
	n       int
}

// TestLossesAreToldExactly runs random programs of publications to clients that read now and then.
func TestLossesAreToldExactly(t *testing.T) {
	t.Parallel() // its time is that of bubbles
	rapid.Check(t, func(rt *rapid.T) {
		policy := uniform([]tank.OutboxPolicy{tank.OutboxDropOldest, tank.OutboxKeepLatest}).Draw(rt, "policy")
		steps := lossSteps.Draw(rt, "steps")
		var failure error
		bubble(t, func(t *testing.T) { failure = runLosses(t, policy, steps) })
		if failure != nil {
			rt.Fatal(failure)
		}
	})
}

func runLosses(t *testing.T, policy tank.OutboxPolicy, steps []lossStep) error {
	w := &losing{t: t, log: map[tank.Position]string{}}
	w.s = serve(t, atWill, tank.WithOutboxPolicy(policy), tank.WithHeartbeat(time.Hour, 2*time.Hour),
		tank.WithLimits(tank.Limits{OutboxBytes: 2000, WriteTimeout: time.Hour}),
		tank.WithTopics("kept", tank.TopicOptions{History: tank.History{Messages: 20}}),
		tank.WithPublishAuthorizer(func(*tank.Client, *tank.Publication) error { return nil }))
	witness := record(w.s.dial2("witness", defaultBuffer)) // with it, no topic ends
	for _, topic := range []string{"kept", "plain", "other"} {
		witness.send(fmt.Sprintf(`{"sub":%q}`, topic))
	}
	for i := range 2 {
		p := w.s.dial2(fmt.Sprint("c", i), 300)
		all := w.s.GetAllClients()
		w.clients = append(w.clients, &loser{tape: record(p), handle: all[len(all)-1], at: map[string]tank.Position{}, alone: map[string]uint64{}})
	}
	for i, step := range steps {
		w.do(w.clients[step.Client], step)
		for n, c := range w.clients {
			if err := w.look(c); err != nil {
				return fmt.Errorf("step %d %+v: client %d: %w", i+1, step, n, err)
			}
		}
	}
	for i, c := range w.clients {
		c.thaw()
		if err := w.complete(c); err != nil {
			return fmt.Errorf("at the end: client %d: %w", i, err)
		}
	}
	return nil
}

func (w *losing) do(c *loser, step lossStep) {
	ctx := context.Background()
	switch step.Do {
	case "publish":
		for range step.Number {
			w.n++
			data := fmt.Sprint(step.Topic, w.n, strings.Repeat(".", w.n%4*90))
			at, err := w.s.PublishMessage(ctx, tank.Publication{Topic: step.Topic, Data: data})
			must(w.t, err)
			w.log[at] = data
			if step.Number%2 == 0 { // or they come in batches
				synctest.Wait()
			}
		}
	case "pub":
		w.n++
		c.ask("pub", step.Topic, fmt.Sprintf(`,"data":"%s%d"`, step.Topic, w.n))
	case "freeze":
		c.freeze()
	case "sip":
		c.sip(step.Number * 20)
	case "thaw":
		c.thaw()
	case "sub":
		c.ask("sub", step.Topic, "")
	case "last":
		c.ask("sub", step.Topic, fmt.Sprintf(`,"last":%d`, step.Number+1))
	case "unsub":
		c.ask("unsub", step.Topic, "")
	case "heal":
		if at, err := w.s.Position(step.Topic); err == nil {
			c.ask("sub", step.Topic, fmt.Sprintf(`,"since":[%q,%d]`, at.Epoch, at.Seq-min(at.Seq, uint64(step.Number))))
		}
	case "alone":
		if c.handle.SendTopic(step.Topic, "alone") == nil {
			c.alone[step.Topic]++
		}
	case "tell":
		must(w.t, c.handle.Send(tank.Message{Data: []byte(strings.Repeat("x", 60))}))
		c.other++
	case "reset":
		must(w.t, w.s.Reset(step.Topic))
	}
	synctest.Wait()
}

func (c *loser) ask(what, topic, more string) {
	c.id++
	c.asked = append(c.asked, asked{c.id, what, topic})
	c.send(fmt.Sprintf(`{"id":%d,%q:%q%s}`, c.id, what, topic, more))
}

// look looks at what has come to a client.
func (w *losing) look(c *loser) error {
	for _, f := range c.take() {
		if err := w.understand(c, f.text); err != nil {
			return fmt.Errorf("got %.80s at %v: %w", f.text, c.at, err)
		}
	}
	return nil
}

func (w *losing) understand(c *loser, text string) error {
	if strings.HasPrefix(text, "[") {
		return w.publication(c, text)
	}
	var m said
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return err
	}
	at, has := c.at[m.Topic]
	switch {
	case m.ID > 0:
		return w.answer(c, m)
	case m.Msg != nil:
		c.other--
	case m.Reset != nil && has:
		c.at[m.Topic] = tank.Position(*m.Reset)
	case m.Lost == 0 || !has:
		return fmt.Errorf("what is that?")
	case m.Seq < at.Seq, m.Lost < m.Seq-at.Seq, m.Lost-(m.Seq-at.Seq) > c.alone[m.Topic]:
		return fmt.Errorf("it is not what is missing, and %d for it alone", c.alone[m.Topic])
	default:
		c.alone[m.Topic] -= m.Lost - (m.Seq - at.Seq)
		c.at[m.Topic] = tank.Position{Epoch: at.Epoch, Seq: m.Seq}
		c.lost += m.Lost
	}
	return nil
}

func (w *losing) publication(c *loser, text string) error {
	var parts []any
	if err := json.Unmarshal([]byte(text), &parts); err != nil || len(parts) != 3 {
		return fmt.Errorf("malformed: %w", err)
	}
	topic, seq, data := parts[0].(string), uint64(parts[1].(float64)), parts[2].(string)
	at, has := c.at[topic]
	switch {
	case !has:
		return fmt.Errorf("it has no subscription")
	case seq == 0:
		c.alone[topic]--
		return nil
	case seq != at.Seq+1:
		return fmt.Errorf("it does not come behind the one before")
	}
	at.Seq = seq
	c.at[topic] = at
	if published, known := w.log[at]; known && data != published || !strings.HasPrefix(data, topic) {
		return fmt.Errorf("%q was published", published)
	}
	w.log[at] = data // which a client has published, and no other client may get otherwise
	return nil
}

func (w *losing) answer(c *loser, m said) error {
	if len(c.asked) == 0 || c.asked[0].id != m.ID || m.OK == nil {
		return fmt.Errorf("asked were %+v", c.asked)
	}
	cmd := c.asked[0]
	c.asked = c.asked[1:]
	at, has := c.at[cmd.topic]
	switch cmd.what {
	case "unsub":
		delete(c.at, cmd.topic)
	case "pub":
		if has && *m.OK.Seq > at.Seq {
			return fmt.Errorf("its own publication has neither come nor is it lost")
		}
	default:
		seq := *m.OK.Seq
		if has && at != (tank.Position{Epoch: m.OK.Epoch, Seq: seq}) {
			return fmt.Errorf("what the topic had before has neither come nor is it lost")
		}
		if m.OK.From != nil {
			seq = *m.OK.From
		}
		c.at[cmd.topic] = tank.Position{Epoch: m.OK.Epoch, Seq: seq}
	}
	return nil
}

// complete looks whether everything has come, or was told to be lost, to a client that reads.
func (w *losing) complete(c *loser) error {
	for range 5 { // the answers to its commands come one by one
		time.Sleep(time.Second)
		if err := w.look(c); err != nil {
			return err
		}
	}
	if len(c.asked) > 0 {
		return fmt.Errorf("no answer to %+v", c.asked)
	}
	for topic, at := range c.at {
		if stands, err := w.s.Position(topic); err != nil || at != stands {
			return fmt.Errorf("stands at %v of %q, which stands at %v, %v", at, topic, stands, err)
		}
	}
	for topic, missing := range c.alone {
		if missing != 0 {
			return fmt.Errorf("%d messages of %q for it alone have neither come nor are they lost", missing, topic)
		}
	}
	if dropped := c.handle.Stats().Dropped; dropped != c.lost+c.other {
		return fmt.Errorf("%d messages were dropped, %d were told to be lost, and %d of no topic have not come", dropped, c.lost, c.other)
	}
	return nil
}
