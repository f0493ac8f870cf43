package load

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
	"github.com/fanqie/tank-websocket-go-server/soak/internal/check"
	"github.com/fanqie/tank-websocket-go-server/soak/internal/server"
)

const (
	// think is the mean time between two things that a client does.
	think = 500 * time.Millisecond
	// mostTopics is how many a client is subscribed to at a time.
	mostTopics = 8
	// One client of churners connects anew after a life of up to longestLife, the others stay.
	churners    = 3
	longestLife = 10 * time.Second
)

// healthy keeps a client connected until the load ends, and returns the last one, which stays to see the shutdown.
func (r *run) healthy(acting context.Context, slot int) *client {
	random := r.random(slot)
	for acting.Err() == nil {
		c, err := r.newClient(random)
		if err != nil {
			if acting.Err() == nil {
				r.tally.Other("a healthy client cannot connect: %v", err)
				time.Sleep(think)
			}
			continue
		}
		go c.read()
		life, cancel := acting, context.CancelFunc(func() {})
		if slot%churners == 0 {
			life, cancel = context.WithTimeout(acting, time.Duration(random.Int64N(int64(longestLife))))
		}
		err = c.live(life, r.topics)
		cancel()
		switch {
		case err != nil:
		case acting.Err() != nil:
			if err = c.settle(); err == nil {
				return c
			}
		default:
			err = c.leave()
		}
		if err != nil {
			c.fail(err)
		}
	}
	return nil
}

// fail ends a client that did not get what it should.
func (c *client) fail(why error) {
	c.Close()
	<-c.over
	c.tally.Other("%s: %v; its connection ended with %d", c.who, why, c.code)
}

// live does what clients do.
func (c *client) live(ctx context.Context, topics []string) error {
	for c.sleep(ctx, time.Duration(c.random.Int64N(int64(2*think)))) {
		if err := c.act(topics[c.random.IntN(len(topics))]); err != nil {
			return err
		}
	}
	if ctx.Err() == nil {
		return errEnded
	}
	return nil
}

// act does one thing, mostly about this topic.
func (c *client) act(topic string) error {
	_, subscribed := c.marks[topic]
	switch n := c.random.IntN(10); {
	case n < 4 && !subscribed && len(c.marks) < mostTopics:
		return c.subscribe(topic)
	case n < 4 && len(c.marks) > 0:
		return c.unsubscribe(c.anyOwn())
	case n < 6 && len(c.marks) > 0:
		return c.verify(c.anyOwn())
	case n < 7:
		return c.ask()
	}
	for range c.random.IntN(10) {
		if err := c.publish(c.next(topic)); err != nil {
			return err
		}
	}
	return nil
}

// anyOwn is one of the topics that it is subscribed to.
func (c *client) anyOwn() string {
	own := slices.Sorted(maps.Keys(c.marks))
	return own[c.random.IntN(len(own))]
}

// settle comes to rest: everything that it was to see until now has come, and it goes on listening.
func (c *client) settle() error {
	if err := c.verifyAll(); err != nil {
		return err
	}
	if _, err := wait(c, c.firstBroadcast); err != nil {
		return fmt.Errorf("no broadcast came: %w", err)
	}
	return nil
}

func (c *client) verifyAll() error {
	for _, topic := range slices.Sorted(maps.Keys(c.marks)) {
		if err := c.verify(topic); err != nil {
			return err
		}
	}
	return nil
}

// leave ends the connection in one of several ways.
func (c *client) leave() error {
	switch c.random.IntN(4) {
	case 0:
		c.Reset()
	case 1:
		c.Close()
	default:
		if err := c.verifyAll(); err != nil {
			return err
		}
		if err := c.Send(wstest.Close, "\x03\xe8done"); err != nil {
			return err
		}
		if _, err := wait(c, c.over); err == errLate {
			return err
		}
		if c.code != 1000 {
			c.tally.Other("%s: closed with %d, not with the 1000 that it sent", c.who, c.code)
		}
	}
	<-c.over
	return nil
}

// finish checks, when the server has ended, that the client saw everything to the end.
func (c *client) finish(ledger *check.Ledger, end *server.End) {
	if c.code != 1001 {
		c.tally.Other("%s: the shutdown closed it with %d, not with 1001", c.who, c.code)
	}
	for topic, mark := range c.marks {
		c.tally.Compare(c.who, topic, mark, check.Mark{Stream: c.streams[topic].Position(), Ledger: ledger.Position(topic)})
	}
	c.broadcasts.EndsWith(check.Message{Publisher: check.Broadcaster, Seq: end.Published[""][check.Broadcaster]})
}

// random is the source of one client's decisions.
func (r *run) random(slot int) *rand.Rand { return rand.New(rand.NewPCG(r.config.Seed, uint64(slot))) }
