package contender

import (
	"compress/flate"
	"context"
	"math"
	"net/http"

	"github.com/centrifugal/centrifuge"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
)

// centrifugeServer is a node as in centrifuge's README, with its JSON protocol: a subscriber gets the data in
// centrifuge's own envelope, several of them joined by newlines in one frame.
type centrifugeServer struct {
	http.Handler
	inbox
	node    *centrifuge.Node
	history int // messages that the memory broker keeps of each channel
}

func newCentrifuge(c Config) (Contender, error) {
	s := &centrifugeServer{history: c.History}
	node, err := centrifuge.New(centrifuge.Config{ClientQueueMaxSize: c.QueueBytes, ClientChannelLimit: math.MaxInt})
	if err != nil {
		return nil, err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: ""}}, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnMessage(func(centrifuge.MessageEvent) { s.take() })
		client.OnSubscribe(func(_ centrifuge.SubscribeEvent, reply centrifuge.SubscribeCallback) {
			reply(centrifuge.SubscribeReply{Options: centrifuge.SubscribeOptions{EnableRecovery: c.History > 0}}, nil)
		})
	})
	if c.Broker != "" {
		shard, err := centrifuge.NewRedisShard(node, centrifuge.RedisShardConfig{Address: c.Broker})
		if err != nil {
			return nil, err
		}
		broker, err := centrifuge.NewRedisBroker(node, centrifuge.RedisBrokerConfig{Shards: []*centrifuge.RedisShard{shard}})
		if err != nil {
			return nil, err
		}
		node.SetBroker(broker)
	}
	if err := node.Run(); err != nil {
		return nil, err
	}
	s.node = node
	s.Handler = centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		Compression:      c.Compression,
		CompressionLevel: flate.BestSpeed, // as the other Go contenders by default; zero would be none
		WriteTimeout:     writeTimeout,
		// Its pings are messages, not control frames, and would be counted.
		PingPongConfig: centrifuge.PingPongConfig{PingInterval: -1, PongTimeout: -1},
	})
	return s, nil
}

func (s *centrifugeServer) Publish(topic, data string) error {
	quoted := make([]byte, 0, len(data)+2)
	quoted = append(quoted, '"')
	quoted = append(quoted, payload.Escape(data)...)
	quoted = append(quoted, '"')
	var err error
	if s.history > 0 {
		_, err = s.node.Publish(topic, quoted, centrifuge.WithHistory(s.history, historyTime))
	} else {
		_, err = s.node.Publish(topic, quoted)
	}
	return err
}

func (s *centrifugeServer) Position(topic string) (Position, error) {
	r, err := s.node.History(topic, centrifuge.WithLimit(0))
	return Position{r.Epoch, r.Offset}, err
}

func (s *centrifugeServer) Subscriptions() int { return s.node.Hub().NumSubscriptions() }

func (s *centrifugeServer) Dropped() int { return 0 }
