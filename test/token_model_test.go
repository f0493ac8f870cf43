package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// Credentials that are renewed, refused and run out, in a model: when the client is warned, when it is closed, and what it may do.

// holder is a client of the model.
type holder struct {
	*tape
	handle  *tank.Client
	plain   bool
	expires time.Time // of the credentials in force; zero: never
	warnAt  time.Time // when the warning is due; zero: it has come, or does not
	value   string    // of the credentials in force
	inside  bool      // it is subscribed to the topic for members
	id      uint64
	want    map[uint64]string // answers that have to come: the code of a refusal, or ""
	gone    bool
}

type tokenStep struct {
	Do     string
	Who    int
	Lasts  int
	Member bool
}

// lifetimes are those of tokens; 0 is for ever.
var lifetimes = []time.Duration{0, 1500 * time.Millisecond, 3 * time.Second, 20 * time.Second, 90 * time.Second, 119 * time.Second, 130 * time.Second, time.Hour}

var tokenSteps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) tokenStep {
	return tokenStep{
		Do:     uniform([]string{"connect", "plain", "auth", "auth", "auth", "auth", "quietly", "Renew", "nonsense", "another's", "expired", "past", "sub", "sub", "pass", "pass", "pass", "pass"}).Draw(t, "do"),
		Who:    rapid.IntRange(0, 3).Draw(t, "who"),
		Lasts:  rapid.IntRange(0, len(lifetimes)-1).Draw(t, "lasts"),
		Member: rapid.Bool().Draw(t, "member"),
	}
}), 5, 40)

// holders is the world of the model.
type holders struct {
	t   *testing.T
	s   *server
	all []*holder
}

// TestCredentialsAsInTheModel runs random programs of clients whose credentials expire.
func TestCredentialsAsInTheModel(t *testing.T) {
	t.Parallel() // its time is that of bubbles
	rapid.Check(t, func(rt *rapid.T) {
		steps := tokenSteps.Draw(rt, "steps")
		var failure error
		bubble(t, func(t *testing.T) { failure = runHolders(t, steps) })
		if failure != nil {
			rt.Fatal(failure)
		}
	})
}

// tokenOf returns a token, and identityIn whom it names.
func tokenOf(user string, lasts time.Duration, member bool) string {
	return fmt.Sprintf("%s/%v/%v", user, lasts, member)
}

func identityIn(token string) (who tank.Identity, err error) {
	parts := strings.Split(token, "/")
	if len(parts) != 3 {
		return who, errors.New("no token")
	}
	lasts, err := time.ParseDuration(parts[1])
	who = tank.Identity{UserID: parts[0], Value: token}
	if lasts != 0 {
		who.Expires = time.Now().Add(lasts)
	}
	return who, err
}

func runHolders(t *testing.T, steps []tokenStep) error {
	w := &holders{t: t}
	w.s = serve(t, atWill,
		tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) { return identityIn(r.URL.Query().Get("token")) }),
		tank.WithTokenHandler(func(_ *tank.Client, token string) (tank.Identity, error) { return identityIn(token) }),
		tank.WithSubscribeAuthorizer(func(c *tank.Client, _ string) error {
			if token, _ := tank.ValueOf[string](c); !strings.HasSuffix(token, "/true") {
				return errors.New("not for you")
			}
			return nil
		}))
	for i, step := range append(steps, tokenStep{Do: "pass", Lasts: len(lifetimes) - 1}, tokenStep{Do: "pass", Lasts: len(lifetimes) - 1}) {
		w.do(step)
		for _, h := range w.all {
			if err := h.look(); err != nil {
				return fmt.Errorf("step %d %+v: %+v: %w", i+1, step, *h, err)
			}
		}
	}
	return nil
}

func (w *holders) do(step tokenStep) {
	lasts := lifetimes[step.Lasts]
	switch {
	case step.Do == "connect" || step.Do == "plain":
		if len(w.all) < 4 {
			w.connect(step.Do == "plain", tokenOf("ann", lasts, step.Member))
		}
	case step.Do == "pass":
		time.Sleep([]time.Duration{time.Millisecond, 700 * time.Millisecond, 2 * time.Second, 9 * time.Second, 31 * time.Second, 61 * time.Second, 100 * time.Second, time.Hour}[step.Lasts] + 17)
	case len(w.all) > 0:
		if h := w.all[step.Who%len(w.all)]; !h.gone {
			w.doWith(h, step.Do, tokenOf("ann", lasts, step.Member))
		}
	}
	synctest.Wait()
}

func (w *holders) connect(plain bool, token string) {
	h := &holder{plain: plain, want: map[uint64]string{}}
	shake := handshake{path: "/?token=" + token}
	if !plain {
		shake.header = map[string][]string{"Sec-Websocket-Protocol": {"tank.v2"}}
	}
	p := w.s.connect(shake)
	all := w.s.GetAllClients()
	h.handle = all[len(all)-1]
	h.tape = record(p)
	w.all = append(w.all, h)
	h.accept(token)
}

// accept has new credentials in force.
func (h *holder) accept(token string) {
	who, _ := identityIn(token)
	h.value, h.expires, h.warnAt = token, who.Expires, time.Time{}
	if !h.plain && !h.expires.IsZero() {
		h.warnAt = h.expires.Add(-min(time.Minute, time.Until(h.expires)/2/time.Second*time.Second))
		if !h.warnAt.Before(h.expires) {
			h.warnAt = time.Time{} // less than a second would be left
		}
	}
	if !strings.HasSuffix(token, "/true") {
		h.inside = false
	}
}

func (w *holders) doWith(h *holder, what, token string) {
	switch what {
	case "Renew":
		who, _ := identityIn(token)
		must(w.t, h.handle.Renew(who))
		h.accept(token)
	case "past":
		mustBe(w.t, h.handle.Renew(tank.Identity{UserID: "ann", Expires: time.Now().Add(-1)}), tank.ErrInvalidIdentity)
	case "sub":
		allowed := strings.HasSuffix(h.value, "/true")
		h.ask(`"sub":"members"`, map[bool]string{false: "forbidden"}[allowed])
		if h.plain {
			h.send("sub:members")
		}
		h.inside = allowed
	case "auth":
		if h.ask(fmt.Sprintf(`"auth":%q`, token), "") {
			h.accept(token)
		}
	case "quietly":
		if !h.plain {
			h.send(fmt.Sprintf(`{"auth":%q}`, token))
			h.accept(token)
		}
	case "nonsense":
		h.ask(`"auth":"nonsense"`, "forbidden")
	case "another's":
		h.ask(`"auth":"bob/1h/true"`, "forbidden")
	case "expired":
		h.ask(`"auth":"ann/-1ns/true"`, "expired")
	}
}

// ask sends a command of tank.v2 that has to be answered so.
func (h *holder) ask(command, answer string) bool {
	if h.plain {
		return false
	}
	h.id++
	h.want[h.id] = answer
	h.send(fmt.Sprintf(`{"id":%d,%s}`, h.id, command))
	return true
}

// look looks at what has come, and whether the connection is there as long as the credentials are.
func (h *holder) look() error {
	for _, f := range h.take() {
		if err := h.understand(f); err != nil {
			return fmt.Errorf("got %s at %v: %w", f.text, f.at, err)
		}
	}
	if len(h.want) > 0 {
		return fmt.Errorf("no answer")
	}
	const late = time.Second // as the clock of the instance may be
	now := time.Now()
	ended, code := h.ended()
	switch runsOut := !h.expires.IsZero(); {
	case h.gone:
	case !ended.IsZero():
		h.gone = true
		if !runsOut || ended.Before(h.expires) || ended.After(h.expires.Add(late)) || code != 3000 {
			return fmt.Errorf("it was closed at %v with %d", ended, code)
		}
		if !h.warnAt.IsZero() && h.warnAt.Add(late).Before(h.expires) {
			return fmt.Errorf("it was closed without a warning")
		}
	case runsOut && now.After(h.expires.Add(late)):
		return fmt.Errorf("it was not closed")
	case !h.warnAt.IsZero() && now.After(h.warnAt.Add(late)):
		return fmt.Errorf("it was not warned")
	case h.handle.IsSubscribed("members") != h.inside:
		return fmt.Errorf("it is subscribed: %v", !h.inside)
	}
	if value, _ := tank.ValueOf[string](h.handle); value != h.value {
		return fmt.Errorf("its value is %q", value)
	}
	return nil
}

func (h *holder) understand(f taped) error {
	if h.plain {
		return nil
	}
	var m said
	if err := json.Unmarshal([]byte(f.text), &m); err != nil {
		return err
	}
	switch {
	case strings.HasPrefix(f.text, `{"hello":`), m.End != nil && m.End.Code == "forbidden" && m.Topic == "members":
	case m.ID > 0:
		code, asked := h.want[m.ID]
		delete(h.want, m.ID)
		if !asked || (m.Error == nil) != (code == "") || code != "" && m.Error.Code != code {
			return fmt.Errorf("want %q", code)
		}
	case m.Expires == nil:
		return fmt.Errorf("what is that?")
	default:
		left := h.expires.Sub(f.at)
		if h.warnAt.IsZero() || f.at.Before(h.warnAt) || f.at.After(h.warnAt.Add(time.Second)) {
			return fmt.Errorf("the warning is due at %v", h.warnAt)
		}
		if told := time.Duration(*m.Expires) * time.Second; told < time.Second || told > max(time.Second, left+500*time.Millisecond) || told < left-500*time.Millisecond {
			return fmt.Errorf("%v are left", left)
		}
		h.warnAt = time.Time{}
	}
	return nil
}
