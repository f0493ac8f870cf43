package contender

import (
	"net/http"
	"sync/atomic"

	"github.com/olahol/melody"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
)

// melodyServer uses BroadcastMultiple, melody's way to reach some of its sessions when the application knows which.
// BroadcastFilter would look at every session for every message.
type melodyServer struct {
	*melody.Melody
	index   *index[*melody.Session]
	dropped atomic.Int64
}

func newMelody(c Config) (Contender, error) {
	s := &melodyServer{Melody: melody.New(), index: newIndex[*melody.Session]()}
	s.Config.MessageBufferSize = c.queue(s.Config.MessageBufferSize)
	if c.Message > 0 {
		s.Config.MaxMessageSize = int64(c.Message)
	}
	s.Config.WriteWait = writeTimeout
	s.Upgrader.EnableCompression = c.Compression
	s.HandleMessage(func(session *melody.Session, message []byte) { s.index.handle(session, message) })
	s.HandleDisconnect(func(session *melody.Session) { s.index.leave(session) })
	s.HandleError(func(*melody.Session, error) { s.dropped.Add(1) })
	return s, nil
}

func (s *melodyServer) ServeHTTP(w http.ResponseWriter, r *http.Request) { _ = s.HandleRequest(w, r) }

func (s *melodyServer) Publish(topic, data string) (err error) {
	message := payload.AppendEnvelope(nil, topic, data)
	s.index.with(topic, func(sessions []*melody.Session) { err = s.BroadcastMultiple(message, sessions) })
	return err
}

func (s *melodyServer) Subscriptions() int { return s.index.subscriptions() }

func (s *melodyServer) Dropped() int { return int(s.dropped.Load()) }

func (s *melodyServer) Received() int { return s.index.Received() }
