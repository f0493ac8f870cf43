package client

import "sync/atomic"

// Out is what is written, counted in parts, so that processors that write to different clients at once do not wait for each other's
// caches. Clients that came one after the other share a part, as those of a topic mostly did, which one processor goes through.
type Out struct {
	parts   [outParts]written
	clients atomic.Uint32
}

// written is a part of what is written.
type written struct {
	messages atomic.Uint64 // data messages written to the socket
	bytes    atomic.Uint64 // bytes written to the socket, headers included

	_ [cacheLines - 16]byte
}

const (
	outParts   = 16
	shareAPart = 64  // so many clients in a row
	cacheLines = 128 // processors fetch two lines of 64 bytes at a time
)

// part returns where a new client counts.
func (o *Out) part() *written { return &o.parts[(o.clients.Add(1)-1)/shareAPart%outParts] }

// Messages returns how many data messages were written to sockets.
func (o *Out) Messages() (sum uint64) {
	for i := range o.parts {
		sum += o.parts[i].messages.Load()
	}
	return sum
}

// Bytes returns how many bytes were written to sockets, frame headers included.
func (o *Out) Bytes() (sum uint64) {
	for i := range o.parts {
		sum += o.parts[i].bytes.Load()
	}
	return sum
}
