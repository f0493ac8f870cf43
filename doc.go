// Package tank pushes live messages to browsers over WebSocket. A service embeds a [Manager], mounts it on a route and
// publishes to topics; a browser connects with a plain WebSocket, sends "sub:news" and receives
// {"topic":"news","data":"..."}. A browser that offers the subprotocol tank.v2 also gets numbers and answers, and resumes after a lost
// connection; [WithTopics] says what topics keep for that.
//
//	tkws := tank.NewInstance()
//	go tkws.Start()
//	http.Handle("/ws", tkws)
//	...
//	tkws.BroadcastTopicMessage("news", "hello")
//	...
//	tkws.Shutdown(ctx)
//
// Without options everyone may connect and subscribe, and nobody but the server publishes; every limit has a default. Options
// decide otherwise: see [NewInstance], [Limits] and [Upgrader]. Behaviour that clients rely on is described in
// docs/protocol.md and docs/protocol-v2.md, what can be relied on in docs/guarantees.md, whether a client misses something in
// docs/history.md, and how to begin in docs/getting-started.md.
//
// # What waits
//
// All methods are safe for concurrent use. A slow reader, a flooded topic or a blocked callback delays nothing else:
//
//   - A publish, and [Client.SendTopic], wait for room in their one topic, no longer than the context or Limits.PublishTimeout.
//     They never wait for clients.
//   - [Manager.PublishMessage], [Manager.Position], [Manager.History], [Manager.Presence] and [Manager.Reset] also wait for their topic to
//     deliver what was published before, no longer than that.
//   - With [WithBroker], a publish waits for the broker, no longer than that. So do [Client.Subscribe], [Manager.CloseUser],
//     [Manager.SendToUser] and [Manager.UnsubscribeUser].
//   - [Client.Renew] waits for the subscribe authorizer.
//   - A loop over [Manager.Subscribe] waits for publications.
//   - [Manager.Shutdown] waits until all is done, little longer than its context.
//   - A request waits for [Manager.Start], no longer than 2 s.
//   - All other calls return at once, or as soon as an actor has answered, and actors never wait.
//
// # Callbacks
//
// The authenticator and CheckOrigin run in their request's goroutine; the connect handler, authorizers, the message handler, the
// request handler and the disconnect handler run in their connection's own goroutine, one after the other. They may block, they may
// call any method of Manager and Client, and when they panic only their own request (500) or connection (close 1011) ends.
// [Client.Renew] calls the subscribe authorizer in the goroutine of its caller, too.
//
// # Delivery
//
// One publisher's messages to one topic reach each subscriber in publish order, at most once, and all subscribers of a
// topic see the same order. Between its subscribe event and its end, a client that keeps up gets every message. A
// client that reads too slowly is closed with 1013, reported and counted: a connection that stays open never misses a message,
// unless [WithOutboxPolicy] chooses to drop messages instead. A burst larger than Limits.OutboxBytes is too large for every
// client. A client of tank.v2 that comes back with its position gets what was published meanwhile, as far as the topic keeps it, or is
// told that something is missing.
package tank
