// Package linear decides whether what concurrent clients did and received can be explained by a topic that does one thing at
// a time: whether the history is linearizable. The decision is Porcupine's; the model is in this file.
//
// # The model
//
// A topic is an object with three operations. Each takes effect at one moment between its call, when a client or the
// program began with it, and its return, when it was known to be done:
//
//   - subscribe(c) makes client c a subscriber; if it is one, nothing changes.
//   - unsubscribe(c) ends that; if it is none, nothing changes.
//   - publish(m) appends m to what each subscriber receives, and to nobody else's.
//
// What clients receive comes later than that, so it is not compared at the time when it comes. Instead, when all is quiet,
// there is one read(c) for each client, which has to return exactly what the model appended. So that a wrong order of
// operations is given up early, and not at the reads, each publish has as its output the places at which each client
// received the message: in a state in which c is a subscriber that has received n messages, publish(m) is possible if c
// received m once and at place n, and in one in which c is none, if c did not receive it. A read then only has to compare
// the number, which finds messages that nobody published.
//
// This is all that docs/protocol.md promises about one topic:
//
//   - A publish that is called after a subscribe has returned is delivered, and one that is called after an unsubscribe
//     has returned is not; there is no history.
//   - Each message arrives at most once: at one place.
//   - All subscribers see the same order, because publishes take effect one after the other.
//   - The operations of one connection, and the publishes of one goroutine, take effect in the order in which they were
//     called, although a connection does not wait for one to return before it calls the next. Each has its number among
//     those of its caller, and only the next one is possible.
//
// When an operation of a connection has returned is not to be seen, because nothing is acknowledged. But the server handles
// the messages of a connection one at a time, so all of them have when something sent behind them has been answered. And a
// publish has taken effect at the latest when the first client received the message; so who publishes an answer to a
// message publishes it later.
//
// Topics promise nothing to each other, so each is decided by itself.
package linear

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// Kind of an operation.
type Kind int

const (
	Subscribe Kind = iota
	Unsubscribe
	Publish
	read // added by History.Check
)

// maxCallers is how many callers a history can have.
const maxCallers = 8

// input of an operation of the model.
type input struct {
	kind    Kind
	topic   string
	caller  int
	number  int // among the caller's operations on this topic
	message string
}

// output of a publish: for each client the places at which it received the message.
type places [maxCallers][]int

// state of a topic: what each caller has done and received. As a value that can be compared, it needs no other functions.
type state [maxCallers]struct {
	subscribed bool
	received   int
	called     int
}

var model = porcupine.Model{
	Partition: byTopic,
	Init:      func() any { return state{} },
	Step: func(s, in, out any) (bool, any) {
		return step(s.(state), in.(input), out)
	},
	DescribeOperation: describe,
	DescribeState:     func(s any) string { return s.(state).String() },
}

// step reports whether an operation is possible in a state, and returns the next state.
func step(s state, in input, out any) (bool, state) {
	caller := &s[in.caller]
	if in.kind == read {
		return out.(int) == caller.received, s
	}
	if in.number != caller.called {
		return false, s
	}
	caller.called++
	switch in.kind {
	case Subscribe:
		caller.subscribed = true
	case Unsubscribe:
		caller.subscribed = false
	case Publish:
		for c, at := range out.(places) {
			client := &s[c]
			switch {
			case !client.subscribed && len(at) == 0:
			case client.subscribed && len(at) == 1 && at[0] == client.received:
				client.received++
			default:
				return false, s
			}
		}
	}
	return true, s
}

func byTopic(history []porcupine.Operation) [][]porcupine.Operation {
	var parts [][]porcupine.Operation
	of := make(map[string]int)
	for _, op := range history {
		topic := op.Input.(input).topic
		i, known := of[topic]
		if !known {
			i = len(parts)
			of[topic] = i
			parts = append(parts, nil)
		}
		parts[i] = append(parts[i], op)
	}
	return parts
}

func describe(in, out any) string {
	switch i := in.(input); i.kind {
	case Subscribe:
		return fmt.Sprintf("subscribe(%d)", i.caller)
	case Unsubscribe:
		return fmt.Sprintf("unsubscribe(%d)", i.caller)
	case Publish:
		text := fmt.Sprintf("publish(%s):", i.message)
		for c, at := range out.(places) {
			if len(at) > 0 {
				text += fmt.Sprintf(" client %d at %v", c, at)
			}
		}
		return text
	default:
		return fmt.Sprintf("read(%d): %d messages", i.caller, out)
	}
}

func (s state) String() string {
	text := ""
	for c, client := range s {
		if client.subscribed || client.received > 0 {
			text += fmt.Sprintf("client %d: subscribed %v, %d received\n", c, client.subscribed, client.received)
		}
	}
	return text
}
