package contender

import "sync/atomic"

// inbox is an application that only counts what its clients send. It is embedded.
type inbox struct{ messages atomic.Int64 }

func (b *inbox) take() { b.messages.Add(1) }

// Received is how many there were.
func (b *inbox) Received() int { return int(b.messages.Load()) }
