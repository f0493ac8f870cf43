package topic

import (
	"context"
	"slices"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Who is in a topic. All functions in this file run in the topic's actor, but Present, which runs in edges, and TellPresence, which the
// owner calls.

// Presence says whether a topic knows who is in it, and what it tells watchers.
type Presence struct {
	Enabled bool
	Grace   time.Duration // how long a user stays whose last connection was lost
	Max     int           // of more users, only the number is told
}

// tellEvery is the least time between two notices of who has come and gone.
const tellEvery = time.Second

// presence is who is in a topic. A user is there while one of its connections is a member, and for the grace after the last of them has
// vanished. Watchers are members who are told of changes. Owned by the topic.
//
// Invariant: each user is known if it is there, or is in changed. Without watchers, changed is empty.
type presence struct {
	Presence
	users    map[string]*user
	there    int // how many users are there
	changed  []*user
	vanished []vanishing // in the order of time; some may have come back since
	watchers []*Member
	crowded  bool      // there are so many users that watchers are told no names
	dense    bool      // some watcher has been told no names
	recount  bool      // how many there are has changed, and no name with that
	told     time.Time // when watchers were told last
	due      time.Time // when the owner is to call TellPresence; zero: it is not asked to

	// Behind a broker, see elsewhere.go.
	shares      bool                 // others are told of the users of this instance
	here        int                  // users of this instance
	instances   map[string]*instance // the others on which somebody is there, by their nodes
	unshared    []*user              // of this instance, of whom others are to be told
	sharedAt    time.Time            // when others were told last
	sharedAllAt time.Time            // when they were told everything last
	sharedCrowd bool                 // what they were told last was a number
}

// user is a user who is there, or was when watchers were told last.
type user struct {
	wire.Present
	connections int
	vanished    time.Time // when the last connection vanished; zero: there are some, or it has gone
	known       bool      // all watchers know that it is there, and its info
	shown       bool      // some watcher takes it to be there
	listed      bool      // it is among changed
	elsewhere   int       // other instances on which it is there
	unshared    bool      // it is among those of whom others are to be told
	shared      bool      // others were told that it is here
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

// isHere reports whether the user is there, as far as this instance is concerned.
func (u *user) isHere() bool { return u.connections > 0 || !u.vanished.IsZero() }

// isThere reports whether the user is there.
func (u *user) isThere() bool { return u.isHere() || u.elsewhere > 0 }

// user returns the user of an id, who may be new.
func (p *presence) user(id string) *user {
	u := p.users[id]
	if u == nil {
		u = &user{Present: wire.Present{User: id}}
		p.users[id] = u
	}
	return u
}

// enter counts a new member as a connection of its user. A nil presence counts nobody.
func (p *presence) enter(m *Member) {
	if p == nil || m.User == "" {
		return
	}
	u := p.user(m.User)
	if !u.isThere() {
		p.there++
	}
	if !u.isHere() {
		p.here++
		p.share(u)
	}
	if u.Info != m.Info {
		u.Info, u.known = m.Info, false
		p.share(u)
	}
	u.connections++
	u.vanished = time.Time{}
	p.note(u)
}

// exit takes a former member from the connections of its user, who has the grace to come back if it has vanished. A nil presence counts
// nobody.
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

// gone records that a user is not here any more.
func (p *presence) gone(u *user) {
	u.vanished = time.Time{}
	p.here--
	p.share(u)
	if !u.isThere() {
		p.there--
		p.note(u)
	}
}

// note lists a user as changed, unless all watchers know that it is there. Without watchers, there is nobody to tell.
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

// learn records that all watchers know whether a user is there. One that is not is forgotten.
func (p *presence) learn(u *user) {
	if u.known, u.listed = u.isThere(), false; !u.known {
		delete(p.users, u.User)
	}
	u.shown = u.known
}

// expire removes users whose grace has ended, and those of instances that are silent.
func (p *presence) expire(now time.Time) {
	p.forgetSilent(now)
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

// settle returns who has come and gone since watchers were told last, and records that they know.
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

// count decides whether there are too many users to tell names. Between three quarters of Max and Max, that stays as it is, and does not
// change with every user.
func (p *presence) count() {
	switch {
	case p.there > p.Max:
		p.crowded = true
	case 4*p.there < 3*p.Max:
		p.crowded = false
	}
}

// number returns how many users are there, for names to be added unless there are too many.
func (p *presence) number() *wire.Here {
	return &wire.Here{Users: uint64(p.there), Names: !p.crowded} // #nosec G115 -- a count
}

// all returns who is there.
func (p *presence) all() *wire.Here {
	h := p.number()
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
	p.recount = p.recount && len(p.watchers) > 0
	if m.watches == 0 {
		p.watchers = append(p.watchers, m)
		m.watches = int32(len(p.watchers)) // #nosec G115 -- 2^31 do not fit into memory
	}
	for _, u := range p.changed { // this watcher knows these, and the others do not yet
		if u.isThere() {
			u.shown = true
		} else {
			u.known = false
		}
	}
	return p.all()
}

// unwatch makes a watcher a member like any other.
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

// change returns what watchers are to be told now, or nil.
func (p *presence) change(now time.Time) *wire.Here {
	p.expire(now)
	if len(p.watchers) == 0 || now.Sub(p.told) < tellEvery {
		return nil
	}
	p.told = now
	p.count()
	in, out := p.settle()
	wasDense, recount := p.dense, p.recount
	p.dense, p.recount = p.crowded, false
	switch {
	case !p.crowded && wasDense:
		h := p.all()
		h.Out = out // for watchers who have been told names all the same
		return h
	case len(in)+len(out) == 0 && p.crowded == wasDense && !recount:
		return nil
	}
	h := p.number()
	if h.Names {
		h.In, h.Out = in, out
	}
	return h
}

// nextDue returns when the next grace ends, or watchers or other instances are to be told, whichever is first, or the zero time.
func (p *presence) nextDue() (at time.Time) {
	earlier := func(due time.Time) {
		if at.IsZero() || !due.IsZero() && due.Before(at) {
			at = due
		}
	}
	if len(p.vanished) > 0 {
		earlier(p.vanished[0].at.Add(p.Grace))
	}
	if len(p.changed) > 0 || len(p.watchers) > 0 && (p.crowded != p.dense || p.recount) {
		earlier(p.told.Add(tellEvery))
	}
	earlier(p.shareDue())
	earlier(p.silentDue())
	return at
}

// remindOfPresence asks the owner to call TellPresence when something is due, unless it is to call earlier already. There must be a
// presence.
func (t *Topic) remindOfPresence() {
	p := t.presence
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
	t.sharePresence(false)
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

// notePresent passes on what has changed, to Stats and to the owner. Whatever changes members or users calls it.
func (t *Topic) notePresent() {
	if t.presence != nil {
		t.noteThere(t.presence.there)
		if t.presence.here == 0 {
			t.sharePresence(true) // the topic may be about to end
		}
		t.remindOfPresence()
	}
}

// noteThere passes on how many users are present.
func (t *Topic) noteThere(users int) {
	if now := int64(users); now != t.there.Load() {
		t.counters.Present.Add(now - t.there.Swap(now))
	}
}
