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
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// The topics of the model, by what they keep. None of them is ever without the first letter of its name.
var modelTopics = []string{"off", "few", "small", "short", "all"}

const (
	modelMessages = 5
	modelBytes    = 2000
	modelAge      = 60 * time.Second
	modelTotal    = 64 << 10 // and so 8 topics linger at most
	modelOutbox   = 32 << 10 // half of which a replay may have
)

// resumer is a client of the model.
type resumer struct {
	*peer
	id     int
	at     map[string]tank.Position // where it stands, by topic it has subscribed to
	left   map[string]time.Time     // when its subscription ended without an unsub; zero: it lasts
	nextID int
}

// world is what the model knows: all that was published, and who has seen what.
type world struct {
	t       *testing.T
	s       *server
	opts    []tank.Option
	log     map[string]map[string][]string // by topic and epoch: data by number, from 1 on
	clients []*resumer
	evicted time.Time       // when what topics keep was last over the limit
	ended   map[string]bool // epochs that a reset or a restart has ended
	n       int
}

func (w *world) serve() {
	w.s = serve(w.t, w.opts...)
}

// TestNothingIsMissedOrSaidToBe runs random programs of publications, cuts, resumes, pauses, evictions, resets and restarts. Whoever is
// told that it has recovered gets each message once and in order; whoever is not has missed something, or cannot know.
func TestNothingIsMissedOrSaidToBe(t *testing.T) {
	t.Parallel() // its time is that of bubbles
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(drawResumeStep), 10, 60).Draw(rt, "steps")
		var failure string
		synctest.Test(t, func(t *testing.T) {
			w := &world{t: t, log: map[string]map[string][]string{}, ended: map[string]bool{}, opts: []tank.Option{
				atWill, tank.WithLimits(tank.Limits{TotalHistoryBytes: modelTotal, OutboxBytes: modelOutbox, MessagesPerSecond: 1 << 30, MessageBurst: 1 << 30}),
				tank.WithTopics("few", tank.TopicOptions{History: tank.History{Messages: modelMessages}}),
				tank.WithTopics("small", tank.TopicOptions{History: tank.History{Bytes: modelBytes}}),
				tank.WithTopics("short", tank.TopicOptions{History: tank.History{Age: modelAge}}),
				tank.WithTopics("all", tank.TopicOptions{History: tank.History{Messages: 1 << 20, Bytes: 1 << 20}}),
				tank.WithTopics("filler*", tank.TopicOptions{History: tank.History{Bytes: 1 << 20}}),
			}}
			w.serve()
			for i := range 3 {
				w.clients = append(w.clients, &resumer{id: i, at: map[string]tank.Position{}, left: map[string]time.Time{}})
				w.connect(w.clients[i])
				for _, topic := range modelTopics {
					must(t, w.subscribe(w.clients[i], topic, ""))
				}
			}
			for i, step := range steps {
				if err := w.do(step); err != nil {
					failure = fmt.Sprintf("step %d %+v: %v", i+1, step, err)
					return
				}
			}
			for _, c := range w.clients { // in the end, everybody comes back
				w.cut(c)
				w.connect(c)
				if err := w.resume(c); err != nil {
					failure = fmt.Sprint("at the end: ", err)
					return
				}
			}
		})
		if failure != "" {
			rt.Fatal(failure)
		}
	})
}

type resumeStep struct {
	Do     string
	Client int
	Topic  string
	Number int
}

func drawResumeStep(t *rapid.T) resumeStep {
	return resumeStep{
		Do: rapid.SampledFrom([]string{"publish", "publish", "publish", "sub", "sub", "unsub", "cut", "resume", "absence", "absence", "heal", "slow", "pause", "position",
			"evict", "reset", "restart"}).Draw(t, "do"),
		Client: rapid.IntRange(0, 2).Draw(t, "client"),
		Topic:  rapid.SampledFrom(modelTopics).Draw(t, "topic"),
		Number: rapid.SampledFrom([]int{0, 1, 2, 3, 5, 6, 7, 20}).Draw(t, "number"),
	}
}

func (w *world) do(step resumeStep) error {
	c := w.clients[step.Client]
	switch step.Do {
	case "publish":
		for range step.Number {
			if err := w.publish(step.Topic); err != nil {
				return err
			}
		}
		return w.drainAll()
	case "sub":
		if _, has := c.at[step.Topic]; c.peer != nil && !has {
			return w.subscribe(c, step.Topic, "")
		}
	case "slow": // nobody reads, and whoever is subscribed is closed
		for range 300 {
			if err := w.publish(step.Topic); err != nil {
				return err
			}
		}
		return w.drainAll()
	case "unsub":
		if _, has := c.at[step.Topic]; c.peer != nil && has {
			c.nextID++
			c.send(fmt.Sprintf(`{"id":%d,"unsub":%q}`, c.nextID, step.Topic))
			c.expect(fmt.Sprintf(`{"id":%d,"ok":{}}`, c.nextID))
			delete(c.at, step.Topic)
		}
	case "cut":
		w.cut(c)
	case "resume", "absence":
		w.cut(c)
		for range step.Number {
			if step.Do == "resume" {
				break
			}
			if err := w.publish(step.Topic); err != nil {
				return err
			}
		}
		if err := w.drainAll(); err != nil {
			return err
		}
		w.connect(c)
		return w.resume(c)
	case "heal":
		if at, has := c.at[step.Topic]; c.peer != nil && has {
			at.Seq -= min(at.Seq, uint64(step.Number))
			c.at[step.Topic] = at
			return w.subscribe(c, step.Topic, fmt.Sprintf(`,"since":[%q,%d]`, at.Epoch, at.Seq))
		}
	case "pause":
		w.sleep(time.Duration(step.Number) * 10 * time.Second)
	case "position":
		_, err := w.s.Position(step.Topic)
		return err
	case "evict":
		w.evicted = time.Now()
		for i := range 3 {
			must(w.t, w.s.Publish(context.Background(), fmt.Sprint("filler", i), strings.Repeat("x", modelTotal/2)))
			synctest.Wait()
		}
		if kept := w.s.Stats().HistoryMemory; kept > modelTotal {
			return fmt.Errorf("%d bytes are kept", kept)
		}
	case "reset":
		w.end(step.Topic)
		must(w.t, w.s.Reset(step.Topic))
		return w.drainAll()
	case "restart":
		for _, c := range w.clients {
			w.cut(c)
		}
		for _, topic := range modelTopics {
			w.end(topic)
		}
		must(w.t, w.s.Shutdown(context.Background()))
		w.serve()
		for _, c := range w.clients {
			w.connect(c)
			if err := w.resume(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// sleep lets time pass, and the clients answer pings.
func (w *world) sleep(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(min(5*time.Second, time.Until(end)))
		if err := w.drainAll(); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) publish(topic string) error {
	w.n++
	if w.s.Stats().HistoryMemory > modelTotal*3/4 {
		w.evicted = time.Now()
	}
	data := fmt.Sprint("message ", w.n, strings.Repeat(".", w.n%7*40))
	at, err := w.s.PublishMessage(context.Background(), tank.Publication{Topic: topic, Data: data})
	if err != nil || at == (tank.Position{}) {
		return err
	}
	if w.log[topic] == nil {
		w.log[topic] = map[string][]string{}
	}
	of := w.log[topic]
	if uint64(len(of[at.Epoch]))+1 != at.Seq {
		return fmt.Errorf("%s: published as %v behind %d others", topic, at, len(of[at.Epoch]))
	}
	of[at.Epoch] = append(of[at.Epoch], data)
	return nil
}

func (w *world) cut(c *resumer) {
	if c.peer == nil {
		return
	}
	if err := w.drain(c); err != nil {
		w.t.Fatal(err)
	}
	w.gone(c)
}

func (w *world) gone(c *resumer) {
	if c.peer != nil {
		c.conn.Close()
		c.peer = nil
		synctest.Wait()
		for topic := range c.at {
			c.left[topic] = time.Now()
		}
	}
}

func (w *world) connect(c *resumer) {
	if c.peer == nil {
		c.peer = w.s.dial2(fmt.Sprint("c", c.id), 4096)
	}
}

func (w *world) resume(c *resumer) error {
	for topic, at := range c.at {
		if err := w.subscribe(c, topic, fmt.Sprintf(`,"since":[%q,%d]`, at.Epoch, at.Seq)); err != nil {
			return fmt.Errorf("client %d, %s: %w", c.id, topic, err)
		}
	}
	return nil
}

// subscribe subscribes, and checks the answer and what is replayed.
func (w *world) subscribe(c *resumer, topic, more string) error {
	if err := w.drain(c); err != nil {
		return err
	}
	c.nextID++
	c.send(fmt.Sprintf(`{"id":%d,"sub":%q%s}`, c.nextID, topic, more))
	synctest.Wait()
	_, text := c.next()
	var reply struct {
		ID uint64
		OK struct {
			Epoch, Why string
			Seq, From  uint64
			Recovered  *bool
		}
	}
	if err := json.Unmarshal([]byte(text), &reply); err != nil || int(reply.ID) != c.nextID || reply.OK.Epoch == "" {
		return fmt.Errorf("answered %s", text)
	}
	ok := reply.OK
	if all := w.log[topic][ok.Epoch]; ok.Seq != uint64(len(all)) {
		return fmt.Errorf("answered %s, and %d were published", text, len(all))
	}
	before, had := c.at[topic]
	c.at[topic] = tank.Position{Epoch: ok.Epoch, Seq: ok.Seq}
	if more != "" && had {
		if ok.Recovered == nil {
			return fmt.Errorf("answered %s", text)
		}
		if *ok.Recovered {
			if ok.Epoch != before.Epoch || ok.From != before.Seq {
				return fmt.Errorf("recovered from %+v: %s", before, text)
			}
			if topic == "few" && ok.Seq-ok.From > modelMessages {
				return fmt.Errorf("more is kept than the limit in messages: %s", text)
			}
			c.at[topic] = before
		} else if err := w.checkNotRecovered(c, topic, before, ok.Epoch, ok.Why, ok.Seq); err != nil {
			return fmt.Errorf("%w: %s", err, text)
		}
	}
	delete(c.left, topic)
	if err := w.drain(c); err != nil {
		return err
	}
	if c.at[topic].Seq != ok.Seq {
		return fmt.Errorf("stands at %v behind the replay: %s", c.at[topic], text)
	}
	return nil
}

// checkNotRecovered says why a client should have recovered.
func (w *world) checkNotRecovered(c *resumer, topic string, before tank.Position, epoch, why string, seq uint64) error {
	lost := w.evicted.After(c.left[topic].Add(-time.Nanosecond)) && !c.left[topic].IsZero()
	if why == "epoch" {
		if epoch == before.Epoch {
			return fmt.Errorf("it is the same epoch")
		}
		if left := c.left[topic]; before.Seq > 0 && !lost && !left.IsZero() && time.Since(left) < 2*time.Minute && !w.ended[before.Epoch] {
			return fmt.Errorf("the topic did not linger")
		}
		return nil
	}
	if epoch != before.Epoch {
		return fmt.Errorf("it is another epoch, and why is %s", why)
	}
	page, err := w.s.History(context.Background(), topic, tank.Position{}, 0)
	if err != nil {
		return err
	}
	low := page.First.Seq
	if len(page.Messages) == 0 {
		low = seq + 1
	}
	if missed := w.bytes(topic, epoch, before.Seq); before.Seq+1 >= low && missed <= modelOutbox/2 {
		return fmt.Errorf("nothing is missing: since %d, and %d is kept", before.Seq, low)
	}
	if w.bytes(topic, epoch, before.Seq) > modelOutbox/2 {
		return nil // which is too much for a replay
	}
	switch kept := seq - before.Seq; {
	case topic == "off":
	case topic == "few" && kept <= modelMessages && w.evicted.IsZero():
		return fmt.Errorf("%d messages should be kept", kept)
	case topic == "all" && w.evicted.IsZero():
		return fmt.Errorf("all messages should be kept")
	}
	return nil
}

// bytes is how long the frames are that a client at a number has missed.
func (w *world) bytes(topic, epoch string, since uint64) (n int) {
	for i, data := range w.log[topic][epoch] {
		if uint64(i) >= since {
			payload := len(fmt.Sprintf("[%q,%d,%q]", topic, i+1, data))
			n += wire.HeaderLen(byte(min(payload, 126))) + payload
		}
	}
	return n
}

// end notes that the epochs of a topic are over.
func (w *world) end(topic string) {
	for epoch := range w.log[topic] {
		w.ended[epoch] = true
	}
}

func (w *world) drainAll() error {
	synctest.Wait()
	for _, c := range w.clients {
		if err := w.drain(c); err != nil {
			return err
		}
	}
	return nil
}

// drain takes all that has come to a client, and checks each publication.
func (w *world) drain(c *resumer) error {
	if c.peer == nil {
		return nil
	}
	for {
		synctest.Wait()
		if c.conn.R.Buffered()+len(c.conn.Conn.(*memnet.Conn).Buffered()) == 0 {
			return nil
		}
		op, text, err := c.receive()
		switch {
		case err != nil:
			return fmt.Errorf("client %d: %w", c.id, err)
		case op == opPing:
			c.write(frame(opPong, text))
		case op == opClose && text[:2] == "\x03\xf5": // 1013
			w.gone(c)
			return nil
		case text == "{}", strings.HasPrefix(text, `{"bye":{"code":1013,`):
		case strings.HasPrefix(text, "["):
			if err := w.take(c, text); err != nil {
				return fmt.Errorf("client %d: %w", c.id, err)
			}
		default:
			var notice struct {
				Topic string
				Reset struct {
					Epoch string
					Seq   uint64
				}
			}
			if json.Unmarshal([]byte(text), &notice) != nil || notice.Reset.Epoch == "" {
				return fmt.Errorf("client %d got %s", c.id, text)
			}
			c.at[notice.Topic] = tank.Position(notice.Reset)
		}
	}
}

func (w *world) take(c *resumer, text string) error {
	var parts []any
	if err := json.Unmarshal([]byte(text), &parts); err != nil || len(parts) != 3 {
		return fmt.Errorf("got %s", text)
	}
	topic, seq, data := parts[0].(string), uint64(parts[1].(float64)), parts[2]
	at := c.at[topic]
	all := w.log[topic][at.Epoch]
	if seq != at.Seq+1 || seq > uint64(len(all)) || data != all[seq-1] {
		return fmt.Errorf("got %s at %v", text, at)
	}
	at.Seq = seq
	c.at[topic] = at
	return nil
}
