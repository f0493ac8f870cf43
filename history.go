package tank

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// All functions in this file run in the goroutines of their callers.

// Position is a place in a topic's numbering: behind the message with the number Seq, or in front of the first message for 0. The Epoch
// names the numbering, which begins anew with each incarnation of the topic, and with Manager.Reset. The zero Position is none.
type Position struct {
	Epoch string // 1 to 64 of the characters A-Z a-z 0-9 - . _ ~
	Seq   uint64 // at most 2^53-1
}

// MarshalJSON returns ["EPOCH",SEQ], which a client of tank.v2 sends as since; or null for the zero Position. It returns an error for
// anything else that cannot be a position.
func (p Position) MarshalJSON() ([]byte, error) {
	if p == (Position{}) {
		return []byte("null"), nil
	}
	return json.Marshal(wire.Position(p))
}

// UnmarshalJSON accepts what MarshalJSON returns.
func (p *Position) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*p = Position{}
		return nil
	}
	return (*wire.Position)(p).UnmarshalJSON(text)
}

// Position returns where a topic stands, behind what was published to it before. Rendered into a page together with the state that the
// page shows, it lets the page resume from there: nothing is missed in between. Ask for it before reading that state. The topic begins
// if there is none, and lives for 2 minutes at least.
//
// It waits until the topic has delivered what was published before and, with WithBroker, until its subscription is in force; for the
// publish timeout (default 5 s, see Limits) at most. It returns ErrInvalidTopic, ErrBusy or, once Shutdown ends the topics, ErrClosed. It
// may be called before Start, but not behind a broker, where it would wait in vain.
func (m *Manager) Position(topic string) (Position, error) {
	if err := checkTopic(topic); err != nil {
		return Position{}, err
	}
	at, err := m.hub.Position(m.config.limits.PublishTimeout, topic)
	return Position(at), err
}

// PublishMessage is Publish of a Publication, and returns its position: the zero Position when nobody subscribes to the topic, and it
// keeps nothing; behind a broker, also unless that keeps it. It waits until the topic has delivered it; where a broker keeps it, as long as
// the context lasts. JSON has to be one valid JSON value. From is the user id that subscribers
// are told.
//
// A Key makes it harmless to publish again when it is not known whether that had succeeded, such as after ErrBusy: the topic takes a key
// once and returns the position of that first publication thereafter. It knows a key for 2 minutes at least, and as long as it keeps
// the message; but no longer than it lives, and not more keys than fit into 1 MiB. A key has up to 128 bytes of UTF-8 without control
// characters. Keys of clients do not collide with those of the server.
//
// It returns ErrInvalidTopic, ErrInvalidData, ErrInvalidUserID for a From, and otherwise like Publish. It panics when the context is
// nil.
func (m *Manager) PublishMessage(ctx context.Context, p Publication) (Position, error) {
	require(ctx != nil, "PublishMessage", "context is nil")
	if err := m.checkPublication(&p); err != nil {
		return Position{}, err
	}
	if err := ctx.Err(); err != nil {
		return Position{}, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	at, err := m.hub.PublishAsked(ctx, (*wire.Publication)(&p))
	return Position(at), err
}

// checkPublication says whether the server can publish it.
func (m *Manager) checkPublication(p *Publication) error {
	if err := m.checkMessage(p.Topic, p.Data); err != nil {
		return err
	}
	if p.JSON && !json.Valid([]byte(p.Data)) {
		return fmt.Errorf("%w: malformed JSON", ErrInvalidData)
	}
	if p.Key != "" {
		if err := wire.CheckKey(p.Key); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalidData, err)
		}
	}
	if p.From != "" {
		if err := wire.CheckUserID(p.From); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalidUserID, err)
		}
	}
	return nil
}

// HistoryPage is messages that a topic has kept.
type HistoryPage struct {
	Messages    []Publication // in order, without their keys; JSON that is a string comes back as text
	First, Last Position      // of the first and the last of Messages; of an empty page, both are where the page was looked for
	Whole       bool          // the messages begin directly behind what was asked for: none in between is missing
}

// History returns messages that a topic has kept, behind what was published before: those behind a position, or for the zero Position
// all, but most at most; zero: as many as there are. The next page is behind Last. When messages behind the position were dropped, or
// it is of another numbering, the page is not Whole and begins with the oldest message that is kept. Where there is no such topic, the
// page is empty, with zero positions, and not Whole. Memory of what is returned is not counted in Limits.TotalHistoryBytes.
//
// It waits until the topic has delivered what was published before. It returns ErrInvalidTopic, ErrInvalidData for a position that
// cannot be one, ErrBusy together with the context's error, or ErrClosed once Shutdown ends the topics. It may be called before Start.
// It panics when the context is nil, or most is negative.
func (m *Manager) History(ctx context.Context, topic string, since Position, most int) (HistoryPage, error) {
	require(ctx != nil, "History", "context is nil")
	require(most >= 0, "History", "most %d is negative", most)
	if err := checkTopic(topic); err != nil {
		return HistoryPage{}, err
	}
	if since != (Position{}) {
		if err := wire.Position(since).Check(); err != nil {
			return HistoryPage{}, fmt.Errorf("%w: %w", ErrInvalidData, err)
		}
	}
	if most == 0 {
		most = math.MaxInt
	}
	kept, known, err := m.hub.History(ctx, topic, wire.Position(since), most)
	if err != nil || !known {
		return HistoryPage{}, err
	}
	page := HistoryPage{First: Position(kept.From), Last: Position(kept.From), Whole: kept.Missed == ""}
	for _, part := range kept.Parts {
		if len(page.Messages) == 0 {
			page.First.Seq = part.Number(0)
		}
		page.Last.Seq = part.Number(part.Messages - 1)
		for p := range wire.Publications(part.For(wire.V2)) {
			p.Topic = topic
			page.Messages = append(page.Messages, Publication(p))
		}
	}
	return page, nil
}

// Reset begins a new numbering of a topic, behind what was published before. What it keeps is dropped, and its keys are forgotten, such
// as for a request for deletion. Subscribers of tank.v2 are told by a reset frame; whoever comes back with an old position is told that
// messages may be missing. Where there is no such topic, it does nothing.
//
// It returns when nothing is kept any more; buffers that clients are being sent may live on for as long as that takes. It waits for the
// publish timeout at most (default 5 s, see Limits), and returns ErrInvalidTopic, ErrBusy, after which the topic may still begin anew, or
// ErrClosed once Shutdown ends the topics. It may be called before Start. With WithBroker, the other instances do the same a moment later;
// when they cannot be told, it returns ErrBroker, and the topic has begun anew here alone. Where the broker keeps messages, the numbers go on,
// and the broker knows keys as before.
func (m *Manager) Reset(topic string) error {
	if err := checkTopic(topic); err != nil {
		return err
	}
	if err := m.hub.Reset(m.config.limits.PublishTimeout, topic); err != nil {
		return err
	}
	if m.hub.Shares(topic) {
		return nil // they see it among what is published
	}
	return m.say(talk{Reset: topic})
}
