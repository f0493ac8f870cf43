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
	// maxInstances is of how many others a topic knows who is in it there.
	maxInstances = 1024
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

// instance is another instance, and who is in the topic there. Owned by the topic.
type instance struct {
	users   map[string]struct{}
	crowd   int // users without names
	heardAt time.Time
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
		return p.sharedAt.Add(tellEvery)
	case p.here > 0:
		return p.sharedAllAt.Add(shareEvery)
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

// knowsHere reports whether the user of an id is here: one who has gone may have come back as another user of that id.
func (p *presence) knowsHere(id string) bool {
	u := p.users[id]
	return u != nil && u.isHere()
}

// takeShared returns what the others are to be told, and records that they know.
func (p *presence) takeShared(now time.Time) (s Shared) {
	switch {
	case p.here > p.Max:
		s.Crowd = p.here
	case p.here > 0 && now.Sub(p.sharedAllAt) >= shareEvery, p.sharedCrowd:
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
		case u.shared && !p.knowsHere(u.User):
			s.Out = append(s.Out, u.User)
		}
		u.unshared, u.shared = false, u.isHere()
	}
	p.unshared, p.sharedAt, p.sharedCrowd = nil, now, s.Crowd > 0
	if s.All || s.Crowd > 0 {
		p.sharedAllAt = now
	}
	return s
}

// handle updates what is known of the instance. One that is new is told soon who is here.
func (m heard) handle(t *Topic) {
	p := t.presence
	if p == nil {
		return
	}
	other := p.instances[m.node]
	if other == nil && len(p.instances) == maxInstances {
		return // a stranger makes them up
	}
	if other == nil {
		other = &instance{users: make(map[string]struct{})}
		if p.instances == nil {
			p.instances = make(map[string]*instance)
		}
		p.instances[m.node] = other
		p.sharedAllAt = time.Time{}
	}
	other.heardAt = time.Now()
	if m.All || m.Crowd > 0 {
		p.keepOnly(other, m.In)
	}
	p.setCrowd(other, m.Crowd)
	for _, of := range m.In {
		p.enterElsewhere(other, of)
	}
	for _, name := range m.Out {
		p.exitElsewhere(other, name)
	}
	if len(other.users) == 0 && other.crowd == 0 {
		delete(p.instances, m.node)
	}
	t.notePresent()
}

// setCrowd notes how many users without names an instance has, of which watchers are told the number alone.
func (p *presence) setCrowd(other *instance, users int) {
	if users != other.crowd {
		p.there += users - other.crowd
		other.crowd, p.recount = users, true
	}
}

// keepOnly removes the users of an instance that are not among these.
func (p *presence) keepOnly(other *instance, all []wire.Present) {
	stay := make(map[string]struct{}, len(all))
	for _, of := range all {
		stay[of.User] = struct{}{}
	}
	for name := range other.users {
		if _, stays := stay[name]; !stays {
			p.exitElsewhere(other, name)
		}
	}
}

func (p *presence) enterElsewhere(other *instance, of wire.Present) {
	u := p.user(of.User)
	if !u.isThere() {
		p.there++
	}
	if _, known := other.users[of.User]; !known {
		other.users[of.User] = struct{}{}
		u.elsewhere++
	}
	if !u.isHere() && u.Info != of.Info { // what is known here of a user counts more
		u.Info, u.known = of.Info, false
	}
	p.note(u)
}

func (p *presence) exitElsewhere(other *instance, name string) {
	if _, known := other.users[name]; !known {
		return
	}
	delete(other.users, name)
	u := p.users[name]
	if u.elsewhere--; !u.isThere() {
		p.there--
		p.note(u)
	}
}

// forgetSilent forgets the instances that have said nothing for long.
func (p *presence) forgetSilent(now time.Time) {
	for node, other := range p.instances {
		if now.Sub(other.heardAt) >= silentFor {
			p.keepOnly(other, nil)
			p.setCrowd(other, 0)
			delete(p.instances, node)
		}
	}
}

// silentDue returns when an instance is to be forgotten, or the zero time.
func (p *presence) silentDue() (at time.Time) {
	for _, other := range p.instances {
		if due := other.heardAt.Add(silentFor); at.IsZero() || due.Before(at) {
			at = due
		}
	}
	return at
}
