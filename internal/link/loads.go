package link

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/broker"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// How topics get what a broker has kept. Each load runs in an edge of its own, and few run at a time. One that fails is answered, and
// what the same topic asks for next waits for a while. All functions in this file run in the link's actor, but fetch and what it calls,
// which are an edge, and Load.

const (
	// maxFetches is how many loads run at a time.
	maxFetches = 4
	// fetchTimeout is how long one may take.
	fetchTimeout = 5 * time.Second
	// pageMessages is how many messages are asked for at a time.
	pageMessages = 1024
)

// loads are what topics want to have. Owned by the link's actor.
type loads struct {
	waiting []load
	running int
	paused  *time.Timer   // runs after one has failed, until the next; nil: none has
	backoff time.Duration // how long it runs, when another one fails; 0: the last did not
}

type (
	load struct { // see topic.Options.OnLoad
		*topic.Topic
		wanted topic.Load
	}
	fetched struct{ failed bool } // an edge has answered a load
	resume  struct{}              // of loads
)

// Load has something loaded from the broker for a topic. It never blocks.
func (l *Link) Load(t *topic.Topic, wanted topic.Load) { l.ref.Post(load{t, wanted}) }

func (m load) handle(l *Link) { l.loads.waiting = append(l.loads.waiting, m) }

func (m fetched) handle(l *Link) {
	s := &l.loads
	s.running--
	switch {
	case !m.failed:
		s.backoff = 0
	case s.paused == nil && l.ctx.Err() == nil:
		s.backoff = longer(s.backoff)
		s.paused = time.AfterFunc(s.backoff, func() { l.ref.Post(resume{}) })
	}
}

func (resume) handle(l *Link) { l.loads.stop() }

func (s *loads) stop() {
	if s.paused != nil {
		s.paused.Stop()
		s.paused = nil
	}
}

// fetchSome begins what waits, as far as more may run.
func (l *Link) fetchSome() {
	s := &l.loads
	if s.paused != nil || l.ctx.Err() != nil || !l.working.Load() {
		return
	}
	for ; len(s.waiting) > 0 && s.running < maxFetches; s.running++ {
		next := s.waiting[0]
		s.waiting[0] = load{}
		s.waiting = s.waiting[1:]
		go l.fetch(next)
	}
	if len(s.waiting) == 0 {
		s.waiting = nil
	}
}

// fetch loads something and gives it to the topic.
func (l *Link) fetch(m load) {
	answer := topic.Loaded{Load: m.wanted}
	ctx, cancel := context.WithTimeout(l.ctx, fetchTimeout)
	defer cancel()
	if panicked := actor.Recovered(func() { answer.Err = l.fill(ctx, m.Name(), &answer) }); panicked != nil {
		l.owner.Failed(panicked)
		answer.Err = errPanicked
	}
	if answer.Err != nil {
		answer.Messages = nil
	}
	l.ref.Post(fetched{answer.Err != nil}) // in front of what the topic asks for next, which is to wait if this has failed
	m.Loaded(answer)
}

var errNoProgress = errors.New("the broker answers with what it was not asked about")

// fill asks the broker until the answer is complete.
func (l *Link) fill(ctx context.Context, name string, answer *topic.Loaded) error {
	answer.Whole = true
	messages, bytes := 0, 0 // up to UpTo: what is behind that has not come yet, and counts when it has
	for from, more := answer.From, true; more; {
		page, err := l.historian.After(ctx, name, answer.Epoch, from, pageMessages)
		if err != nil {
			return err
		}
		answer.End = page.End
		if !page.Whole { // what came before does not belong to it
			answer.Messages, answer.Whole, messages, bytes = nil, false, 0, 0
		}
		for _, m := range page.Messages {
			if m.Offset <= from {
				return errNoProgress
			}
			from = m.Offset
			a, err := arrival(m, name)
			if err != nil {
				l.owner.Failed(fmt.Errorf("a publication to the topic %s is dropped: %w", wire.Quote(name), err))
				continue
			}
			answer.Messages = append(answer.Messages, a)
			if a.Seq <= answer.UpTo {
				messages++
				bytes += leastKept(&a)
			}
		}
		surplus := 0 // of more than is needed, the first are dropped
		if most := answer.Limits.Messages; most > 0 {
			surplus = max(0, messages-most-1) // one says what is before the others
		}
		for i := range surplus {
			bytes -= leastKept(&answer.Messages[i])
		}
		for most := answer.Limits.Bytes; most > 0 && bytes > most && surplus < messages; surplus++ {
			bytes -= leastKept(&answer.Messages[surplus])
		}
		if surplus > 0 {
			answer.Messages, answer.Whole = answer.Messages[surplus:], false
			messages -= surplus
		}
		more = page.More && len(page.Messages) > 0 && from < answer.UpTo
	}
	return nil
}

// leastKept returns the memory that a message takes at least where a topic keeps it: its frame and its number. A topic that has loaded
// messages keeps as many as one that they have come to, so it drops by itself what is too much.
func leastKept(a *topic.Arrival) int {
	const rest = 16 // of the frame, and the number
	return len(a.Data) + len(a.From) + len(a.Topic) + rest
}

// arrival returns what a topic gets of a message, or what is wrong with it: clients that could not read it would lose their connections.
func arrival(m broker.Message, name string) (topic.Arrival, error) {
	a := topic.Arrival{
		Publication: wire.Publication{Topic: name, Data: m.Data, JSON: m.JSON, Key: m.Key, From: m.From},
		Seq:         m.Offset,
		At:          m.At,
		Reset:       m.Reset,
	}
	return a, check(&a.Publication)
}
