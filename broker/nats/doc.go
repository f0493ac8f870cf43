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
// NATS keeps nothing in the modes Core and Confirmed, and neither does a Broker.
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
// # JetStream
//
// In this mode a Broker is a broker.Historian. What is published with Keep goes to a stream, one for each group. The stream publishes it again
// to all nodes, which have plain subscriptions, and no consumers. The rest goes as in Confirmed.
//
//   - All nodes see one order of a name, with the same offsets. In an epoch, each publication comes once, whatever happens to connections and
//     servers: what did not come is fetched from the stream, and the topic does not notice. Receivers are told of a gap only if the stream does not have
//     the messages any more, or if it may not have them. A stream that is made anew is another epoch.
//   - Nil of Publish means that the stream has the publication. An attempt that the connection interrupts is repeated on the next one, for half of
//     StreamOptions.Duplicates at most, and as long as the caller waits. Then the error is ErrUnconfirmed: the stream may have it or not.
//   - An epoch is when the stream was made, and another one once it stands below where it stood before. It is in the metadata of the stream.
//   - An offset is the sequence of a message in the stream, times 4096, plus the index of the publication in it: those that are published to one name
//     at the same time share a message.
//   - The stream drops the oldest messages first. A node relies on that: if nobody else removes messages of one name, it is told of everything
//     that is missing. If somebody does, while it has no connection and has had none of these messages, it may not be.
//
// The stream is made by the instance that comes first, with its StreamOptions, and made anew if somebody deletes it. Other limits than those of
// the options are logged, and used. A stream that lacks direct access, republishing or the subjects of the group cannot be used: the connection counts
// as down, until that has changed.
//
// File storage survives the end of a server, however sudden. It is written to the disk every 2 minutes, unless the server's sync_interval says
// otherwise, so a machine that loses power may lose the end of it. Then numbers are given twice. A Broker that has seen one of them gives the
// stream another epoch. Replicas on other machines help. Memory storage is lost with the server, or the last of its replicas, which is told as
// another epoch.
//
// # Subjects and payloads
//
// A name has the subject GROUP.c.TOKEN. In TOKEN, the letters and digits of ASCII, - and _ stand for themselves, and every other byte is =XX,
// its two hexadecimal digits in capitals. The token of the empty name, which is that of messages to every client, is "=". What is kept is published
// to GROUP.p.TOKEN, and comes from GROUP.d.TOKEN. The stream is called like the group, with =2E for each dot.
//
// The payload of a plain text message is its text, so every client of NATS can publish to a topic, and read what is published. A publication
// that has a key or a sender, is JSON, or begins with the byte 0xFF, has a binary head, which begins with that byte and a version. Messages
// with a version that a Broker does not know are reported to their Receiver, with Lost, and skipped: instances of two releases can run side
// by side.
//
// # Security
//
// Whoever may publish to the subjects of a group can publish to all its topics, and to its instances. What comes from GROUP.d is taken for the
// stream's, by headers that only the stream should be permitted to send there. Those of whoever publishes to GROUP.p are not heeded. The permissions of NATS
// are the boundary. See the README.
//
// # Cost
//
// A Broker has five goroutines, in mode JetStream one more and up to four while gaps are filled, NATS three more, however many subscriptions there are. One goroutine calls all Receivers: one that
// makes it wait makes the others wait. What comes meanwhile is kept, up to Options.MaxPending and MaxPendingBytes.
package natsbroker
