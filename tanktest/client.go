package tanktest

import "time"

// Client is a WebSocket client that speaks what plain sockets do, docs/protocol.md. On the wire it is a browser: it reads all the time
// and keeps what comes, answers pings and the server's goodbye, masks its frames, and accepts compressed messages.
//
// Its methods are for the goroutine of the test, because they fail the test, which testing.TB allows nowhere else.
type Client struct{ peer }

// plain is the protocol of plain sockets.
type plain struct{ inbox inbox }

func (p plain) receive(data string, binary bool, at time.Time) error {
	p.inbox.put(decode(data, binary, at))
	return nil
}

func (plain) describe(func(what, format string, args ...any)) {}
