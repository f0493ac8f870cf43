package topic

import (
	"context"
	"slices"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Who is in a topic. All functions in this file run in the topic's actor, but Topic.Present and Topic.TellPresence, which run in the
// owner's goroutine and in edges.

// Presence says whether a topic knows who is in it, and what it tells.
type Presence struct {
	Enabled bool
	Grace   time.Duration // how long a user who has vanished counts as there
	Max     int           // when there are more users, only their number is told
}

// tellEvery is the shortest time between two notices of who has come and gone.
const tellEvery = time.Second

// presence is who is in a topic. A user is there while one of its connections is a member, and for the grace after the last of them has
// vanished. Watchers, which are members themselves, are told what has changed since they were told last. Owned by the topic.
//
// Invariant: whether a user is there is known, or it is listed as changed. Without watchers, none is listed.
type presence struct {
	Presence
	users    map[string]*user
	there    int // how many users are there
	changed  []*user
	vanished []vanishing // in the order of time; some may have come back since
	watchers []*Member
	crowded  bool      // there are so many users that watchers are told no names
	dense    bool      // some watcher has been told no names
	told     time.Time // when they were told last
	due      time.Time // when the owner wants to be reminded; zero: not at all
}

// user is a user who is there, or was when watchers were told last.
type user struct {
	wire.Present
	connections int
	vanished    time.Time // when the last connection vanished; zero: there are some, or it has gone
	known       bool      // all watchers know that it is there, and its info
	shown       bool      // some watcher takes it to be there
	listed      bool      // it is among changed
}

type vanishing struct {
	at time.Time
	*user
}

// minStale is how many of those that have come back are worth forgetting before their time.
const minStale = 16

// counts reports whether the user has not come back since.
func (v vanishing) counts() bool { return v.user.vanished.Equal(v.at) }

type (
	present struct{ actor.Request[wire.Here] } // answered with who is there
	tellNow struct{}                           // tell watchers what has changed
)

// Present returns who is in the topic. It returns actor.ErrStopped after Stop, or the context's error. Only edges may call it.
func (t *Topic) Present(ctx context.Context) (wire.Here, error) {
	return actor.Call(ctx, t.ref, func(r actor.Request[wire.Here]) Message { return present{r} })
}

// TellPresence has watchers told who has come and gone, see Options.OnPresence. It never blocks.
func (t *Topic) TellPresence() { t.ref.Post(tellNow{}) }

// isThere reports whether the user is there.
func (u *user) isThere() bool { return u.connections > 0 || !u.vanished.IsZero() }

// enter counts a new member.
func (p *presence) enter(m *Member) {
	if p == nil || m.User == "" {
		return
	}
	u := p.users[m.User]
	if u == nil {
		u = &user{Present: wire.Present{User: m.User}}
		p.users[m.User] = u
	}
	if !u.isThere() {
		p.there++
	}
	if u.Info != m.Info {
		u.Info, u.known = m.Info, false
	}
	u.connections++
	u.vanished = time.Time{}
	p.note(u)
}

// exit counts a member less.
func (p *presence) exit(m *Member, vanished bool) {
	if p == nil || m.User == "" {
		return
	}
	p.unwatch(m)
	u := p.users[m.User]
	if u.connections--; u.connections > 0 {
		return
	}
	if vanished && p.Grace > 0 {
		u.vanished = time.Now()
		if p.vanished = append(p.vanished, vanishing{u.vanished, u}); len(p.vanished) > 2*p.there+minStale {
			p.vanished = slices.DeleteFunc(p.vanished, func(v vanishing) bool { return !v.counts() })
		}
		return
	}
	p.gone(u)
}

func (p *presence) gone(u *user) {
	u.vanished = time.Time{}
	p.there--
	p.note(u)
}

// note takes note that watchers, if there are any, may not know how it is with a user.
func (p *presence) note(u *user) {
	switch {
	case u.listed, u.known && u.isThere():
	case len(p.watchers) == 0:
		p.learn(u)
	default:
		u.listed = true
		p.changed = append(p.changed, u)
	}
}

// learn takes it that watchers know how it is with a user.
func (p *presence) learn(u *user) {
	if u.known, u.listed = u.isThere(), false; !u.known {
		delete(p.users, u.User)
	}
	u.shown = u.known
}

// expire ends the grace of users.
func (p *presence) expire(now time.Time) {
	for len(p.vanished) > 0 && now.Sub(p.vanished[0].at) >= p.Grace {
		if v := p.vanished[0]; v.counts() {
			p.gone(v.user)
		}
		p.vanished[0] = vanishing{}
		p.vanished = p.vanished[1:]
	}
	if len(p.vanished) == 0 {
		p.vanished = nil
	}
}

// settle takes it that watchers know all that has changed, and returns what that is.
func (p *presence) settle() (in []wire.Present, out []string) {
	for _, u := range p.changed {
		switch there := u.isThere(); {
		case there && !u.known:
			in = append(in, u.Present)
		case !there && u.shown:
			out = append(out, u.User)
		}
		p.learn(u)
	}
	p.changed = nil
	return in, out
}

// count finds out whether there are too many to tell names.
func (p *presence) count() {
	switch {
	case p.there > p.Max:
		p.crowded = true
	case 4*p.there < 3*p.Max:
		p.crowded = false
	}
}

// all returns who is there.
func (p *presence) all() *wire.Here {
	h := &wire.Here{Users: uint64(p.there), Names: !p.crowded} // #nosec G115 -- a count
	if h.Names {
		for _, u := range p.users {
			if u.isThere() {
				h.In = append(h.In, u.Present)
			}
		}
	}
	return h
}

// watch makes a member a watcher, and returns what it is told first.
func (p *presence) watch(m *Member) *wire.Here {
	p.expire(time.Now())
	p.count()
	p.dense = p.crowded || p.dense && len(p.watchers) > 0
	if m.watches == 0 {
		p.watchers = append(p.watchers, m)
		m.watches = len(p.watchers)
	}
	for _, u := range p.changed { // of which this watcher knows more than others
		if u.isThere() {
			u.shown = true
		} else {
			u.known = false
		}
	}
	return p.all()
}

func (p *presence) unwatch(m *Member) {
	if m.watches == 0 {
		return
	}
	last := len(p.watchers) - 1
	moved := p.watchers[last]
	p.watchers[m.watches-1], moved.watches = moved, m.watches
	p.watchers[last] = nil
	p.watchers = p.watchers[:last]
	m.watches = 0
	if last == 0 {
		p.settle()
	}
}

// change returns what watchers are told now, or nil.
func (p *presence) change(now time.Time) *wire.Here {
	p.expire(now)
	if len(p.watchers) == 0 || now.Sub(p.told) < tellEvery {
		return nil
	}
	p.told = now
	p.count()
	in, out := p.settle()
	wasDense := p.dense
	p.dense = p.crowded
	switch {
	case !p.crowded && wasDense:
		h := p.all()
		h.Out = out // for watchers who have been told names all the same
		return h
	case len(in)+len(out) == 0 && p.crowded == wasDense:
		return nil
	case p.crowded:
		return &wire.Here{Users: uint64(p.there)} // #nosec G115 -- a count
	}
	return &wire.Here{Users: uint64(p.there), Names: true, In: in, Out: out} // #nosec G115 -- a count
}

// nextDue returns when there is something to do, or the zero time.
func (p *presence) nextDue() (at time.Time) {
	if len(p.vanished) > 0 {
		at = p.vanished[0].at.Add(p.Grace)
	}
	if len(p.changed) > 0 || len(p.watchers) > 0 && p.crowded != p.dense {
		if tell := p.told.Add(tellEvery); at.IsZero() || tell.Before(at) {
			at = tell
		}
	}
	return at
}

// remindOfPresence has the owner call TellPresence when something is due. One that it knows to be due sooner is enough.
func (t *Topic) remindOfPresence() {
	p := t.presence
	if p == nil {
		return
	}
	if due := p.nextDue(); !due.IsZero() && (p.due.IsZero() || due.Before(p.due)) && t.onPresence != nil {
		p.due = due
		t.onPresence(t, due)
	}
}

func (tellNow) handle(t *Topic) {
	p := t.presence
	p.due = time.Time{}
	if h := p.change(time.Now()); h != nil {
		b := wire.NewAnswers(wire.V2, wire.AppendHere(nil, t.name, h), 1).About(t.name)
		b.Unasked = true
		t.handTo(b, p.watchers)
	}
	t.notePresent()
}

func (m present) handle(t *Topic) {
	if t.presence == nil {
		m.Reply(wire.Here{})
		return
	}
	t.presence.expire(time.Now())
	t.presence.count()
	m.Reply(*t.presence.all())
	t.notePresent()
}

// notePresent is called when members or users have changed.
func (t *Topic) notePresent() {
	if t.presence != nil {
		t.there.Store(int64(t.presence.there))
		t.remindOfPresence()
	}
}
