// Package brokertest is for tests around [broker.Broker]: a [Network] in memory, for programs that use several instances, and the
// contract as tests, [Run], for whoever writes an implementation.
//
// # A broker in memory
//
// A [Network] is a server and the way to it. Each [Node] is the broker of one instance, and can be told to fail: to lose its connection,
// to lose publications, with or without a word, to be slow, to block for ever.
//
//	network := brokertest.NewNetwork()
//	one, two := network.Node(), network.Node()
//	here := tank.NewInstance(tank.WithBroker(one))
//	there := tank.NewInstance(tank.WithBroker(two))
//	// ...
//	two.Cut()
//	// What happens now, and after two.Heal()?
//
// What a node publishes, the network has when Publish returns nil, and all nodes see one order. [NewNetwork] keeps nothing, like core NATS.
// [NewKeepingNetwork] keeps what is published with Keep, as a [broker.Historian]: a node that has lost its connection gets what it has missed.
// [Network.Keep] and [Network.Forget] limit what is kept, and [Network.Restart] loses it all: offsets begin anew, in another epoch. After can
// be held, slow, or fail. Nodes of both networks are of one type; Fits of one that keeps nothing returns an error that wraps
// errors.ErrUnsupported.
//
// Networks work in bubbles of testing/synctest, when they are made there, and in real time. An open Node has one goroutine, which calls
// Receivers and the Watcher and ends with Close. What waits for a Receiver is kept, without bound.
//
// # Tests of an implementation
//
// [Run] takes an [Implementation], which begins groups and says what it promises, and runs a subtest for each part of the contract:
//
//	func TestContract(t *testing.T) {
//		brokertest.Run(t, brokertest.Implementation{
//			Open: func(t testing.TB) brokertest.Group {
//				server := startServer(t)
//				return brokertest.Group{
//					Node:  func(testing.TB) broker.Broker { return mybroker.New(server.URL) },
//					Break: server.Stop,
//					Heal:  server.Start,
//				}
//			},
//			Largest: 1 << 20,
//		})
//	}
//
// With Keeps, there are cases for what a [broker.Historian] promises. Most of the others run twice then: for names that are kept, and for
// names that are not.
//
// A case waits for what has to come, 10 s at most, and says what it expected when it does not. It cannot wait for what must not
// come, so it publishes something else and looks at what comes before that; order makes sure of it.
package brokertest
