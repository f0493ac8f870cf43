package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// Who is in a topic, in a model: which users have connections there, and who was lost a moment ago.

const (
	modelGrace = 10 * time.Second
	modelMax   = 4
	lateBy     = 2 * time.Second // how much longer than the grace a user may be told to be there
)

// visitor is a connection of the model.
type visitor struct {
	*tape
	handle    *tank.Client
	user      string
	plain     bool
	in        bool // subscribed
	watches   bool
	crowded   bool              // it was told no names lastly
	known     map[string]string // who is there, by what it was told, and with what info
	told      time.Time         // when it was told of a change lastly
	toldUsers int
}

// userState is what the model knows of a user.
type userState struct {
	connections int
	info        string    // of the connection that has subscribed last
	left        time.Time // since when it has none
	lost        bool      // it has until the end of the grace to come back
	mayBe       time.Time // up to when it may have been told to be there
	mayNot      time.Time // up to when it may have been told not to be there
}

type presenceStep struct {
	Do     string
	Who    int
	User   string
	Number int
}

var presenceSteps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) presenceStep {
	return presenceStep{
		Do: uniform([]string{"connect", "connect", "connect", "plain", "sub", "sub", "watch", "watch", "unsub", "unsub", "cut", "cut", "cut", "flap", "bye", "send away", "call back", "unsubscribe",
			"pause", "pause", "pause", "ask", "rest", "reset"}).Draw(t, "do"),
		Who:    rapid.IntRange(0, 7).Draw(t, "who"),
		User:   uniform([]string{"ann", "bob", "cid", "dan", "eve", "fay", "gus"}).Draw(t, "user"),
		Number: rapid.IntRange(0, 7).Draw(t, "number"),
	}
}), 5, 50)

// visits is the world of the model.
type visits struct {
	t     *testing.T
	s     *server
	open  []*visitor
	users map[string]*userState
}

// TestPresenceAsInTheModel runs random programs of users who come and go.
func TestPresenceAsInTheModel(t *testing.T) {
	t.Parallel() // its time is that of bubbles
	rapid.Check(t, func(rt *rapid.T) {
		steps := presenceSteps.Draw(rt, "steps")
		var failure error
		bubble(t, func(t *testing.T) { failure = runVisits(t, steps) })
		if failure != nil {
			rt.Fatal(failure)
		}
	})
}

func runVisits(t *testing.T, steps []presenceStep) error {
	w := &visits{t: t, users: map[string]*userState{}}
	w.s = serve(t, atWill, tank.WithTopics("room", tank.TopicOptions{Presence: tank.Presence{Enabled: true, Grace: modelGrace, Max: modelMax,
		Info: func(c *tank.Client) any { return infoOf(c) }}}))
	for i, step := range append(steps, presenceStep{Do: "rest"}) {
		if err := w.do(step); err != nil {
			return fmt.Errorf("step %d %+v: %w", i+1, step, err)
		}
		if err := w.look(); err != nil {
			return fmt.Errorf("step %d %+v: %w", i+1, step, err)
		}
	}
	return nil
}

// infoOf is what is told of a client's user.
func infoOf(c *tank.Client) string { return c.UserID() + " " + c.ID() }

func (w *visits) do(step presenceStep) error {
	switch step.Do {
	case "connect", "plain":
		if len(w.open) < 8 {
			w.connect(step.User, step.Do == "plain")
		}
	case "pause":
		w.sleep([]time.Duration{time.Millisecond, 300 * time.Millisecond, time.Second, 3 * time.Second, 8 * time.Second, 11 * time.Second, 15 * time.Second, 40 * time.Second}[step.Number])
	case "rest":
		w.sleep(modelGrace + lateBy + 2*time.Second)
		if err := w.look(); err != nil {
			return err
		}
		return w.checkAll()
	case "ask":
		return w.checkServer()
	case "reset":
		must(w.t, w.s.Reset("room"))
		synctest.Wait()
		for _, v := range w.open { // the client asks again
			if v.watches {
				w.sub(v, true)
			}
		}
	default:
		if len(w.open) > 0 {
			w.doWith(w.open[step.Who%len(w.open)], step)
		}
	}
	return nil
}

func (w *visits) doWith(v *visitor, step presenceStep) {
	switch step.Do {
	case "sub":
		w.sub(v, false)
	case "watch":
		if !v.plain {
			w.sub(v, true)
		}
	case "unsub":
		if v.plain {
			v.send("unsub:room")
		} else {
			v.send(`{"unsub":"room"}`)
		}
		w.leave(v, false)
	case "unsubscribe":
		_ = v.handle.Unsubscribe("room") // which need not be subscribed
		w.leave(v, false)
	case "cut":
		v.conn.Close()
		w.gone(v, true)
	case "flap":
		for range step.Number {
			v.conn.Close()
			w.gone(v, true)
			w.sleep(time.Duration(step.Number) * 100 * time.Millisecond)
			was := v
			v = w.connect(was.user, was.plain)
			if was.in {
				w.sub(v, was.watches)
			}
		}
	case "bye":
		v.write(closeFrame(1000, ""))
		w.gone(v, false)
	case "send away":
		must(w.t, v.handle.Close(4000, "go"))
		w.gone(v, false)
	case "call back":
		must(w.t, v.handle.Close(tank.CloseTryAgainLater, "come back"))
		w.gone(v, true)
	}
}

func (w *visits) connect(user string, plain bool) *visitor {
	v := &visitor{user: user, plain: plain, known: map[string]string{}}
	if plain {
		v.tape = record(w.s.dial(user))
	} else {
		v.tape = record(w.s.dial2(user, defaultBuffer))
	}
	all := w.s.GetAllClients()
	v.handle = all[len(all)-1]
	w.open = append(w.open, v)
	if w.users[user] == nil {
		w.users[user] = &userState{}
	}
	return v
}

// sub subscribes.
func (w *visits) sub(v *visitor, watch bool) {
	switch {
	case v.plain:
		v.send("sub:room")
	case watch:
		v.send(`{"id":1,"sub":"room","presence":true}`)
		v.watches = true
	default:
		v.send(`{"id":2,"sub":"room"}`)
	}
	synctest.Wait()
	if u := w.users[v.user]; !v.in {
		v.in = true
		u.info = infoOf(v.handle)
		if u.connections++; u.connections == 1 && !(u.lost && time.Since(u.left) < modelGrace) {
			u.mayNot = time.Now()
		}
	}
}

// leave is the end of a subscription.
func (w *visits) leave(v *visitor, lost bool) {
	synctest.Wait()
	if v.in {
		u := w.users[v.user]
		if u.connections--; u.connections == 0 {
			u.left, u.lost = time.Now(), lost
			u.mayBe = u.left
			if lost {
				u.mayBe = u.left.Add(modelGrace + lateBy)
			}
		}
	}
	v.in, v.watches = false, false
}

func (w *visits) gone(v *visitor, lost bool) {
	synctest.Wait()
	w.leave(v, lost)
	w.open = without(w.open, v)
}

// sleep lets time pass.
func (w *visits) sleep(d time.Duration) {
	time.Sleep(d + time.Nanosecond)
	synctest.Wait()
}

// mayBeThere reports whether a user may be told to be there at a time that is not before the last step, and whether it may be told not to.
func (w *visits) mayBeThere(user string, at time.Time) (may, mayNot bool) {
	u := w.users[user]
	if u == nil {
		return false, true
	}
	if u.connections > 0 {
		return true, !at.After(u.mayNot)
	}
	return !at.After(u.mayBe), !u.lost || at.Sub(u.left) >= modelGrace
}

// bounds returns how many users may be there.
func (w *visits) bounds(at time.Time) (least, most int) {
	for user := range w.users {
		may, mayNot := w.mayBeThere(user, at)
		if may {
			most++
		}
		if may && !mayNot {
			least++
		}
	}
	return least, most
}

// look looks at what watchers were told.
func (w *visits) look() error {
	for _, v := range w.open {
		for _, f := range v.take() {
			if v.plain {
				continue
			}
			var m said
			if err := json.Unmarshal([]byte(f.text), &m); err != nil {
				return err
			}
			if err := w.told(v, m, f.at); err != nil {
				return fmt.Errorf("%s, who knew %v, got %s at %v: %w", v.user, slices.Sorted(maps.Keys(v.known)), f.text, f.at, err)
			}
		}
	}
	return nil
}

func (w *visits) told(v *visitor, m said, at time.Time) error {
	switch {
	case m.ID == 1 && m.OK != nil && m.OK.Here != nil:
		v.known = map[string]string{}
		v.crowded = false
		return w.apply(v, m.OK.Here, at)
	case m.ID == 2 && m.OK != nil, m.End != nil, m.Reset != nil:
		return nil
	case m.Here == nil || m.Topic != "room":
		return fmt.Errorf("what is that?")
	case at.Sub(v.told) < time.Second:
		return fmt.Errorf("it was told %v before", at.Sub(v.told))
	}
	v.told = at
	return w.apply(v, m.Here, at)
}

// apply adds to what a watcher knows.
func (w *visits) apply(v *visitor, h *present, at time.Time) error {
	crowded := v.crowded
	if v.crowded = !h.names(); v.crowded {
		v.known = map[string]string{}
	}
	for user, info := range h.In {
		if may, _ := w.mayBeThere(user, at); !may || !strings.HasPrefix(string(info), `"`+user+" ") {
			return fmt.Errorf("%s is not there", user)
		}
		if v.known[user] != "" && !crowded && slices.Contains(h.Out, user) {
			return fmt.Errorf("%s comes and goes", user)
		}
		v.known[user] = string(info)
	}
	for _, user := range h.Out {
		if _, mayNot := w.mayBeThere(user, at); !mayNot {
			return fmt.Errorf("%s is there", user)
		}
		delete(v.known, user)
	}
	v.toldUsers = h.N
	switch least, most := w.bounds(at); {
	case h.N < least || h.N > most:
		return fmt.Errorf("there are %d to %d", least, most)
	case !v.crowded && h.N > modelMax, v.crowded && 4*h.N < 3*modelMax:
		return fmt.Errorf("names are told, or are not")
	case !v.crowded && h.N != len(v.known):
		return fmt.Errorf("it knows %v now", slices.Sorted(maps.Keys(v.known)))
	}
	return nil
}

// checkServer compares what the server is told with the model.
func (w *visits) checkServer() error {
	got, err := w.s.Presence("room")
	if err != nil {
		return err
	}
	least, most := w.bounds(time.Now())
	if got.Users < least || got.Users > most {
		return fmt.Errorf("the server is told %+v; there are %d to %d", got, least, most)
	}
	for user := range got.Info {
		if may, _ := w.mayBeThere(user, time.Now()); !may {
			return fmt.Errorf("the server is told %+v, and %s is not there", got, user)
		}
	}
	return nil
}

// checkAll looks whether everybody knows who is there, when nothing has happened for long.
func (w *visits) checkAll() error {
	var there []string
	for user, u := range w.users {
		if u.connections > 0 {
			there = append(there, user)
		}
	}
	slices.Sort(there)
	for _, v := range w.open {
		if known := slices.Sorted(maps.Keys(v.known)); v.watches && (v.toldUsers != len(there) || !v.crowded && !slices.Equal(known, there)) {
			return fmt.Errorf("%s was told that there are %d, %v; there are %v", v.user, v.toldUsers, known, there)
		}
	}
	for _, v := range w.open {
		for user, info := range v.known {
			if want := fmt.Sprintf("%q", w.users[user].info); v.watches && info != want {
				return fmt.Errorf("%s was told of %s that it is %s, which is %s", v.user, user, info, want)
			}
		}
	}
	got, err := w.s.Presence("room")
	if err != nil || got.Users != len(there) || got.Info != nil && !slices.Equal(slices.Sorted(maps.Keys(got.Info)), there) {
		return fmt.Errorf("the server is told %+v, %w; there are %v", got, err, strings.Join(there, " "))
	}
	for _, topic := range w.s.GetAllTopics() {
		if topic.Users != len(there) {
			return fmt.Errorf("statistics say %+v; there are %v", topic, there)
		}
	}
	return nil
}
