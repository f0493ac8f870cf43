// Package client is internal to package tank, and not a WebSocket client. It holds the client actor, the server's side of one
// connection. For tests of a server, package tanktest has a client; other Go programs connect with any WebSocket library, see
// docs/protocol.md.
//
// Package tank promises compatibility; this package, whose types take those of an internal one, does not.
//
// # Which goroutine does what
//
//   - The reader ([Client.Read]) is an edge: it reads messages and hands them to the [Owner], in whose callbacks it may wait for as
//     long as it likes. It has one goroutine at a time while something comes, and none while package poller waits for it.
//   - The actor decides what is written, and is the only one that closes the socket. It runs while there is something to
//     do: in the goroutine of whoever delivers to it, or in one of its own. It writes as far as the socket takes
//     everything at once, and never blocks.
//   - The writer is an edge, too: a goroutine that there is only while the socket has no room. It writes what the actor
//     gives it, and blocks while the peer does not read. With TLS, all is written by it.
//   - Everyone else (topics, the manager, the public API) uses [Client.Send], or [Client.Deliver] and then [Client.Flush],
//     [Client.Close], [Client.Cut] and so on, none of which block.
//
// github.com/coder/websocket checks the opening handshake. Behind that, frames are parsed and encoded by package wire, and written to the
// hijacked connection by the actor or its writer, so that closing frames come behind what was queued before them and nothing but the
// writer can be held up by a peer that does not read.
//
// # Life of a connection
//
//	open -> closing -> cut
//
// Close, the peer's close frame, a protocol error or a full outbox make an open client closing: nothing further is
// accepted, what is queued is written (unless the outbox was full), the close frame follows, and the peer has until the
// close timeout to answer. Cut, a failed write or the end of that timeout cut the connection at once. Either way the
// owner's Gone is called once, and the socket is closed by then.
package client
