package link

import "time"

// losses are what topics may have missed since that was last reported. After a reconnect all topics tell of one, which is one report. Owned
// by the link's actor.
type losses struct {
	topics int // that have names
	cause  error
	timer  *time.Timer // runs until they are reported; nil: there are none
}

// reportAfter is how long losses are collected.
const reportAfter = 200 * time.Millisecond

type (
	lost struct { // a topic may have missed something
		named bool // and not just the broadcasts
		cause error
	}
	report struct{}
)

func (m lost) handle(l *Link) {
	l.losses.cause = m.cause
	if m.named {
		l.losses.topics++
	}
	if l.losses.timer == nil && l.ctx.Err() == nil {
		l.losses.timer = time.AfterFunc(reportAfter, func() { l.ref.Post(report{}) })
	}
}

func (report) handle(l *Link) {
	l.owner.Missing(l.losses.topics, l.losses.cause)
	l.losses = losses{}
}

func (l *losses) stop() {
	if l.timer != nil {
		l.timer.Stop()
	}
}
