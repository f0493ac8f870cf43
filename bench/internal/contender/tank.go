package contender

import (
	"math"
	"net/http"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	natsbroker "github.com/fanqie/tank-websocket-go-server/broker/nats"
)

// historyBytes is more than the messages of any measurement have, which are counted.
const historyBytes = 256 << 20

// brokerHistory is how many messages JetStream keeps of each topic, and an instance does.
const brokerHistory = 1000

var modes = map[string]natsbroker.Mode{"": natsbroker.Core, "confirmed": natsbroker.Confirmed, "jetstream": natsbroker.JetStream}

// tankServer is this library.
type tankServer struct {
	*tank.Manager
	*inbox
}

func newTank(c Config) (Contender, error) {
	received := &inbox{}
	opts := []tank.Option{tank.WithMessageHandler(func(*tank.Client, tank.Message) { received.take() }), tank.WithLimits(tank.Limits{
		OutboxBytes: c.QueueBytes,
		// The others have no limits on these: what is measured is how fast it goes, and not how fast it may.
		Connections: math.MaxInt, Subscriptions: math.MaxInt,
		MessagesPerSecond: math.MaxInt, MessageBurst: math.MaxInt, PingsPerSecond: math.MaxInt, PingBurst: math.MaxInt,
	})}
	if c.Compression {
		opts = append(opts, tank.WithUpgrader(tank.Upgrader{EnableCompression: true}))
	}
	if c.Mode == "jetstream" && c.History == 0 {
		c.History = brokerHistory
	}
	if c.History > 0 {
		history := tank.History{Messages: c.History, Bytes: historyBytes, Age: historyTime}
		opts = append(opts, tank.WithTopics("*", tank.TopicOptions{History: history}))
	}
	if c.Broker != "" {
		b, err := natsbroker.New(natsbroker.Options{URL: "nats://" + c.Broker, Mode: modes[c.Mode]})
		if err != nil {
			return nil, err
		}
		opts = append(opts, tank.WithBroker(b))
	}
	m := tank.NewInstance(opts...)
	go m.Start()
	for deadline := time.Now().Add(readyTime); m.Ready() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return nil, m.Ready()
		}
	}
	return tankServer{m, received}, nil
}

// readyTime is how long it may take to be connected with NATS.
const readyTime = 5 * time.Second

func (t tankServer) ServeHTTP(w http.ResponseWriter, r *http.Request) { t.Manager.ServeHTTP(w, r) }

func (t tankServer) Publish(topic, data string) error { return t.BroadcastTopicMessage(topic, data) }

func (t tankServer) Position(topic string) (Position, error) {
	p, err := t.Manager.Position(topic)
	return Position{p.Epoch, p.Seq}, err
}

func (t tankServer) Subscriptions() int {
	n := 0
	for _, topic := range t.GetAllTopics() {
		n += topic.Subscribers
	}
	return n
}

func (t tankServer) Dropped() int {
	s := t.Stats()
	return int(s.Dropped + s.Evicted)
}
