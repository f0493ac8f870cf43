package topic_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// watcher is a subscriber of tank.v2 that keeps what it is told of who is present.
type watcher struct {
	t       *testing.T
	n       uint64
	users   map[string]string // nil: it is told no names
	told    time.Time         // the last time, answers aside
	answers int
}

func (w *watcher) Encoding() wire.Encoding { return wire.V2 }
func (w *watcher) Flush()                  {}

func (w *watcher) Deliver(b *wire.Batch) (taken, idle bool) {
	type here struct {
		N   uint64
		In  map[string]json.RawMessage
		Out []string
	}
	var said struct {
		OK   *struct{ Here *here }
		Here *here
	}
	for _, f := range decode(w.t, b.Frames[wire.V2]) {
		if err := json.Unmarshal([]byte(f.payload), &said); err != nil {
			w.t.Errorf("%s: %v", f.payload, err)
		}
	}
	h := said.Here
	switch {
	case said.OK != nil:
		h = said.OK.Here
		w.answers++
		w.users = nil
	case h == nil:
		return true, false // a reset
	case time.Since(w.told) < time.Second:
		w.t.Errorf("told %+v %v behind the last time", h, time.Since(w.told))
	default:
		w.told = time.Now()
	}
	if !b.Answers || b.Unasked != (said.OK == nil) {
		w.t.Errorf("%+v may be dropped, or is taken for an answer", h)
	}
	w.n = h.N
	if h.In == nil && h.Out == nil {
		w.users = nil
		return true, false
	}
	if w.users == nil {
		w.users = map[string]string{}
	}
	for user, info := range h.In {
		w.users[user] = string(info)
	}
	for _, user := range h.Out {
		if _, known := w.users[user]; !known && said.OK == nil && len(w.users) == 0 {
			w.t.Errorf("%s has gone, and nobody was there", user)
		}
		delete(w.users, user)
	}
	return true, false
}

// crowd is a topic that knows who is in it, its owner, and a model of both.
type crowd struct {
	t       *testing.T
	x       *topic.Topic
	most    int                        // names that are told
	members map[string][]*topic.Member // by user
	graced  map[string]time.Time       // when they vanished
	infos   map[string]string
	present []*watcher
	watch   map[*watcher]*topic.Member
}

const (
	grace      = 10 * time.Second
	watcherIDs = "watcher"
)

func newCrowd(t *testing.T, most int) *crowd {
	c := &crowd{t: t, most: most, members: map[string][]*topic.Member{}, graced: map[string]time.Time{}, infos: map[string]string{}, watch: map[*watcher]*topic.Member{}}
	c.x = topic.Spawn("room", topic.Options{
		Presence:   topic.Presence{Enabled: true, Grace: grace, Max: most},
		OnPresence: func(x *topic.Topic, due time.Time) { time.AfterFunc(max(0, time.Until(due)), x.TellPresence) },
	})
	t.Cleanup(c.x.Stop)
	return c
}

func (c *crowd) enter(user, info string) {
	m := &topic.Member{Subscriber: new(inbox), User: user, Info: info}
	c.x.Join(m)
	c.members[user] = append(c.members[user], m)
	c.infos[user] = info
	delete(c.graced, user)
}

func (c *crowd) leave(user string, vanished bool) {
	all := c.members[user]
	if len(all) == 0 {
		return
	}
	c.x.Leave(all[0], vanished, nil)
	if c.members[user] = all[1:]; len(all) > 1 {
		return
	}
	delete(c.members, user)
	if vanished {
		c.graced[user] = time.Now()
	}
}

// watcherComes lets one come, or ask again.
func (c *crowd) watcherComes(n int) {
	if n < len(c.present) {
		c.x.Ask(c.watch[c.present[n]], &topic.Ask{ID: 1, Watch: true})
		return
	}
	w := &watcher{t: c.t}
	m := (&topic.Member{Subscriber: w, User: fmt.Sprint(watcherIDs, len(c.watch))}).Asking(&topic.Ask{ID: 1, Watch: true})
	c.x.Join(m)
	c.present, c.watch[w] = append(c.present, w), m
	c.infos[m.User] = ""
}

func (c *crowd) watcherGoes() {
	if len(c.present) > 0 {
		c.x.Leave(c.watch[c.present[0]], false, nil)
		c.present = c.present[1:]
	}
}

// there returns who is there, in the model.
func (c *crowd) there() map[string]string {
	all := map[string]string{}
	add := func(user string) {
		if all[user] = c.infos[user]; all[user] == "" {
			all[user] = "{}"
		}
	}
	for user := range c.members {
		add(user)
	}
	for user, at := range c.graced {
		if time.Since(at) < grace {
			add(user)
		}
	}
	for _, w := range c.present {
		add(c.watch[w].User)
	}
	return all
}

// check compares what watchers know, and what the topic says.
func (c *crowd) check() string {
	want := c.there()
	here, err := c.x.Present(c.t.Context())
	if err != nil || here.Users != uint64(len(want)) || c.x.Stats().Users != len(want) {
		return fmt.Sprintf("the topic says %+v, %v, and counts %d; want %v", here, err, c.x.Stats().Users, want)
	}
	for i, w := range c.present {
		switch {
		case w.n != here.Users, here.Names != (w.users != nil), w.users != nil && !maps.Equal(w.users, want):
			return fmt.Sprintf("watcher %d knows %d, %v; want %v (names: %v)", i, w.n, w.users, want, here.Names)
		case len(want) > c.most && w.users != nil, 4*len(want) < 3*c.most && w.users == nil:
			return fmt.Sprintf("of %d, the names are told: %v", len(want), w.users)
		}
	}
	return ""
}

// uniform draws each value as often as any other one.
func uniform(values ...int) *rapid.Generator[int] {
	var each []*rapid.Generator[int]
	for _, v := range values {
		each = append(each, rapid.Just(v))
	}
	return rapid.OneOf(each...)
}

// TestWatchersKnowWhoIsThere, whatever happens, as soon as nothing has happened for a second; and they are never told more often.
func TestWatchersKnowWhoIsThere(t *testing.T) {
	type step struct{ What, User, Wait int }
	what, users := uniform(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10), uniform(0, 1, 2, 3, 4, 5)
	waits := uniform(0, 0, 0, 0, 300, 300, 1000, 5000, 11000) // milliseconds
	steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{what.Draw(t, "what"), users.Draw(t, "user"), waits.Draw(t, "ms")}
	}), 30, 90)
	rapid.Check(t, func(rt *rapid.T) {
		program := steps.Draw(rt, "program")
		var failure string
		synctest.Test(t, func(t *testing.T) {
			c := newCrowd(t, 4)
			for _, s := range program {
				user := fmt.Sprint("user", s.User)
				switch s.What {
				case 0, 1:
					c.enter(user, "")
				case 2:
					c.enter(user, fmt.Sprintf(`{"at":%d}`, time.Now().Unix()))
				case 3, 4, 5:
					c.leave(user, false)
				case 6, 7:
					c.leave(user, true)
				case 8, 9:
					c.watcherComes(s.User % 4)
				case 10:
					c.watcherGoes()
				}
				time.Sleep(time.Duration(s.Wait) * time.Millisecond)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			failure = c.check()
		})
		if failure != "" {
			rt.Fatal(failure)
		}
	})
}

// TestWatchersWhoComeInBetween get a snapshot of what the others are told only later; then they are told what becomes of it.
func TestWatchersWhoComeInBetween(t *testing.T) {
	for name, steps := range map[string]func(c *crowd){
		"somebody comes, is shown, and goes": func(c *crowd) {
			c.enter("user", "")
			c.watcherComes(1)
			c.leave("user", false)
		},
		"a crowd comes, is counted, and goes": func(c *crowd) {
			for i := range c.most {
				c.enter(fmt.Sprint("user", i), "")
			}
			c.watcherComes(1)
			for i := range c.most {
				c.leave(fmt.Sprint("user", i), false)
			}
			c.leave("first", false)
		},
		"two watchers come to a crowd, it goes, and one asks again": func(c *crowd) {
			for i := range c.most {
				c.enter(fmt.Sprint("user", i), "")
			}
			c.watcherComes(1)
			c.watcherComes(2)
			for i := range c.most {
				c.leave(fmt.Sprint("user", i), false)
			}
			c.watcherComes(1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd(t, 6)
				c.watcherComes(0)
				c.enter("first", "") // is told at once, and so nothing else for a second
				time.Sleep(time.Millisecond)
				steps(c)
				time.Sleep(time.Minute)
				synctest.Wait()
				if failure := c.check(); failure != "" {
					t.Error(failure)
				}
			})
		})
	}
}

// BenchmarkCrowdComes measures a user who comes to a topic and watches it, while those who are there are told once for every 1,000 who come.
func BenchmarkCrowdComes(b *testing.B) {
	for _, most := range []int{250, 100_000} {
		b.Run(fmt.Sprint("names of ", most), func(b *testing.B) {
			x := topic.Spawn("room", topic.Options{Presence: topic.Presence{Enabled: true, Grace: grace, Max: most}})
			defer x.Stop()
			b.ReportAllocs()
			var members []*topic.Member
			for i := range b.N {
				m := (&topic.Member{Subscriber: v2Sink{}, User: fmt.Sprint("user", i%10_000)}).Asking(&topic.Ask{ID: 1, Watch: most < 1000})
				x.Join(m)
				if members = append(members, m); i%1000 == 999 {
					x.TellPresence()
				}
			}
			for _, m := range members {
				x.Leave(m, false, nil)
			}
			if _, err := x.Present(b.Context()); err != nil { // behind all that
				b.Fatal(err)
			}
		})
	}
}

// v2Sink is a subscriber of tank.v2 that keeps nothing.
type v2Sink struct{}

func (v2Sink) Deliver(*wire.Batch) (taken, idle bool) { return true, false }
func (v2Sink) Flush()                                 {}
func (v2Sink) Encoding() wire.Encoding                { return wire.V2 }

// TestSnapshotsAreRightBeforeAnybodyIsReminded, whoever asks: a watcher, or the program.
func TestSnapshotsAreRightBeforeAnybodyIsReminded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		crowd := func(users int) *topic.Topic {
			x := topic.Spawn("room", topic.Options{Presence: topic.Presence{Enabled: true, Grace: grace, Max: 4}}) // whose owner is busy
			t.Cleanup(x.Stop)
			for i := range users {
				x.Join(&topic.Member{Subscriber: new(inbox), User: fmt.Sprint("user", i)})
			}
			bob := &topic.Member{Subscriber: new(inbox), User: "bob"}
			x.Join(bob)
			x.Leave(bob, true, nil)
			time.Sleep(grace)
			return x
		}
		for users, names := range map[int]bool{2: true, 6: false} {
			w := &watcher{t: t}
			crowd(users).Join((&topic.Member{Subscriber: w, User: "ann"}).Asking(&topic.Ask{ID: 1, Watch: true}))
			synctest.Wait()
			if w.n != uint64(users+1) || (w.users != nil) != names || names && len(w.users) != users+1 {
				t.Errorf("a watcher who comes to %d is told %d, %v", users, w.n, w.users)
			}
			here, err := crowd(users).Present(t.Context())
			if err != nil || here.Users != uint64(users) || here.Names != names || names && len(here.In) != users {
				t.Errorf("of %d, the program is told %+v, %v", users, here, err)
			}
		}
	})
}
