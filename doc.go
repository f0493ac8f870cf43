// Package tank pushes live topic messages to browsers over WebSocket. A service embeds a Manager, mounts it on a route
// and publishes; browsers connect with a plain WebSocket, send "sub:news" and receive {"topic":"news","data":"..."}.
//
//	tkws := tank.NewInstance()
//	go tkws.Start()
//	http.Handle("/ws", tkws)
//	...
//	tkws.BroadcastTopicMessage("news", "hello")
//	...
//	tkws.Shutdown(ctx)
//
// # Concurrency properties
//
// All methods are safe for concurrent use. Inside, actors talk over mailboxes: a supervisor, one actor for each
// subscribed topic, one for each connection. They never wait for each other, so a slow reader, a flooded topic or a
// blocked callback holds up nobody else. Only callers wait: a publish for room in its one topic, no longer than its
// context or the publish timeout; Shutdown until all is done, little longer than its context; a request for Start, no
// longer than 2 s. Methods that ask the supervisor wait for its answer, for which it waits for nobody.
//
// # Expected behaviour of callbacks
//
// Authenticator and CheckOrigin run in the request's goroutine; authorizers and the message handler run in the
// connection's own goroutine. They may block, they may call any method of Manager and Client, and when they panic only
// their own request (500) or connection (close 1011) ends.
//
// # Delivery
//
// One publisher's messages to one topic reach each subscriber in publish order, at most once, and all subscribers of a
// topic see the same order. Between its subscribe event and its end, a client that keeps up gets every message; one that
// does not is closed with 1013, reported and counted, and nothing is ever skipped on a connection that stays open, unless
// WithOutboxPolicy chooses to drop messages instead. Publishers do not wait for clients, so a burst larger than
// Limits.OutboxBytes is more than any client keeps up with.
//
// The wire protocol is described in docs/protocol.md.
package tank
