package contender

import (
	"net/http"

	"github.com/lxzan/gws"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
)

// gwsServer uses the Broadcaster of gws's README, section "Broadcast". Its queues have no limit. ParallelEnabled, which
// the README also shows, stays off: a connection's commands must be obeyed in order.
type gwsServer struct {
	gws.BuiltinEventHandler
	upgrader *gws.Upgrader
	index    *index[*gws.Conn]
}

func newGWS(c Config) (Contender, error) {
	s := &gwsServer{index: newIndex[*gws.Conn]()}
	s.upgrader = gws.NewUpgrader(s, &gws.ServerOption{
		Recovery:          gws.Recovery,
		PermessageDeflate: gws.PermessageDeflate{Enabled: c.Compression},
	})
	return s, nil
}

func (s *gwsServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := s.upgrader.Upgrade(w, r)
	if err != nil {
		return
	}
	go conn.ReadLoop() // in a goroutine of its own, so that net/http's can end, as the README says
}

func (s *gwsServer) OnPing(c *gws.Conn, data []byte) { _ = c.WritePong(data) }

func (s *gwsServer) OnClose(c *gws.Conn, _ error) { s.index.leave(c) }

func (s *gwsServer) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	s.index.handle(c, m.Bytes())
}

func (s *gwsServer) Publish(topic, data string) (err error) {
	b := gws.NewBroadcaster(gws.OpcodeText, payload.AppendEnvelope(nil, topic, data))
	defer b.Close()
	s.index.with(topic, func(conns []*gws.Conn) {
		for _, c := range conns {
			if e := b.Broadcast(c); e != nil {
				err = e
			}
		}
	})
	return err
}

func (s *gwsServer) Subscriptions() int { return s.index.subscriptions() }

func (s *gwsServer) Dropped() int { return 0 }

func (s *gwsServer) Received() int { return s.index.Received() }
