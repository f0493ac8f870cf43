package test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"testing/synctest"

	tank "github.com/fanqie/tank-websocket-go-server"
)

func TestSubscriptionsPastTheLimitAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var c *tank.Client
		s := serve(t, tank.WithSubscribeAuthorizer(func(client *tank.Client, _ string) error { c = client; return nil }))
		p := s.dial("ann")
		for i := range 128 {
			p.subscribe(s, fmt.Sprint(i))
		}
		refused := func(times int) {
			t.Helper()
			for range times {
				p.send("sub:more")
				p.expectRefusal("limit", "more")
				mustBe(t, s.expectError(tank.CodeLimit), tank.ErrLimit)
			}
		}
		refused(15)
		p.send("sub:5") // which it has
		synctest.Wait()
		mustBe(t, c.Subscribe("more"), tank.ErrLimit)
		mustBe(t, c.Subscribe("more"), tank.ErrLimit) // the server's own requests do not count
		p.send("unsub:5")
		p.subscribe(s, "in its place")
		refused(15)
		must(t, s.BroadcastTopicMessage("7", "still here"))
		p.expectTopic("7", "still here")
		if got := s.Stats().Topics; got != 128 {
			t.Fatalf("there are %d topics", got)
		}
		p.send("sub:more")
		p.expectRefusal("limit", "more")
		p.expectClose(1008)
	})
}

func TestConnectionsPastTheLimitAreAnswered503(t *testing.T) {
	bubble(t, func(t *testing.T) {
		asked := 0
		s := serve(t, tank.WithLimits(tank.Limits{Connections: 2}), tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
			if asked++; r.Header.Get("Token") == "bad" {
				return named("", errors.New("no"))
			}
			return named("", nil)
		}))
		for range 5 { // a request that is refused takes no place
			if _, resp := s.request(handshake{path: "/", header: http.Header{"Token": {"bad"}}}); resp.StatusCode != 401 {
				t.Fatalf("answered with %s", resp.Status)
			}
			s.expectError(tank.CodeAuth)
		}
		first := s.dial("")
		s.dial("")
		before := asked
		_, resp := s.request(handshake{path: "/"})
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || asked != before {
			t.Fatalf("answered with %s, %v; the authenticator was asked %d times", resp.Status, resp.Header, asked-before)
		}
		mustBe(t, s.expectError(tank.CodeUpgrade), tank.ErrLimit)
		first.write(closeFrame(1000, ""))
		first.expectClose(1000)
		synctest.Wait()
		s.dial("")
		if n := s.GetClientCount(); n != 2 {
			t.Fatalf("%d clients", n)
		}
	})
}

func TestConnectionsOfOneUserPastTheLimitAreClosedWith1008(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) { return named(r.URL.Query().Get("user_id"), nil) }))
		var ann []*peer
		for range 32 {
			ann = append(ann, s.dial("ann"))
			s.expectEvents("connect ann")
		}
		for range 100 {
			p := s.dial("ann")
			must(t, s.BroadcastMessage([]byte("not for those who are turned away")))
			p.send("sub:news")
			p.expectClose(1008)
			mustBe(t, s.expectError(tank.CodeLimit), tank.ErrLimit)
			s.expectEvents("connect ann", "disconnect ann")
		}
		s.dial("bob")
		for range 40 {
			s.dial("") // nobody in particular
		}
		if n := s.CloseUser("ann"); n != 32 {
			t.Fatalf("%d connections of ann were closed", n)
		}
		for _, p := range ann {
			for range 100 {
				p.expect("not for those who are turned away")
			}
			p.expectClose(1000)
		}
		s.dial("ann").expectNothing()
	})
}

func TestUsersWhoNameThemselvesCannotLockOthersOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		for range 40 {
			s.dial("ann")
		}
		s.expectNoErrors()
		if n := s.GetClientCount(); n != 40 {
			t.Fatalf("%d clients", n)
		}
	})
}

func TestRequestWhoseGoroutineEndsTakesNoPlace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithLimits(tank.Limits{Connections: 1}), tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
			if r.Header.Get("Token") == "exit" {
				runtime.Goexit()
			}
			return named("", nil)
		}))
		for range 2 {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.Header.Set("Token", "exit")
				s.ServeHTTP(httptest.NewRecorder(), r)
			}()
			<-ended
		}
		s.dial("")
	})
}
