package tank

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// journalDepth is how many entries may wait for a slow logger.
const journalDepth = 1024

// journal writes events to the user's logger. A logger may block, and so may the methods of the users' error values, which
// no other actor may call. So the journal has an actor of its own. No goroutine waits for it, and entries that it cannot keep
// up with are dropped and counted. A nil journal logs nothing.
type journal struct {
	ref      *actor.Ref[entry]
	counters *counters
	posted   uint64 // entries, by the hub's goroutine alone
}

// entry is an event to be logged: a copy, because whoever reads the event itself may change it.
type entry interface{ record() slog.Record }

type (
	connEntry  ConnEvent
	errorEntry ErrorEvent
)

func newJournal(l *slog.Logger, counters *counters) *journal {
	if l == nil {
		return nil
	}
	ctx := context.Background()
	return &journal{
		counters: counters,
		ref: actor.Spawn(actor.Options{
			Restarts: -1, // any number: each costs one entry
			OnPanic:  func(*actor.PanicError) { counters.panicsRecovered.Add(1) },
		}, func(mail iter.Seq[entry]) {
			for e := range mail {
				if r := e.record(); l.Enabled(ctx, r.Level) {
					_ = l.Handler().Handle(ctx, r) // there is nobody else to tell
				}
			}
		}),
	}
}

// add is called by the hub's goroutine alone, so no more entries wait at the post than at the check. The actor's depth would leave
// out those that it has taken all at once and still has before it.
func (j *journal) add(e entry) {
	if j == nil {
		return
	}
	if waiting := j.posted - j.ref.Stats().Received; waiting >= journalDepth || !j.ref.Post(e) {
		j.counters.eventsDropped.Add(1)
		return
	}
	j.posted++
}

func (e connEntry) record() slog.Record {
	r := slog.NewRecord(e.Time, slog.LevelDebug, string(e.EventType), 0)
	addText(&r, "client", e.ClientID, "user", e.UserID, "topic", e.Topic, "reason", e.Reason)
	return r
}

func (e errorEntry) record() slog.Record {
	r := slog.NewRecord(e.Time, e.level(), e.Message, 0)
	r.AddAttrs(slog.Int("code", int(e.Code)))
	if e.Err != nil {
		addText(&r, "error", e.Err.Error())
	}
	if advice := adviceOf(e.Err); advice != "" {
		r.AddAttrs(slog.String("advice", advice))
	}
	addText(&r, "client", e.ClientID, "user", e.UserID, "topic", e.Topic)
	var p *actor.PanicError
	if errors.As(e.Err, &p) {
		r.AddAttrs(slog.String("stack", string(p.Stack)))
	}
	return r
}

// level is what a fault is for whoever runs the program: a peer that vanished is no fault of anybody's.
func (e errorEntry) level() slog.Level {
	switch {
	case e.Code == CodeInternal:
		return slog.LevelError
	case e.Code == CodeRead, e.Code == CodeUpgrade && errors.Is(e.Err, ErrClosed): // a page that comes back during a drain
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// warning is about how the instance was made.
type warning struct {
	message, advice string
	at              time.Time
}

func (w warning) record() slog.Record {
	r := slog.NewRecord(w.at, slog.LevelWarn, w.message, 0)
	r.AddAttrs(slog.String("advice", w.advice))
	return r
}

// brokerEntry tells that there is a connection to the broker.
type brokerEntry struct{ at time.Time }

func (e brokerEntry) record() slog.Record {
	return slog.NewRecord(e.at, slog.LevelInfo, "connected to the broker", 0)
}

// spacesEntry tells of a client that names a topic with white space around it.
type spacesEntry struct {
	client *Client
	topic  string
	at     time.Time
}

func (e spacesEntry) record() slog.Record {
	r := slog.NewRecord(e.at, slog.LevelInfo, "topic begins or ends with white space", 0)
	addText(&r, "client", e.client.ID(), "user", e.client.UserID(), "topic", e.topic)
	return r
}

// addText adds pairs of a name and a text, cleaned, unless the text is empty.
func addText(r *slog.Record, pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if text := pairs[i+1]; text != "" {
			r.AddAttrs(slog.String(pairs[i], wire.Clean(text)))
		}
	}
}

// close writes what is waiting, for no longer than grace.
func (j *journal) close(grace time.Duration) {
	if j == nil {
		return
	}
	j.ref.Stop()
	select {
	case <-j.ref.Done():
	case <-time.After(grace):
	}
}

// advised is an error with a hint for whoever runs the program. The log shows it; the error's text, which may go elsewhere,
// does not have it.
type advised struct {
	error
	advice string
}

func (e advised) Unwrap() error { return e.error }

func advise(err error, advice string) error { return advised{err, advice} }

// adviceOf returns the hint that comes with an error, or "".
func adviceOf(err error) string {
	var a advised
	if errors.As(err, &a) {
		return a.advice
	}
	return ""
}

// The hints.
const (
	adviceStart       = "start the instance: go tkws.Start()"
	adviceConnections = "Limits.Connections is the limit"
	adviceUser        = "Limits.ConnectionsPerUser is the limit"
	adviceTopics      = "Limits.Subscriptions is the limit"
	adviceOrigin      = "to accept pages of that origin, set Upgrader.CheckOrigin, see WithUpgrader; localhost and 127.0.0.1 are different hosts; a proxy has to pass Host and X-Forwarded-Proto on"
	adviceHandshake   = "a WebSocket client is needed; a proxy has to pass Connection and Upgrade on"
	adviceIdentity    = "set WithAuthenticator, or ask the authorizer about topics only"
	adviceHijack      = "middleware has to offer Unwrap or Hijack, see HandleConnection"
)
