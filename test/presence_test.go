package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// Who is in a topic.

// withPresence serves an instance whose topic news knows who is in it.
func withPresence(t *testing.T, p tank.Presence, opts ...tank.Option) (*tank.Manager, *tanktest.Server) {
	t.Helper()
	p.Enabled = true
	m := tank.NewInstance(append(opts, tank.WithTopics("news", tank.TopicOptions{Presence: p}))...)
	s := tanktest.Serve(t, m)
	s.Patience = time.Minute
	return m, s
}

func dialAs(s *tanktest.Server, user string, opts ...tanktest.DialOption) *tanktest.ClientV2 {
	return s.DialV2("/?user_id="+user, opts...)
}

// hereText writes in short who is there, or has come and gone.
func hereText(h tanktest.Here) string {
	var changes []string
	for _, user := range slices.Sorted(maps.Keys(h.In)) {
		if info := string(h.In[user]); info != "{}" {
			user += info
		}
		changes = append(changes, "+"+user)
	}
	slices.Sort(h.Out)
	for _, user := range h.Out {
		changes = append(changes, "-"+user)
	}
	return fmt.Sprint(h.Users, " ", strings.Join(changes, " "))
}

func expectHere(t *testing.T, c *tanktest.ClientV2, want string) {
	t.Helper()
	if got := hereText(c.ExpectHere("news")); got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

func expectSnapshot(t *testing.T, got tanktest.Subscription, want string) {
	t.Helper()
	if got.Here == nil || hereText(*got.Here) != want {
		t.Errorf("told %+v first, want %q", got.Here, want)
	}
}

func TestPresenceTellsWhoComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := withPresence(t, tank.Presence{Info: func(c *tank.Client) any {
			if c.UserID() == "ann" {
				return map[string]string{"mood": "<good>"}
			}
			return nil
		}})
		plain := s.Dial("/?user_id=zoe")
		plain.Subscribe("news")
		ann, bob := dialAs(s, "ann"), dialAs(s, "bob")
		expectSnapshot(t, ann.Subscribe("news", tanktest.Watch()), `2 +ann{"mood":"<good>"} +zoe`)
		bob.Subscribe("news")
		expectHere(t, ann, "3 +bob") // and nothing about herself, whom she has been told already
		expectSnapshot(t, bob.Subscribe("news", tanktest.Watch()), `3 +ann{"mood":"<good>"} +bob +zoe`)

		bob.Unsubscribe("news") // at once
		expectHere(t, ann, "2 -bob")
		plain.Close(1000, "")
		expectHere(t, ann, "1 -zoe")

		got, err := m.Presence("news")
		if err != nil || got.Users != 1 || string(got.Info["ann"]) != `{"mood":"<good>"}` || len(got.Info) != 1 {
			t.Errorf("the server is told %+v, %v", got, err)
		}
		if topics := m.GetAllTopics(); len(topics) != 1 || topics[0].Users != 1 {
			t.Errorf("statistics say %+v", topics)
		}
		for topic, want := range map[string]error{"other": nil, "": tank.ErrInvalidTopic} {
			if got, err := m.Presence(topic); !errors.Is(err, want) || got.Users != 0 || got.Info != nil {
				t.Errorf("%q: %+v, %v", topic, got, err)
			}
		}
	})
}

// TestPresenceCountsUsersByTheirConnections: the first one makes a user come, the last one makes it go.
func TestPresenceCountsUsersByTheirConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := withPresence(t, tank.Presence{})
		ann := dialAs(s, "ann")
		ann.Subscribe("news", tanktest.Watch())
		var bobs []*tanktest.ClientV2
		for range 3 {
			bob := dialAs(s, "bob")
			bob.Subscribe("news")
			bob.Subscribe("news") // again, which is no other one
			bobs = append(bobs, bob)
		}
		expectHere(t, ann, "2 +bob")
		bobs[0].Close(1000, "")
		bobs[1].Unsubscribe("news")
		time.Sleep(5 * time.Second)
		ann.ExpectNothing()
		bobs[2].Close(1000, "")
		expectHere(t, ann, "1 -bob")
	})
}

// TestPresenceDoesNotFlicker: who vanishes has time to come back, and is told to have gone only then.
func TestPresenceDoesNotFlicker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := withPresence(t, tank.Presence{})
		ann, bob := dialAs(s, "ann"), dialAs(s, "bob")
		ann.Subscribe("news", tanktest.Watch())
		bob.Subscribe("news")
		expectHere(t, ann, "2 +bob")
		for range 3 {
			bob.Cut()
			time.Sleep(9 * time.Second)
			bob.Resume()
		}
		time.Sleep(20 * time.Second)
		ann.ExpectNothing()
		vanished := time.Now()
		bob.Cut()
		if got, err := m.Presence("news"); err != nil || got.Users != 2 {
			t.Errorf("right behind the cut: %+v, %v", got, err)
		}
		expectHere(t, ann, "1 -bob")
		if after := time.Since(vanished); after < 10*time.Second || after > 15*time.Second {
			t.Errorf("bob was gone after %v", after)
		}
	})
}

// TestWhoIsSentAwayLeavesAtOnce, unless it is told to come back.
func TestWhoIsSentAwayLeavesAtOnce(t *testing.T) {
	for code, atOnce := range map[tank.CloseCode]bool{
		tank.CloseNormal: true, tank.CloseForbidden: true, 4000: true,
		tank.CloseGoingAway: false, tank.CloseTryAgainLater: false, tank.CloseUnauthorized: false,
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, s := withPresence(t, tank.Presence{})
				ann, bob := dialAs(s, "ann"), dialAs(s, "bob")
				ann.Subscribe("news", tanktest.Watch())
				bob.Subscribe("news")
				expectHere(t, ann, "2 +bob")
				began := time.Now()
				if err := bob.Conn().Close(code, ""); err != nil {
					t.Fatal(err)
				}
				expectHere(t, ann, "1 -bob")
				if soon := time.Since(began) < 3*time.Second; soon != atOnce {
					t.Errorf("bob was gone after %v", time.Since(began))
				}
			})
		})
	}
}

// TestPresenceIsToldOnceASecond: one frame for all that has happened meanwhile, and none about who has come and gone.
func TestPresenceIsToldOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := withPresence(t, tank.Presence{})
		ann := dialAs(s, "ann")
		ann.Subscribe("news", tanktest.Watch())
		var last time.Time
		known, frames := map[string]bool{"ann": true}, 0
		clients := make(map[string]*tanktest.ClientV2)
		for i := range 100 {
			user := fmt.Sprint("user", i%30)
			if c := clients[user]; c == nil {
				c = dialAs(s, user)
				c.Subscribe("news")
				clients[user] = c
			} else {
				c.Close(1000, "")
				delete(clients, user)
			}
			time.Sleep(70 * time.Millisecond)
		}
		time.Sleep(3 * time.Second)
		ann.Close(1000, "")
		for _, m := range ann.Rest() {
			if m.Notice != "here" {
				t.Fatalf("got %v", m)
			}
			if frames++; m.At.Sub(last) < time.Second {
				t.Errorf("a frame comes %v behind another one", m.At.Sub(last))
			}
			last = m.At
			h := hereOf(t, m)
			for user := range h.In {
				if known[user] {
					t.Errorf("%s has come twice", user)
				}
				known[user] = true
			}
			for _, user := range h.Out {
				if !known[user] {
					t.Errorf("%s has gone, and was not there", user)
				}
				delete(known, user)
			}
			if h.Users != len(known) {
				t.Errorf("told that there are %d, and names of %d", h.Users, len(known))
			}
		}
		if len(known) != len(clients)+1 || frames < 5 || frames > 11 {
			t.Errorf("%d are known, want %d; told %d times", len(known), len(clients)+1, frames)
		}
	})
}

func hereOf(t *testing.T, m tanktest.Message) tanktest.Here {
	t.Helper()
	var said struct{ Here tanktest.Here }
	if err := json.Unmarshal([]byte(m.Data), &said); err != nil {
		t.Fatal(err)
	}
	return said.Here
}

// TestCrowdsAreCounted: above the maximum no names are told, and all of them again when there are clearly fewer.
func TestCrowdsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := withPresence(t, tank.Presence{Max: 8})
		ann := dialAs(s, "ann")
		ann.Subscribe("news", tanktest.Watch())
		users := make([]*tanktest.ClientV2, 11)
		enter := func(from, to int) {
			for i := from; i < to; i++ {
				users[i] = dialAs(s, fmt.Sprintf("u%02d", i))
				users[i].Subscribe("news")
			}
			time.Sleep(2 * time.Second)
		}
		leave := func(from, to int) {
			for i := from; i < to; i++ {
				users[i].Unsubscribe("news")
			}
			time.Sleep(2 * time.Second)
		}
		enter(0, 7)
		expectState(t, ann, "8 ann u00 u01 u02 u03 u04 u05 u06")
		enter(7, 8)
		expectLastly(t, ann, "9 ")
		enter(8, 11)
		expectLastly(t, ann, "12 ")
		late := dialAs(s, "late")
		expectSnapshot(t, late.Subscribe("news", tanktest.Watch()), "13 ")
		expectLastly(t, ann, "13 ")
		expectLastly(t, late, "13 ")
		leave(5, 11) // 7 are left: three quarters would be 6
		expectLastly(t, ann, "7 ")
		expectLastly(t, late, "7 ")
		leave(3, 5) // 5
		for _, c := range []*tanktest.ClientV2{ann, late} {
			expectLastly(t, c, "5 +ann +late +u00 +u01 +u02")
		}
		leave(0, 1)
		expectLastly(t, ann, "4 -u00")
	})
}

// expectLastly waits until a watcher is told this, at last. Who has gone may come behind it.
func expectLastly(t *testing.T, c *tanktest.ClientV2, want string) {
	t.Helper()
	for {
		if got := hereText(c.ExpectHere("news")); got == want || strings.HasPrefix(got, want+" -") {
			return
		}
	}
}

// expectState waits until a watcher that was alone has been told that these users are there.
func expectState(t *testing.T, c *tanktest.ClientV2, want string) {
	t.Helper()
	users := map[string]bool{"ann": true}
	for got := ""; got != want; {
		h := c.ExpectHere("news")
		for user := range h.In {
			users[user] = true
		}
		for _, user := range h.Out {
			delete(users, user)
		}
		got = fmt.Sprint(h.Users, " ", strings.Join(slices.Sorted(maps.Keys(users)), " "))
	}
}

func TestPresenceThatIsSwitchedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := withPresence(t, tank.Presence{}, tank.WithSubscribeAuthorizer(func(_ *tank.Client, topic string) error {
			if topic == "secret" {
				return errors.New("no")
			}
			return nil
		}))
		c := dialAs(s, "ann")
		c.SubscribeRefused("unsupported", "other", tanktest.Watch())
		c.SubscribeRefused("forbidden", "secret", tanktest.Watch()) // and nothing about it
		c.Subscribe("other")
	})
}

// TestInfoThatCannotBeTold costs nobody anything but what cannot be told.
func TestInfoThatCannotBeTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := withPresence(t, tank.Presence{Info: func(c *tank.Client) any {
			switch c.UserID() {
			case "huge":
				return strings.Repeat("x", 1<<10)
			case "large":
				return strings.Repeat("x", 1<<10-2)
			case "odd":
				return func() {}
			case "raw":
				return json.RawMessage("\"\xff\"")
			case "panics":
				panic("Info")
			}
			return c.UserID()
		}})
		ann := dialAs(s, "ann")
		ann.Subscribe("news", tanktest.Watch())
		for _, user := range []string{"huge", "large", "odd", "raw"} {
			c := dialAs(s, user)
			c.Subscribe("news")
			info := "{}"
			if user == "large" {
				info = `"` + strings.Repeat("x", 1<<10-2) + `"`
			} else if e := <-m.Errors; e.Code != tank.CodeSerialization || !errors.Is(e, tank.ErrInvalidData) || e.Topic != "news" {
				t.Errorf("%s: reported %v", user, e)
			}
			if h := ann.ExpectHere("news"); string(h.In[user]) != info {
				t.Errorf("%s: told %.40q", user, h.In[user])
			}
		}
		c := s.Dial("/?user_id=panics")
		c.Send("sub:news")
		c.ExpectClose(1011)
		if e := <-m.Errors; e.Code != tank.CodeInternal || e.Topic != "news" {
			t.Errorf("reported %v", e)
		}
		time.Sleep(3 * time.Second)
		ann.ExpectNothing()
	})
}

// TestASlowWatcherIsClosed when what it has to be told is more than its outbox may hold, whatever the policy: it is not dropped.
func TestASlowWatcherIsClosed(t *testing.T) {
	for _, policy := range []tank.OutboxPolicy{tank.OutboxClose, tank.OutboxDropOldest, tank.OutboxKeepLatest} {
		t.Run(policy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, s := withPresence(t, tank.Presence{Grace: time.Second, Info: func(*tank.Client) any { return strings.Repeat("x", 1000) }},
					tank.WithOutboxPolicy(policy), tank.WithLimits(tank.Limits{OutboxBytes: 8 << 10, WriteTimeout: time.Hour}), tank.WithHeartbeat(time.Hour, 2*time.Hour))
				slow := dialAs(s, "slow", tanktest.ReadBuffer(64))
				slow.Subscribe("news", tanktest.Watch())
				slow.Freeze()
				others := dialAs(s, "other")
				for i := 0; i < 40 && m.Stats().Evicted == 0; i++ {
					others.Subscribe("news")
					time.Sleep(1100 * time.Millisecond)
					others.Unsubscribe("news")
					time.Sleep(1100 * time.Millisecond)
				}
				if got := m.Stats(); got.Evicted != 1 || got.OutboxMemory > 64<<10 {
					t.Errorf("statistics say %+v", got)
				}
			})
		})
	}
}

// TestPresenceBySubscriptionsOfTheServer: subscriptions that the server makes and ends count as any other.
func TestPresenceBySubscriptionsOfTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := withPresence(t, tank.Presence{})
		ann, bob := dialAs(s, "ann"), dialAs(s, "bob")
		ann.Subscribe("news", tanktest.Watch())
		if err := bob.Conn().Subscribe("news"); err != nil {
			t.Fatal(err)
		}
		bob.ExpectReset("news")
		expectHere(t, ann, "2 +bob")
		if err := bob.Conn().Unsubscribe("news"); err != nil {
			t.Fatal(err)
		}
		expectHere(t, ann, "1 -bob")
		bob.ExpectEnd("unsubscribed", "news")
		bob.ExpectNothing()
	})
}

// TestLoopsInsideTheProgramAreNobody: a loop over Manager.Subscribe has no user.
func TestLoopsInsideTheProgramAreNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := withPresence(t, tank.Presence{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for range m.Subscribe(ctx, "news") {
			}
		}()
		synctest.Wait()
		ann := dialAs(s, "ann")
		expectSnapshot(t, ann.Subscribe("news", tanktest.Watch()), "1 +ann")
		cancel()
		<-ended
		time.Sleep(20 * time.Second)
		if got, err := m.Presence("news"); err != nil || got.Users != 1 {
			t.Errorf("the server is told %+v, %v", got, err)
		}
	})
}

// TestWhatEvensOutIsNotTold: between two notices, somebody comes and goes, or goes and comes.
func TestWhatEvensOutIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := withPresence(t, tank.Presence{})
		ann, bob, cid := dialAs(s, "ann"), dialAs(s, "bob"), dialAs(s, "cid")
		ann.Subscribe("news", tanktest.Watch())
		bob.Subscribe("news")
		expectHere(t, ann, "2 +bob") // and so nothing else for a second
		cid.Subscribe("news")
		cid.Unsubscribe("news")
		bob.Unsubscribe("news")
		bob.Subscribe("news")
		time.Sleep(5 * time.Second)
		ann.ExpectNothing()
	})
}

// TestWhoComesBackBehindASnapshotIsTold to whoever has the snapshot without it, although the others have not missed it.
func TestWhoComesBackBehindASnapshotIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := withPresence(t, tank.Presence{})
		ann, bob, zed := dialAs(s, "ann"), dialAs(s, "bob"), dialAs(s, "zed")
		ann.Subscribe("news", tanktest.Watch())
		bob.Subscribe("news")
		expectHere(t, ann, "2 +bob") // and so nothing else for a second
		bob.Unsubscribe("news")
		expectSnapshot(t, zed.Subscribe("news", tanktest.Watch()), "2 +ann +zed")
		bob.Subscribe("news")
		if h := zed.ExpectHere("news"); h.Users != 3 || h.In["bob"] == nil {
			t.Errorf("zed is told %s", hereText(h))
		}
	})
}
