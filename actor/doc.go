// Package actor is internal to package tank, which is what applications import. It holds the few pieces that the rest of the
// library is built from: an unbounded [Mailbox], an actor that empties it ([Spawn], [Ref]) and a request with an answer for
// callers from outside ([Call]).
//
// # Concurrency properties
//
// An actor is a mailbox and at most one goroutine that empties it. The goroutine exists only while there is mail:
// the post that finds the actor idle starts it, and it ends when it finds the mailbox empty. State touched only by an
// actor's receive function therefore needs no lock, and an idle actor costs a few hundred bytes and no stack.
//
// Where there are very many actors, a goroutine for each is too much: [Options.Schedule] has them run in goroutines of the
// caller's choice. And whoever is about to give an idle actor something to do may run it in its own goroutine: [Ref.Claim], then
// [Ref.Run].
//
// Actors never wait, only edges wait. An edge is a goroutine that came from outside: a socket reader, an HTTP handler,
// a caller of a public API.
//
//   - [Ref.Post], [Ref.TryPut], [Ref.Claim], [Ref.Run] and [Ref.Stop] never block. Actors and edges may use them.
//   - [Ref.Put], [Call] and [CallPut] may block, until there is room, an answer, or the context ends. Only edges may use them.
//
// So every wait-for arrow runs from an edge to an actor, no actor waits for another, and no cycle of waiting exists.
//
// # Expected behaviour of a receive function
//
// It must not block, and it must consume at least one message when there is any; by [Ref.Run] it is also called when there is
// none. When it panics, the message it was handling is lost, the panic is reported as a [*PanicError], and it is called again
// with the messages behind it. An actor that panics more often than its restart budget allows is given up: it stops with the last
// panic as its error, and everything still in its mailbox is discarded: a message that has a method Discard hears of it that way.
package actor
