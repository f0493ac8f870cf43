package wire

import "unsafe"

// Publication is a message of a topic, as programs see it.
type Publication struct {
	Topic string
	Data  string // UTF-8
	JSON  bool   // Data is JSON, and not just text
	Key   string // makes a repetition known; may be empty
	From  string // the user it comes from; empty: the server
}

// Bytes returns the memory that it takes.
func (p *Publication) Bytes() int {
	return int(unsafe.Sizeof(*p)) + len(p.Data) + len(p.Key) + len(p.From) // the topic's name is shared
}
