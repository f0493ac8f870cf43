// Package contender holds the servers that are compared: one file each, using its library the way that library's own
// documentation does for broadcasting.
package contender

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Contender is a server under test. ServeHTTP takes subscribers, which say "sub:TOPIC" and "unsub:TOPIC" (centrifuge:
// the commands of its own protocol).
type Contender interface {
	http.Handler
	// Publish sends {"topic":topic,"data":data} to the topic's subscribers. It is called from several goroutines.
	Publish(topic, data string) error
	// Subscriptions is how many there are at the moment.
	Subscriptions() int
	// Dropped is how many messages were given up and connections closed for being slow, by the contender's own account.
	Dropped() int
	// Received is how many messages of subscribers have reached the application, commands left out.
	Received() int
}

// Batcher is a contender that can be given a whole burst at once. Only the floor is: nobody else gets to know what comes
// next.
type Batcher interface {
	PublishBurst(topic string, data []string) error
}

// Keeper is a contender that keeps what was published, if its configuration says so, and lets clients resume.
type Keeper interface {
	// Position is where the topic stands. What is published next comes behind it.
	Position(topic string) (Position, error)
}

// Position is a place in what was published to a topic.
type Position struct {
	Epoch  string `json:"epoch"` // of the numbering
	Offset uint64 `json:"offset"`
}

// Config is what the scenario asks of a contender. Zero fields stand for what its documentation recommends.
type Config struct {
	Queue       int  // messages that may wait for one subscriber
	QueueBytes  int  // the same, for those who count bytes
	Compression bool // permessage-deflate
	History     int  // messages that are kept of each topic, for clients that resume
	Message     int  // bytes that a subscriber's message may have, for those whose documentation allows few

	Broker string // address of what connects it with others: NATS for tank, Redis for centrifuge; "": nothing
	Mode   string // what NATS promises: "" for core, "confirmed", or "jetstream" with a history
}

// historyTime is how long messages are kept: longer than any measurement takes.
const historyTime = 10 * time.Minute

// writeTimeout is for one write to a subscriber while others get theirs: a burst to 10,000 takes many seconds where
// the examples give a second or ten.
const writeTimeout = time.Minute

// queue is how many messages a subscriber's channel holds.
func (c Config) queue(byDefault int) int { return cmp.Or(c.Queue, byDefault) }

// ErrUnsupported says that the contender cannot do what the configuration asks.
var ErrUnsupported = errors.New("not supported")

var makers = map[string]func(Config) (Contender, error){
	"tank":       newTank,
	"gws":        newGWS,
	"gorilla":    newGorilla,
	"melody":     newMelody,
	"centrifuge": newCentrifuge,
	"coder":      newCoder,
	"floor":      newFloor,
}

// Names lists the contenders of this package.
func Names() []string {
	return []string{"tank", "gws", "gorilla", "melody", "centrifuge", "coder", "floor"}
}

// New makes one of them.
func New(name string, c Config) (Contender, error) {
	if !slices.Contains(Names(), name) {
		return nil, fmt.Errorf("no contender %q; there are %s", name, strings.Join(Names(), ", "))
	}
	return makers[name](c)
}

// command splits what a subscriber says. ok is false when it is neither. Only a topic is copied.
func command(message []byte) (topic string, subscribe, ok bool) {
	if topic, ok := bytes.CutPrefix(message, []byte("sub:")); ok {
		return string(topic), true, true
	}
	if topic, ok := bytes.CutPrefix(message, []byte("unsub:")); ok {
		return string(topic), false, true
	}
	return "", false, false
}
