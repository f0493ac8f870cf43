package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
	"github.com/fanqie/tank-websocket-go-server/soak/internal/check"
)

// patience is how long a healthy client waits for what has to come.
const patience = 30 * time.Second

// client is a healthy one. How does it know that its subscription has taken effect? It publishes to the topic behind its
// "sub:", on the same connection; the server handles one message at a time, so the publication comes back. From this first
// mark on it must see what the topic's witness sees. In the same way a mark before "unsub:" must come back, and one behind
// it must not.
type client struct {
	*peer
	random  *rand.Rand
	ledger  *check.Ledger         // of all witnesses
	numbers map[string]uint64     // of the last own publication, by topic
	marks   map[string]check.Mark // the last one of each topic that it is subscribed to
	echo    int                   // number of the last
}

func (r *run) newClient(random *rand.Rand) (*client, error) {
	p, err := r.connect(fmt.Sprint("healthy", r.users.Add(1)), 0)
	if err != nil {
		return nil, err
	}
	return &client{peer: p, random: random, ledger: r.ledger, numbers: make(map[string]uint64), marks: make(map[string]check.Mark)}, nil
}

// next is the next message to publish to a topic.
func (c *client) next(topic string) check.Message {
	c.numbers[topic]++
	return check.Message{Topic: topic, Publisher: c.who, Seq: c.numbers[topic]}
}

func (c *client) publish(m check.Message) error {
	return c.Send(wstest.Text, m.Envelope(32+c.random.IntN(200)))
}

// subscribe returns when the subscription is known to have taken effect.
func (c *client) subscribe(topic string) error {
	c.begin(topic)
	if err := c.Send(wstest.Text, "sub:"+topic); err != nil {
		return err
	}
	m, err := c.mark(topic)
	c.marks[topic] = m
	return err
}

// mark publishes a message and waits until it has come to this subscriber and to the topic's witness.
func (c *client) mark(topic string) (check.Mark, error) {
	m := c.next(topic)
	own, witness := c.expectOwn(m), c.ledger.Expect(m)
	defer c.ledger.Forget(m)
	if err := c.publish(m); err != nil {
		return check.Mark{}, err
	}
	ours, err := wait(c, own)
	if err != nil {
		return check.Mark{}, fmt.Errorf("%v does not come back: %w", m, err)
	}
	theirs, err := wait(c, witness)
	if err != nil {
		return check.Mark{}, fmt.Errorf("%v does not come to the witness: %w", m, err)
	}
	return check.Mark{Stream: ours, Ledger: theirs}, nil
}

// verify checks what came since the last mark.
func (c *client) verify(topic string) error {
	m, err := c.mark(topic)
	if err != nil {
		return err
	}
	c.tally.Compare(c.who, topic, c.marks[topic], m)
	c.marks[topic] = m
	return nil
}

// unsubscribe ends a subscription and checks where it ended. Queued messages may still arrive after "unsub:". They
// have arrived when the witness has seen the messages published after it, and then an echo has overtaken nothing.
func (c *client) unsubscribe(topic string) error {
	if err := c.verify(topic); err != nil {
		return err
	}
	if err := c.Send(wstest.Text, "unsub:"+topic); err != nil {
		return err
	}
	m := c.next(topic)
	witness := c.ledger.Expect(m)
	defer c.ledger.Forget(m)
	if err := c.publish(m); err != nil {
		return err
	}
	after, err := wait(c, witness)
	if err != nil {
		return fmt.Errorf("%v does not come to the witness: %w", m, err)
	}
	if err := c.ask(); err != nil {
		return err
	}
	c.tally.CompareEnd(c.who, topic, c.marks[topic], check.Mark{Stream: c.end(topic), Ledger: after})
	delete(c.marks, topic)
	return nil
}

// ask sends a message to the server's message handler and waits for the answer.
func (c *client) ask() error {
	c.echo++
	payload := fmt.Sprint("echo ", c.echo, string(make([]byte, c.random.IntN(1000))))
	answer := c.expectEcho(payload)
	if err := c.Send(wstest.Binary, payload); err != nil {
		return err
	}
	_, err := wait(c, answer)
	if err != nil {
		return fmt.Errorf("no answer of the message handler: %w", err)
	}
	return nil
}

var (
	errEnded = errors.New("the connection has ended")
	errLate  = fmt.Errorf("not within %v", patience)
)

// wait waits for something that has to come on a connection that has to last.
func wait[T any](c *client, what <-chan T) (T, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v := <-what:
		return v, nil
	case <-c.over:
		var none T
		return none, errEnded
	case <-timer.C:
		var none T
		return none, errLate
	}
}

// sleep waits, and returns false when the context or the connection has ended.
func (c *client) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.over:
	case <-ctx.Done():
	}
	return false
}
