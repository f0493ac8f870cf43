package topic

import (
	"context"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Who is in a topic on other instances of a group. Each instance tells the others who comes and goes at its own, and everything again every
// few seconds, so that what was lost on the way is made up for, and an instance that has ended without a word is forgotten. All functions in
// this file run in the topic's actor, but Hear, which runs in edges.

const (
	// shareEvery is how long an instance waits before it says everything again.
	shareEvery = 5 * time.Second
	// silentFor is after how long an instance is forgotten that says nothing.
	silentFor = 3 * shareEvery
)

// Shared is what an instance tells the others of who is in a topic there.
type Shared struct {
	All   bool           // In is all who are there
	In    []wire.Present // who have come, or whose info is another one; or all
	Out   []string       // who have gone
	Crowd int            // there are so many that no names are told; then the others are not set
}

// elsewhere is who is in a topic on another instance. Owned by the topic.
type elsewhere struct {
	users map[string]struct{}
	crowd int // users without names
	heard time.Time
}

// heard is what another instance has told.
type heard struct {
	node string
	Shared
}

// Hear notes what another instance has told. It blocks while the mailbox is full. It returns actor.ErrStopped after Stop, or the context's
// error. Only edges may call it.
func (t *Topic) Hear(ctx context.Context, node string, s Shared) error {
	return t.Put(ctx, heard{node, s})
}

// KnowsPresence reports whether the topic knows who is in it. Any goroutine may call it.
func (t *Topic) KnowsPresence() bool { return t.presence != nil }

// share notes that the others are to be told of a user of this instance.
func (p *presence) share(u *user) {
	if p.shares && !u.unshared {
		u.unshared = true
		p.unshared = append(p.unshared, u)
	}
}

// shareDue returns when the others are to be told something, or the zero time.
func (p *presence) shareDue() time.Time {
	switch {
	case !p.shares:
		return time.Time{}
	case len(p.unshared) > 0:
		return p.shared.Add(tellEvery)
	case p.here > 0:
		return p.sharedAll.Add(shareEvery)
	}
	return time.Time{}
}

// sharePresence tells the others what is due; or all of what they are to be told, with now. There must be a presence.
func (t *Topic) sharePresence(now bool) {
	p := t.presence
	if due := p.shareDue(); due.IsZero() || !now && due.After(time.Now()) {
		return
	}
	if s := p.takeShared(time.Now()); s.Crowd > 0 || s.All || len(s.In)+len(s.Out) > 0 {
		t.onShare(t, s)
	}
}

// takeShared returns what the others are to be told, and records that they know.
func (p *presence) takeShared(now time.Time) (s Shared) {
	switch {
	case p.here > p.Max:
		s.Crowd = p.here
	case p.here > 0 && now.Sub(p.sharedAll) >= shareEvery, p.sharedCrowd:
		s.All = true
		for _, u := range p.users {
			if u.isHere() {
				s.In = append(s.In, u.Present)
				u.shared = true
			}
		}
	}
	for _, u := range p.unshared {
		switch here := u.isHere(); {
		case s.All || s.Crowd > 0:
		case here:
			s.In = append(s.In, u.Present)
		case u.shared:
			s.Out = append(s.Out, u.User)
		}
		u.unshared, u.shared = false, u.isHere()
	}
	p.unshared, p.shared, p.sharedCrowd = nil, now, s.Crowd > 0
	if s.All || s.Crowd > 0 {
		p.sharedAll = now
	}
	return s
}

// handle updates what is known of the instance. One that is new is told soon who is here.
func (m heard) handle(t *Topic) {
	p := t.presence
	if p == nil {
		return
	}
	e := p.elsewhere[m.node]
	if e == nil {
		e = &elsewhere{users: make(map[string]struct{})}
		if p.elsewhere == nil {
			p.elsewhere = make(map[string]*elsewhere)
		}
		p.elsewhere[m.node] = e
		p.sharedAll = time.Time{}
	}
	e.heard = time.Now()
	if m.All || m.Crowd > 0 {
		p.keepOnly(e, m.In)
	}
	p.there += m.Crowd - e.crowd
	e.crowd = m.Crowd
	for _, of := range m.In {
		p.enterElsewhere(e, of)
	}
	for _, name := range m.Out {
		p.exitElsewhere(e, name)
	}
	if len(e.users) == 0 && e.crowd == 0 {
		delete(p.elsewhere, m.node)
	}
	t.notePresent()
}

// keepOnly removes the users of an instance that are not among these.
func (p *presence) keepOnly(e *elsewhere, all []wire.Present) {
	stay := make(map[string]struct{}, len(all))
	for _, of := range all {
		stay[of.User] = struct{}{}
	}
	for name := range e.users {
		if _, stays := stay[name]; !stays {
			p.exitElsewhere(e, name)
		}
	}
}

func (p *presence) enterElsewhere(e *elsewhere, of wire.Present) {
	u := p.user(of.User)
	if !u.isThere() {
		p.there++
	}
	if _, known := e.users[of.User]; !known {
		e.users[of.User] = struct{}{}
		u.elsewhere++
	}
	if !u.isHere() && u.Info != of.Info { // what is known here of a user counts more
		u.Info, u.known = of.Info, false
	}
	p.note(u)
}

func (p *presence) exitElsewhere(e *elsewhere, name string) {
	if _, known := e.users[name]; !known {
		return
	}
	delete(e.users, name)
	u := p.users[name]
	if u.elsewhere--; !u.isThere() {
		p.there--
		p.note(u)
	}
}

// forgetSilent forgets the instances that have said nothing for long.
func (p *presence) forgetSilent(now time.Time) {
	for node, e := range p.elsewhere {
		if now.Sub(e.heard) >= silentFor {
			p.keepOnly(e, nil)
			p.there -= e.crowd
			delete(p.elsewhere, node)
		}
	}
}

// silentDue returns when an instance is to be forgotten, or the zero time.
func (p *presence) silentDue() (at time.Time) {
	for _, e := range p.elsewhere {
		if due := e.heard.Add(silentFor); at.IsZero() || due.Before(at) {
			at = due
		}
	}
	return at
}
