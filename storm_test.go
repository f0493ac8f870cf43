package tank_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// step is one thing that happens in a storm: what, to which client, about which topic.
type step struct {
	What   string
	Client int
	Topic  string
}

var steps = rapid.Custom(func(t *rapid.T) step {
	return step{
		What: rapid.SampledFrom([]string{"connect", "subscribe", "subscribe", "unsubscribe", "publish", "publish", "publish by client",
			"broadcast", "freeze", "thaw", "cut", "close", "panic", "kick"}).Draw(t, "what"),
		Client: rapid.IntRange(0, 4).Draw(t, "client"),
		Topic:  rapid.SampledFrom([]string{"news", "中文", "a:b"}).Draw(t, "topic"),
	}
})

// TestStorm runs random steps against an instance and a model of it: a set of subscriptions and a queue of expected
// messages for each client. After each step everything observable has to agree.
func TestStorm(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		program := rapid.SliceOfN(steps, 1, 60).Draw(rt, "program")
		var failure error
		bubble(t, func(t *testing.T) { failure = newStorm(t).run(program) })
		if failure != nil {
			rt.Fatal(failure)
		}
	})
}

// storm is the model.
type storm struct {
	*server
	clients   map[int]*stormClient
	published map[string]int // number of the last message by topic
}

type stormClient struct {
	*peer
	topics   map[string]bool
	expected []string
	frozen   bool
}

func newStorm(t *testing.T) *storm {
	return &storm{
		server: serve(t,
			tank.WithPublishAuthorizer(func(*tank.Client, string) error { return nil }),
			tank.WithMessageHandler(func(*tank.Client, tank.Message) { panic("told to") })),
		clients:   make(map[int]*stormClient),
		published: make(map[string]int),
	}
}

func (s *storm) run(program []step) error {
	for i, step := range program {
		s.do(step)
		synctest.Wait()
		if err := s.check(); err != nil {
			return fmt.Errorf("after step %d %+v: %w", i, step, err)
		}
	}
	for i := range s.clients {
		s.clients[i].frozen = false
	}
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(within(s.t, time.Hour)) }()
	for i, c := range s.clients {
		if err := c.catchUp(); err != nil {
			return fmt.Errorf("client %d at the end: %w", i, err)
		}
		c.expectClose(1001)
	}
	return <-done
}

func (s *storm) do(step step) {
	c := s.clients[step.Client]
	if c == nil && step.What != "connect" && step.What != "publish" && step.What != "broadcast" {
		return
	}
	switch step.What {
	case "connect":
		if c == nil {
			s.clients[step.Client] = &stormClient{peer: s.dial(fmt.Sprint("u", step.Client)), topics: map[string]bool{}}
		}
	case "subscribe":
		c.send("sub:" + step.Topic)
		c.topics[step.Topic] = true
	case "unsubscribe":
		c.send("unsub:" + step.Topic)
		delete(c.topics, step.Topic)
	case "publish":
		must(s.t, s.BroadcastTopicMessage(step.Topic, s.message(step.Topic)))
	case "publish by client":
		c.send(fmt.Sprintf(`{"topic":%q,"data":%q}`, step.Topic, s.message(step.Topic)))
	case "broadcast":
		must(s.t, s.BroadcastMessage([]byte("to all")))
		for _, c := range s.clients {
			c.expected = append(c.expected, "to all")
		}
	case "freeze", "thaw":
		c.frozen = step.What == "freeze"
	default:
		s.end(step.What, c)
		delete(s.clients, step.Client)
	}
}

// message makes the next message of a topic and expects it wherever it should come.
func (s *storm) message(topic string) string {
	s.published[topic]++
	data := fmt.Sprint(s.published[topic])
	for _, c := range s.clients {
		if c.topics[topic] {
			c.expected = append(c.expected, fmt.Sprintf(`{"topic":%q,"data":%q}`, topic, data))
		}
	}
	return data
}

// end ends a connection in one of several ways. What was queued has to come before the close frame.
func (s *storm) end(how string, c *stormClient) {
	if how == "cut" {
		c.conn.Close()
		return
	}
	code := map[string]int{"close": 4000, "panic": 1011, "kick": 1000}[how]
	switch how {
	case "close":
		c.write(closeFrame(4000, ""))
	case "panic":
		c.send("anything")
	case "kick":
		if n := s.CloseClient(s.userOf(c)); n != 1 {
			s.t.Errorf("kicked %d", n)
		}
	}
	if err := c.catchUp(); err != nil {
		s.t.Error(err)
	}
	c.expectClose(code)
}

func (s *storm) userOf(c *stormClient) string {
	for i, other := range s.clients {
		if other == c {
			return fmt.Sprint("u", i)
		}
	}
	return ""
}

// check compares everything observable with the model.
func (s *storm) check() error {
	subscribers := map[string]int{}
	for i, c := range s.clients {
		for topic := range c.topics {
			subscribers[topic]++
		}
		if c.frozen {
			continue
		}
		if err := c.catchUp(); err != nil {
			return fmt.Errorf("client %d: %w", i, err)
		}
		c.expectNothing()
	}
	if got := s.GetClientCount(); got != len(s.clients) {
		return fmt.Errorf("%d clients, want %d", got, len(s.clients))
	}
	var live []string
	for _, topic := range s.GetAllTopics() {
		live = append(live, topic.Name)
		if topic.Subscribers != subscribers[topic.Name] || s.GetTopicSubscriberCount(topic.Name) != topic.Subscribers {
			return fmt.Errorf("%q has %d subscribers, want %d", topic.Name, topic.Subscribers, subscribers[topic.Name])
		}
	}
	if want := slices.Sorted(maps.Keys(subscribers)); !slices.Equal(live, want) {
		return fmt.Errorf("live topics are %q, want %q", live, want)
	}
	return nil
}

// catchUp reads the messages that are expected and nothing else.
func (c *stormClient) catchUp() error {
	for _, want := range c.expected {
		if _, got := c.next(); got != want {
			return fmt.Errorf("got %s, want %s", got, want)
		}
	}
	c.expected = nil
	return nil
}
