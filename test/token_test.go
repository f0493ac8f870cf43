package test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// New credentials on an open connection of tank.v2.

// identityOf returns whom a token names: USER/TIME, which is how long it is valid.
func identityOf(token string) (tank.Identity, error) {
	user, valid, ok := strings.Cut(token, "/")
	lasts, err := time.ParseDuration(valid)
	if !ok || err != nil {
		return tank.Identity{}, errors.New("a secret reason")
	}
	return tank.Identity{UserID: user, Value: token, Expires: time.Now().Add(lasts)}, nil
}

func withTokens(t *testing.T, opts ...tank.Option) (*tank.Manager, *tanktest.Server) {
	t.Helper()
	m := tank.NewInstance(append(opts,
		tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) { return identityOf(r.URL.Query().Get("token")) }),
		tank.WithTokenHandler(func(c *tank.Client, token string) (tank.Identity, error) {
			if token == "panic" {
				panic("token handler")
			}
			return identityOf(token)
		}))...)
	s := tanktest.Serve(t, m)
	s.Patience = time.Hour
	return m, s
}

// TestTokensAreRenewed: the server says when it is time, and a connection with ever new tokens lasts.
func TestTokensAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := withTokens(t)
		began := time.Now()
		c := s.DialV2("/?token=ann/10m")
		for range 5 {
			asked := time.Now()
			left := c.ExpectExpires()
			if after := time.Since(asked); left < 58*time.Second || left > time.Minute || after < 9*time.Minute || after > 9*time.Minute+2*time.Second {
				t.Errorf("told %v behind the last token that it is valid for %v", after, left)
			}
			c.Auth("ann/10m")
		}
		if value, _ := tank.ValueOf[string](c.Conn()); value != "ann/10m" {
			t.Errorf("the value is %q", value)
		}
		c.ExpectExpires()
		c.ExpectClose(3000)
		if lasted := time.Since(began); lasted < 55*time.Minute || lasted > 56*time.Minute {
			t.Errorf("it was closed after %v", lasted)
		}
	})
}

// TestShortTokensAreToldInTime: half of the time before their end.
func TestShortTokensAreToldInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := withTokens(t)
		c := s.DialV2("/?token=ann/20s")
		began := time.Now()
		if left := c.ExpectExpires(); left < 8*time.Second || left > 10*time.Second || time.Since(began) < 9*time.Second {
			t.Errorf("told after %v that %v are left", time.Since(began), left)
		}
		c.ExpectClose(3000)
		plain := s.Dial("/?token=ann/20s")
		plain.ExpectClose(3000) // and nothing before that
	})
}

// TestNobodyIsToldThatNoTimeIsLeft, although the clock ticks no more than once a second: a client may take 0 for nothing.
func TestNobodyIsToldThatNoTimeIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := withTokens(t)
		s.Dial("/?token=bob/1900ms") // the clock ticks 0.1 s before it is time for ann
		c := s.DialV2("/?token=ann/3s")
		if left := c.ExpectExpires(); left != time.Second {
			t.Errorf("told that %v are left", left)
		}
		c.ExpectClose(3000)
	})
}

func TestTokensThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := withTokens(t, tank.WithSubscribeAuthorizer(func(c *tank.Client, topic string) error {
			if value, _ := tank.ValueOf[string](c); topic == "secret" && value != "ann/10m" {
				return errors.New("no")
			}
			return nil
		}))
		c := s.DialV2("/?token=ann/10m")
		for token, code := range map[string]string{"nonsense": "forbidden", "bob/10m": "forbidden", "ann/-1s": "expired"} {
			refused := c.AuthRefused(code, token)
			if refused.Retry || strings.Contains(refused.Message, "secret") || strings.Contains(refused.Message, "bob") {
				t.Errorf("%s: told %+v", token, refused)
			}
			if e := <-m.Errors; e.Code != tank.CodeAuth || !errors.Is(e, tank.ErrForbidden) || e.ClientID != c.Conn().ID() {
				t.Errorf("%s: reported %v", token, e)
			}
		}
		if value, _ := tank.ValueOf[string](c.Conn()); value != "ann/10m" {
			t.Errorf("the value is %q", value)
		}
		c.Subscribe("secret")
		c.Auth("ann/20m") // which may not
		c.ExpectEnd("forbidden", "secret")

		c.Send("x")
		c.ExpectRefusal("unsupported")
		p := s.Dial("/?token=ann/10m", tanktest.Subprotocols("tank.v2"))
		p.Next() // hello
		p.Send(`{"id":1,"auth":"panic"}`)
		p.Next() // bye
		p.ExpectClose(1011)

		tanktest.Serve(t, tank.NewInstance()).DialV2("/").AuthRefused("unsupported", "ann/10m")
	})
}

// TestTokensForAConnectionThatEnds are not reported as refused, whether the handler closes it or panics.
func TestTokensForAConnectionThatEnds(t *testing.T) {
	for code, reported := range map[int]int{4000: 0, 1011: 1} {
		synctest.Test(t, func(t *testing.T) {
			m := tank.NewInstance(tank.WithTokenHandler(func(c *tank.Client, _ string) (tank.Identity, error) {
				if code == 1011 {
					panic("token handler")
				}
				return tank.Identity{Anonymous: true}, c.Close(tank.CloseCode(code), "enough")
			}))
			c := tanktest.Serve(t, m).Dial("/", tanktest.Subprotocols("tank.v2"))
			c.Next() // hello
			c.Send(`{"id":1,"auth":"token"}`)
			c.Rest()
			c.ExpectClose(code)
			synctest.Wait()
			if n := len(m.Errors); n != reported {
				t.Errorf("%d: %d errors were reported", code, n)
			}
			for range reported {
				if e := <-m.Errors; e.Code != tank.CodeInternal {
					t.Errorf("%d: reported %v", code, e)
				}
			}
		})
	}
}
