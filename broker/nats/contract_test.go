package natsbroker

import (
	"log/slog"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/fanqie/tank-websocket-go-server/broker"
	"github.com/fanqie/tank-websocket-go-server/broker/brokertest"
)

func TestContract(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			brokertest.Run(t, brokertest.Implementation{
				Open:      func(t testing.TB) brokertest.Group { return openGroup(t, mode) },
				Confirmed: mode == Confirmed,
				Largest:   200_000,
			})
		})
	}
}

// openGroup begins a server that each node has a way of its own to.
func openGroup(t testing.TB, mode Mode) brokertest.Group {
	s := startServer(t, func(o *server.Options) { o.MaxPayload = 200_000 })
	var free []*proxy // made now, to end after the nodes
	for range 8 {
		free = append(free, newProxy(t, s.addr()))
	}
	ways := make(map[broker.Broker]*proxy)
	return brokertest.Group{
		Node: func(t testing.TB) broker.Broker {
			p := free[0]
			free = free[1:]
			b, err := New(Options{URL: p.url(), Mode: mode, Logger: slog.New(slog.DiscardHandler)})
			must(t, err)
			ways[b] = p
			return b
		},
		Break: s.stop,
		Heal:  s.start,
		Cut:   func(b broker.Broker) { ways[b].cut() },
		Mend:  func(b broker.Broker) { ways[b].heal() },
	}
}
