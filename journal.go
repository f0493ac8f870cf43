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

// journal writes events to the user's logger. A logger may block, which no actor may, so it has one to itself:
// nobody waits for it, and what it does not keep up with is dropped and counted. A nil journal logs nothing.
type journal struct {
	ref      *actor.Ref[slog.Record]
	counters *counters
}

func newJournal(l *slog.Logger, counters *counters) *journal {
	if l == nil {
		return nil
	}
	ctx := context.Background()
	return &journal{
		counters: counters,
		ref: actor.Spawn(actor.Options{
			Restarts: -1, // any number: each costs one record
			OnPanic:  func(*actor.PanicError) { counters.panicsRecovered.Add(1) },
		}, func(mail iter.Seq[slog.Record]) {
			for record := range mail {
				if l.Enabled(ctx, record.Level) {
					l.Handler().Handle(ctx, record)
				}
			}
		}),
	}
}

func (j *journal) conn(e *ConnEvent) {
	if j == nil {
		return
	}
	r := slog.NewRecord(e.Time, slog.LevelDebug, e.EventType, 0)
	j.add(r, e.ClientID, e.UserID, e.Topic, slog.String("reason", wire.Clean(e.Reason)))
}

func (j *journal) error(e *ErrorEvent) {
	if j == nil {
		return
	}
	level := slog.LevelWarn
	if e.Code == CodeInternal {
		level = slog.LevelError
	}
	r := slog.NewRecord(e.Time, level, e.Message, 0)
	r.AddAttrs(slog.Int("code", e.Code))
	if e.Err != nil {
		r.AddAttrs(slog.String("error", wire.Clean(e.Err.Error())))
	}
	var p *actor.PanicError
	if errors.As(e.Err, &p) {
		r.AddAttrs(slog.String("stack", string(p.Stack)))
	}
	j.add(r, e.ClientID, e.UserID, e.Topic)
}

// add is called by the supervisor alone, so the depth does not grow between the check and the post.
func (j *journal) add(r slog.Record, clientID, userID, topic string, more ...slog.Attr) {
	for _, a := range append(more,
		slog.String("client", clientID), slog.String("user", wire.Clean(userID)), slog.String("topic", wire.Clean(topic))) {
		if a.Value.String() != "" {
			r.AddAttrs(a)
		}
	}
	if j.ref.Stats().Depth >= journalDepth || !j.ref.Post(r) {
		j.counters.eventsDropped.Add(1)
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
