package brokertest

import (
	"context"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inMemory is a Network as an Implementation.
func inMemory(make func() *Network, keeps, bubble bool) Implementation {
	return Implementation{
		Open:      func(testing.TB) Group { return groupOf(make()) },
		Bubble:    bubble,
		Keeps:     keeps,
		OneOrder:  true,
		Confirmed: true,
		Largest:   1 << 20,
	}
}

func groupOf(w *Network) Group {
	w.Limit(1 << 20)
	return Group{
		Node:   func(testing.TB) broker.Broker { return w.Node() },
		Break:  w.Cut,
		Heal:   w.Heal,
		Cut:    func(b broker.Broker) { b.(*Node).Cut() },
		Mend:   func(b broker.Broker) { b.(*Node).Heal() },
		Forget: func(name string) { w.Forget(name, 0) },
	}
}

// restarting is a network that loses what it has kept when it is away.
func restarting() Implementation {
	impl := inMemory(NewKeepingNetwork, true, true)
	impl.Open = func(testing.TB) Group {
		w := NewKeepingNetwork()
		g := groupOf(w)
		g.Heal = func() {
			w.Restart()
			w.Heal()
		}
		return g
	}
	return impl
}

func TestNetwork(t *testing.T)        { Run(t, inMemory(NewNetwork, false, true)) }
func TestKeepingNetwork(t *testing.T) { Run(t, inMemory(NewKeepingNetwork, true, true)) }

func TestNetworkInRealTime(t *testing.T) {
	t.Parallel()
	Run(t, inMemory(NewNetwork, false, false))
}

func TestKeepingNetworkInRealTime(t *testing.T) {
	t.Parallel()
	Run(t, inMemory(NewKeepingNetwork, true, false))
}

func TestKeepingNetworkThatRestarts(t *testing.T) {
	for _, c := range cases {
		if c.keep {
			t.Run(c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { c.run(t, restarting()) })
			})
		}
	}
}

func TestHostileNamesDiffer(t *testing.T) {
	seen := make(map[string]bool)
	for _, name := range hostile() {
		if seen[name] {
			t.Errorf("%+q is there twice", name)
		}
		seen[name] = true
	}
}

// TestCasesEndBeforeTheirNodes: what a group registers with Cleanup when it makes a node, such as the end of a proxy, comes after Close.
func TestCasesEndBeforeTheirNodes(t *testing.T) {
	for _, c := range cases {
		synctest.Test(t, func(t *testing.T) {
			impl := inMemory(NewKeepingNetwork, true, true)
			ended, closedLate := 0, 0
			var tb testing.TB
			impl = wrapped(impl, func(b broker.Broker) broker.Broker {
				gone := false
				tb.Cleanup(func() {
					ended++
					gone = true
				})
				return &mutant{Broker: b, close: func(ctx context.Context) error {
					if gone {
						closedLate++
					}
					return b.Close(ctx)
				}}
			})
			if said := record(t, func(t testing.TB) {
				tb = t
				c.run(t, impl)
			}); len(said) > 0 {
				t.Errorf("%s: %q", c.name, said)
			}
			if ended == 0 || closedLate > 0 {
				t.Errorf("%s: %d of %d nodes were closed after their clean-up", c.name, closedLate, ended)
			}
		})
	}
}
