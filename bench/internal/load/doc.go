// Package load is the other side of the benchmark: many WebSocket clients in one process that cost as little as
// possible, because they share the machine with the server under test.
//
// A Fleet is a number of connections and one goroutine on a thread of its own that waits for them all with epoll and
// reads them into one buffer. It parses frame headers and skips the rest, but for a sample of connections, whose
// messages are put together and checked byte by byte. It runs on Linux only.
package load
