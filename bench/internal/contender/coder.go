package contender

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/coder/websocket"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
)

// coderQueue is subscriberMessageBuffer of coder/websocket's example chat.
const coderQueue = 16

// coderServer is coder/websocket's example chat: a channel for each subscriber and Conn.Write of each message. The
// example's rate limiter is left out, and so is its CloseRead, because subscribers speak here.
type coderServer struct {
	queue       int
	compression websocket.CompressionMode
	index       *index[*coderSubscriber]
	dropped     atomic.Int64
}

type coderSubscriber struct {
	msgs      chan []byte
	closeSlow func()
}

func newCoder(c Config) (Contender, error) {
	s := &coderServer{queue: c.queue(coderQueue), index: newIndex[*coderSubscriber]()}
	if c.Compression {
		s.compression = websocket.CompressionNoContextTakeover
	}
	return s, nil
}

func (s *coderServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: s.compression})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	sub := &coderSubscriber{
		msgs:      make(chan []byte, s.queue),
		closeSlow: func() { conn.Close(websocket.StatusPolicyViolation, "connection too slow to keep up with messages") },
	}
	defer s.index.leave(sub)
	ctx, cancel := context.WithCancel(r.Context())
	go func() {
		defer cancel()
		for {
			_, message, err := conn.Read(ctx)
			if err != nil {
				return
			}
			s.index.handle(sub, message)
		}
	}()
	for {
		select {
		case msg := <-sub.msgs:
			if writeWithTimeout(ctx, conn, msg) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func writeWithTimeout(ctx context.Context, c *websocket.Conn, msg []byte) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return c.Write(ctx, websocket.MessageText, msg)
}

func (s *coderServer) Publish(topic, data string) error {
	message := payload.AppendEnvelope(nil, topic, data)
	s.index.with(topic, func(subs []*coderSubscriber) {
		for _, sub := range subs {
			select {
			case sub.msgs <- message:
			default: // the example's policy: a full queue ends the connection
				s.dropped.Add(1)
				go sub.closeSlow()
			}
		}
	})
	return nil
}

func (s *coderServer) Subscriptions() int { return s.index.subscriptions() }

func (s *coderServer) Dropped() int { return int(s.dropped.Load()) }

func (s *coderServer) Received() int { return s.index.Received() }
