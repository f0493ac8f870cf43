package natsbroker

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

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

// TestContractOfJetStream is that of a Historian, with both kinds of storage.
func TestContractOfJetStream(t *testing.T) {
	for name, stream := range storages {
		if stream.Memory && slowdown > 1 {
			continue // with the race detector, one has to do
		}
		stream.Duplicates = 4 * time.Second // half of that is what some cases wait for
		t.Run(name, func(t *testing.T) {
			brokertest.Run(t, brokertest.Implementation{
				Open: func(t testing.TB) brokertest.Group {
					return openKeepingGroup(t, Options{Mode: JetStream, Stream: stream})
				},
				Keeps: true, Confirmed: true, // the numbers of what is kept are one order; what is not kept has none
				Largest: 200_000 - keptHead,
			})
		})
	}
}

// openKeepingGroup is openGroup for a stream. A server that is away keeps its files, and nothing else.
func openKeepingGroup(t testing.TB, o Options) brokertest.Group {
	s := startServer(t, withJetStream(t), func(so *server.Options) { so.MaxPayload = 200_000 })
	g := groupOf(t, s, o)
	g.Forget = func(name string) {
		nc := plainClient(t, s.url())
		defer nc.Close()
		js, err := jetstream.New(nc)
		must(t, err)
		stream, err := js.Stream(timeout(t, patience), "tank")
		must(t, err)
		must(t, stream.Purge(timeout(t, patience), jetstream.WithPurgeSubject("tank.p."+token(name))))
	}
	return g
}

// openGroup begins a server that each node has a way of its own to.
func openGroup(t testing.TB, mode Mode) brokertest.Group {
	return groupOf(t, startServer(t, func(o *server.Options) { o.MaxPayload = 200_000 }), Options{Mode: mode})
}

func groupOf(t testing.TB, s *natsServer, o Options) brokertest.Group {
	var free []*proxy // made now, to end after the nodes
	for range 8 {
		free = append(free, newProxy(t, s.addr()))
	}
	ways := make(map[broker.Broker]*proxy)
	return brokertest.Group{
		Node: func(t testing.TB) broker.Broker {
			p := free[0]
			free = free[1:]
			o := o
			o.URL, o.Logger = p.url(), slog.New(slog.DiscardHandler)
			b, err := New(o)
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
