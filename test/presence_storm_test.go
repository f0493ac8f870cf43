package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// Presence while connections are lost by the dozen, and while the instance ends.

// knowing serves an instance whose topic news knows who is in it, for clients that send anything as fast as they like.
func knowing(t *testing.T, opts ...tank.Option) *server {
	t.Helper()
	return serve(t, append(opts, atWill, tank.WithTopics("news", tank.TopicOptions{Presence: tank.Presence{Enabled: true}}))...)
}

// enter connects a user to the topic news.
func (s *server) enter(user string, watches bool) *tape {
	s.t.Helper()
	r := record(s.dial2(user, defaultBuffer))
	r.send(fmt.Sprintf(`{"id":1,"sub":"news","presence":%v}`, watches))
	synctest.Wait()
	return r
}

// heres returns what a watcher was told of who has come and gone, since the last time, and when.
func (r *tape) heres() (all []present, at []time.Time) {
	r.t.Helper()
	for _, f := range r.take() {
		var m said
		if strings.HasPrefix(f.text, "[") {
			continue
		}
		if err := json.Unmarshal([]byte(f.text), &m); err != nil {
			r.t.Fatalf("%s: %v", f.text, err)
		}
		if m.Here != nil {
			all, at = append(all, *m.Here), append(at, f.at)
		}
	}
	return all, at
}

// TestAUserWhoFlapsOnManyConnectionsIsThere all the time: watchers are told once that the user has come, and once that it has gone.
func TestAUserWhoFlapsOnManyConnectionsIsThere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const connections = 32
		s := knowing(t)
		ann, zed := s.enter("ann", true), s.enter("zed", true)
		time.Sleep(2 * time.Second)
		bobs := make([]*tape, connections)
		for i := range bobs {
			bobs[i] = s.enter("bob", i == 0)
		}
		time.Sleep(2 * time.Second)
		for _, w := range []*tape{ann, zed} {
			w.heres()
		}
		random := rand.New(rand.NewPCG(1, 2))
		for range cases(50, 500) { // some go in some way, or all of them: then the last one is lost, and bob has the grace to come back
			lost := 1 + random.IntN(connections)
			if random.IntN(3) == 0 {
				lost = connections
			}
			last := s.enter("bob", false)
			for _, i := range random.Perm(connections)[:lost] {
				switch random.IntN(3) {
				case 0:
					bobs[i].conn.Close()
				case 1:
					bobs[i].send(`{"unsub":"news"}`)
					synctest.Wait()
					bobs[i].conn.Close()
				case 2:
					bobs[i].write(closeFrame(1000, ""))
				}
			}
			synctest.Wait()
			last.conn.Close()
			time.Sleep(time.Duration(random.IntN(9000)) * time.Millisecond)
			if got, err := s.Presence("news"); err != nil || got.Users != 3 {
				t.Fatalf("the server is told %+v, %v", got, err)
			}
			for i := range bobs {
				if at, _ := bobs[i].ended(); !at.IsZero() {
					bobs[i] = s.enter("bob", random.IntN(2) == 0)
				}
			}
		}
		for _, w := range []*tape{ann, zed} {
			if told, _ := w.heres(); len(told) != 0 {
				t.Errorf("while bob flapped, a watcher was told %+v", told)
			}
		}
		for _, r := range bobs {
			r.conn.Close()
		}
		left := time.Now()
		time.Sleep(time.Minute)
		for _, w := range []*tape{ann, zed} {
			told, at := w.heres()
			if len(told) != 1 || told[0].N != 2 || !slices.Equal(told[0].Out, []string{"bob"}) {
				t.Fatalf("in the end, a watcher was told %+v", told)
			}
			if after := at[0].Sub(left); after < 10*time.Second || after > 13*time.Second {
				t.Errorf("bob was told to have gone after %v", after)
			}
		}
	})
}

// TestADrainWhilePresenceIsWatched: those who are left are told what is so, until their own turn comes.
func TestADrainWhilePresenceIsWatched(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const users = 20
		s := knowing(t, tank.WithDrain(time.Minute, 1))
		all := map[string]*tape{}
		for i := range users {
			user := fmt.Sprint("user", i)
			all[user] = s.enter(user, true)
		}
		time.Sleep(2 * time.Second)
		for _, r := range all {
			r.heres()
		}
		began := time.Now()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		outs := 0
		for user, r := range all {
			end, code := r.ended()
			if code != 1001 {
				t.Errorf("%s was closed with %d", user, code)
			}
			told, at := r.heres()
			for i, h := range told {
				outs += len(h.Out)
				if len(h.In) > 0 || at[i].After(end) || i > 0 && at[i].Sub(at[i-1]) < time.Second {
					t.Errorf("%s was told %+v after %v", user, h, at[i].Sub(began))
				}
				for _, gone := range h.Out {
					if left, _ := all[gone].ended(); at[i].Sub(left) < 10*time.Second {
						t.Errorf("%s was told that %s has gone %v after its end", user, gone, at[i].Sub(left))
					}
				}
			}
		}
		if outs == 0 {
			t.Error("nobody was told that anybody has gone")
		}
		if _, err := s.Presence("news"); !errors.Is(err, tank.ErrClosed) {
			t.Errorf("behind the end: %v", err)
		}
	})
}

// TestInfoThatBlocks delays nobody but its own client, which has its connection all the while, and is there only when Info has returned.
func TestInfoThatBlocks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		goOn := make(chan struct{})
		s := serve(t, atWill, tank.WithTopics("news", tank.TopicOptions{Presence: tank.Presence{Enabled: true, Info: func(c *tank.Client) any {
			if c.UserID() == "slow" {
				<-goOn
			}
			return c.UserID()
		}}}))
		ann := s.enter("ann", true)
		slow := record(s.dial2("slow", defaultBuffer))
		slow.send(`{"id":1,"sub":"other"}`)
		synctest.Wait()
		slow.send(`{"id":2,"sub":"news","presence":true}`)
		slow.send(`{"id":3,"unsub":"other"}`)
		time.Sleep(10 * time.Minute) // the heartbeat does not take it for dead
		must(t, s.Publish(context.Background(), "other", "x"))
		must(t, s.Publish(context.Background(), "news", "y"))
		bob := s.enter("bob", true)
		if got := texts(bob.take()); len(got) == 0 || !hasAll(got[0], `{"id":1,"ok":{`, `"here":{"n":2,`) {
			t.Errorf("bob got %q", got)
		}
		if got, err := s.Presence("news"); err != nil || got.Users != 2 {
			t.Errorf("while Info blocks: %+v, %v", got, err)
		}
		if got := texts(slow.take()); len(got) != 2 || got[1] != `["other",1,"x"]` { // and no answer yet
			t.Errorf("slow got %q", got)
		}
		time.Sleep(2 * time.Second)
		close(goOn)
		synctest.Wait()
		if got := texts(slow.take()); len(got) < 2 || !hasAll(got[0], `{"id":2,"ok":{`, `"here":{"n":3,`, `"slow":"slow"`) || !slices.Contains(got[1:], `{"id":3,"ok":{}}`) {
			t.Errorf("then slow got %q", got)
		}
		time.Sleep(2 * time.Second)
		told, _ := ann.heres()
		if n := len(told); n != 2 || told[1].N != 3 || string(told[1].In["slow"]) != `"slow"` {
			t.Errorf("ann was told %+v", told)
		}
	})
}

// TestInfoThatBlocksForOneWhoHasGone makes nobody present, whenever it returns, and does not hold Shutdown up.
func TestInfoThatBlocksForOneWhoHasGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		goOn := make(chan struct{})
		s := serve(t, atWill, tank.WithTopics("news", tank.TopicOptions{Presence: tank.Presence{Enabled: true, Info: func(c *tank.Client) any {
			if c.UserID() == "slow" {
				<-goOn
			}
			return nil
		}}}))
		ann := s.enter("ann", true)
		slow := s.enter("slow", false)
		slow.conn.Close()
		time.Sleep(time.Minute)
		goOn <- struct{}{}
		time.Sleep(time.Minute)
		if told, _ := ann.heres(); len(told) > 0 {
			t.Errorf("ann was told %+v", told)
		}
		if got, err := s.Presence("news"); err != nil || got.Users != 1 {
			t.Errorf("the server is told %+v, %v", got, err)
		}
		s.enter("slow", false)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		began := time.Now()
		if err := s.Shutdown(ctx); !errors.Is(err, tank.ErrBusy) || time.Since(began) > tank.DefaultCloseTimeout+time.Second {
			t.Errorf("Shutdown returned %v after %v", err, time.Since(began))
		}
		goOn <- struct{}{}
	})
}

func texts(frames []taped) (all []string) {
	for _, f := range frames {
		all = append(all, f.text)
	}
	return all
}

// hasAll reports whether text has all parts.
func hasAll(text string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
}
