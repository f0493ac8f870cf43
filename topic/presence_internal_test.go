package topic

import (
	"testing"
	"time"
)

// TestFlappingUsersCostNothingMore: whoever comes and vanishes again and again within a long grace is remembered once.
func TestFlappingUsersCostNothingMore(t *testing.T) {
	p := &presence{Presence: Presence{Enabled: true, Grace: 24 * time.Hour, Max: 10}, users: map[string]*user{}}
	ann, bob := &Member{User: "ann"}, &Member{User: "bob"}
	p.enter(bob)
	p.exit(bob, true)
	for range 1000 {
		p.enter(ann)
		p.exit(ann, true)
	}
	if n := len(p.vanished); n > 20 {
		t.Errorf("of 2 users, %d ends of a grace are remembered", n)
	}
	if p.there != 2 {
		t.Errorf("%d are there", p.there)
	}
	p.expire(time.Now().Add(25 * time.Hour))
	if p.there != 0 || len(p.vanished) != 0 || len(p.users) != 0 {
		t.Errorf("in the end, %d are there, %d may be, and %d are known", p.there, len(p.vanished), len(p.users))
	}
}

// TestOnlyChangesAreRemembered: of a user who comes and goes between two notices once, and of a user whom watchers know nothing, however
// many connections it has.
func TestOnlyChangesAreRemembered(t *testing.T) {
	p := &presence{Presence: Presence{Enabled: true, Grace: time.Second, Max: 10}, users: map[string]*user{}}
	watcher := &Member{User: "ann"}
	p.enter(watcher)
	p.watch(watcher)
	for range 100 {
		p.enter(&Member{User: "bob"})
		p.exit(&Member{User: "bob"}, false)
	}
	if n := len(p.changed); n != 1 {
		t.Errorf("of a user who has come and gone, %d changes are remembered", n)
	}
	p.enter(&Member{User: "bob"})
	p.settle()
	p.enter(&Member{User: "bob"})
	p.exit(&Member{User: "bob"}, false)
	if n := len(p.changed); n != 0 {
		t.Errorf("of a user whom the watcher knows, %d changes are remembered", n)
	}
}
