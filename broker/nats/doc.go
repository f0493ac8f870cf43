// Package natsbroker carries publications between the instances of a group over NATS.
//
//	import natsbroker "github.com/fanqie/tank-websocket-go-server/broker/nats"
//
//	b, err := natsbroker.New(natsbroker.Options{URL: "nats://nats.internal:4222", Group: "chat"})
//	tkws := tank.NewInstance(tank.WithBroker(b))
//
// The package is not called nats, like its directory, because whoever imports it often imports github.com/nats-io/nats.go, too. It is a
// module of its own, so that programs without it do not download that.
//
// # Promises
//
// NATS keeps nothing in these modes, and neither does a Broker.
//
//   - Each publication comes at most once. Those of one publisher to one name come in order. Different nodes may see those of
//     different publishers in different orders; all topics of one node see one.
//   - What a node's own connection loses is told: Receivers with Lost, at the place of the gap, and the Watcher with the number of
//     publications in doubt. What the connection of another node loses, or a route between the servers of a NATS cluster, is not: NATS does
//     not tell anybody.
//   - Nil of Publish means what the Mode says: that the connection has the publication, or that its server has it.
//   - While there is no connection, Publish returns broker.ErrDown at once, and nothing is kept for later.
//   - Subscribe returns when the server has the subscriptions. In a NATS cluster, the other servers know of them a moment later.
//
// # Subjects and payloads
//
// A name has the subject GROUP.c.TOKEN. In TOKEN, the letters and digits of ASCII, - and _ stand for themselves, and every other byte is =XX,
// its two hexadecimal digits in capitals. The token of the empty name, which is that of messages to every client, is "=".
//
// The payload of a plain text message is its text, so every client of NATS can publish to a topic, and read what is published. A publication
// that has a key or a sender, is JSON, or begins with the byte 0xFF, has a binary head, which begins with that byte and a version. Messages
// with a version that a Broker does not know are reported to their Receiver, with Lost, and skipped: instances of two releases can run side
// by side.
//
// # Security
//
// Whoever may publish to the subjects of a group can publish to all its topics, and to its instances. The permissions of NATS
// are the boundary. See the README.
//
// # Cost
//
// A Broker has five goroutines, NATS three more, however many subscriptions there are. One goroutine calls all Receivers: one that
// makes it wait makes the others wait. What comes meanwhile is kept, up to Options.MaxPending and MaxPendingBytes.
package natsbroker
