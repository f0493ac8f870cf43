package main

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

func TestATokenLetsIn(t *testing.T) {
	bubble(t, func(f *fixture) {
		l, cookie := f.logIn("alice"), f.logInByCookie("alice")
		for _, c := range []*tanktest.Client{
			f.connect(l),
			f.server.Dial("/ws", inCookie(cookie.Value)),
			f.server.Dial("/ws", tanktest.Token(l.Token)), // not from a browser
		} {
			c.Subscribe("news")
			c.Subscribe("orders:alice")
			f.tkws.BroadcastTopicMessage("orders:alice", "shipped")
			c.Expect("orders:alice", "shipped")
			c.Cut()
		}
	})
}

// TestAPageIsLetInAndRefused: what it asks for is answered, and the answer to its handshake has no token.
func TestAPageIsLetInAndRefused(t *testing.T) {
	bubble(t, func(f *fixture) {
		token := f.connectPage(f.logIn("alice"))
		cookie := f.server.DialV2("/ws", inCookie(f.logInByCookie("alice").Value))
		for _, c := range []*tanktest.ClientV2{token, cookie} {
			if got := c.Response().Header.Get("Sec-WebSocket-Protocol"); got != "tank.v2" {
				t.Errorf("the subprotocol is %q", got)
			}
			c.Subscribe("orders:alice")
			c.SubscribeRefused("forbidden", "orders:root")
			f.tkws.BroadcastTopicMessage("orders:alice", "shipped")
			c.ExpectTopic("orders:alice", "shipped")
		}
		if answer := f.server.DialRefused("/ws", tanktest.Subprotocols("tank.v2", bearer+"x")); answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("a bad token is answered with %s", answer.Status)
		}
	})
}

// TestAPageRenews its session: it sends another token over its connection, or the browser gets another cookie.
func TestAPageRenews(t *testing.T) {
	bubble(t, func(f *fixture) {
		latest := f.logIn("alice")
		c := f.connectPage(latest)
		for range 5 {
			if left := c.ExpectExpires(); left < lifetime/2-2*time.Second || left > lifetime/2 {
				t.Errorf("told that %v are left", left)
			}
			latest = f.renew(latest)
			c.Auth(latest.Token)
		}
		f.connectPage(latest).Subscribe("news")

		cookie := f.logInByCookie("root")
		page := f.server.DialV2("/ws", inCookie(cookie.Value))
		page.ExpectExpires()
		f.cookie(f.post("/renew", asBrowser(cookie.Value)...))
		page.ExpectMessage(map[string]login{"renewed": {User: "root", Role: "admin", ExpiresIn: lifetime.Seconds(), Lifetime: lifetime.Seconds()}})
		page.ExpectExpires() // of the next one
	})
}

// TestARefusedRenewal changes nothing, and the connection ends with the token that it has.
func TestARefusedRenewal(t *testing.T) {
	bubble(t, func(f *fixture) {
		l := f.logIn("alice")
		c, began := f.connectPage(l), time.Now()
		c.ExpectExpires()
		f.renew(l) // which is not sent
		for name, token := range map[string]string{
			"not a token": "nonsense", "tampered": l.Token + "AAAA", "another user's": f.logIn("root").Token,
		} {
			if refused := c.AuthRefused("forbidden", token); refused.Retry {
				t.Errorf("%s: refused with %+v", name, refused)
			}
		}
		c.Subscribe("orders:alice")
		c.SubscribeRefused("forbidden", "admin:audit")
		if reason := c.ExpectClose(int(tank.CloseUnauthorized)); reason != "credentials expired" {
			t.Errorf("the reason is %q", reason)
		}
		if after := time.Since(began); after < lifetime || after > lifetime+2*time.Second {
			t.Errorf("it ended after %v", after)
		}
	})
}

func TestOthersAreRefused(t *testing.T) {
	bubble(t, func(f *fixture) {
		l := f.logIn("alice")
		mine := f.claims(l.Token)
		forged, old, nobody := mine, mine, mine
		forged.Role = "admin"
		old.Expires = time.Now()
		nobody.Logouts++
		payload, signature, _ := strings.Cut(l.Token, ".")
		forgedPayload, _, _ := strings.Cut(f.sessions.key.sign(forged), ".")
		signed := func(payload string) string {
			return encode([]byte(payload)) + "." + encode(f.sessions.key.mac([]byte(payload)))
		}
		for name, token := range map[string]string{
			"none":              "",
			"not a token":       "hello",
			"without signature": payload,
			"empty signature":   payload + ".",
			"short signature":   payload + "." + signature[:len(signature)-4],
			"too long":          l.Token + "AAAA",
			"padded":            l.Token + "=",
			"signed by others":  key("another key").sign(mine),
			"tampered":          forgedPayload + "." + signature,
			"expired":           f.sessions.key.sign(old),
			"of another time":   f.sessions.key.sign(nobody),
			"not JSON":          signed("hello"),
			"without claims":    signed("{}"),
		} {
			for way, option := range map[string]tanktest.DialOption{
				"subprotocol":   tanktest.Subprotocols(bearer+token, subprotocol),
				"cookie":        inCookie(token),
				"Authorization": tanktest.Token(token),
			} {
				if way == "subprotocol" && strings.Contains(token, "=") {
					continue // no subprotocol is called that
				}
				if answer := f.server.DialRefused("/ws", option); answer.StatusCode != http.StatusUnauthorized {
					t.Errorf("token %s in the %s is answered with %s", name, way, answer.Status)
				}
			}
		}
		if answer := f.server.DialRefused("/ws"); answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("nobody is answered with %s", answer.Status)
		}
		f.connect(l).Subscribe("news") // was good all the time
	})
}

// TestOtherSitesAreRefused, even though the browser sends the cookie along.
func TestOtherSitesAreRefused(t *testing.T) {
	bubble(t, func(f *fixture) {
		cookie := inCookie(f.logInByCookie("alice").Value)
		for _, origin := range []string{"https://elsewhere.test", "null", "http://auth.test.elsewhere.test"} {
			if answer := f.server.DialRefused("/ws", cookie, tanktest.Header("Origin", origin)); answer.StatusCode != http.StatusForbidden {
				t.Errorf("a page of %s is answered with %s", origin, answer.Status)
			}
		}
		f.server.Dial("/ws", cookie, tanktest.Header("Origin", f.server.URL)).Subscribe("news")
	})
}

// TestABadTokenIsNotMadeUpForByACookie: who shows a token is who it says, or nobody.
func TestABadTokenIsNotMadeUpForByACookie(t *testing.T) {
	bubble(t, func(f *fixture) {
		good := inCookie(f.logInByCookie("root").Value)
		for _, bad := range []tanktest.DialOption{tanktest.Subprotocols(bearer+"x", subprotocol), tanktest.Token("x")} {
			if answer := f.server.DialRefused("/ws", good, bad); answer.StatusCode != http.StatusUnauthorized {
				t.Errorf("answered with %s", answer.Status)
			}
		}
	})
}

func TestTopicsAreTheirOwners(t *testing.T) {
	bubble(t, func(f *fixture) {
		alice, root := f.connect(f.logIn("alice")), f.connect(f.logIn("root"))
		for _, topic := range []string{"orders:root", "orders:", "admin:audit", "newsx", "orders"} {
			alice.Send("sub:" + topic)
			alice.ExpectRefusal("forbidden", topic)
		}
		root.Subscribe("admin:audit")
		root.Subscribe("orders:root")
		root.Send("sub:orders:alice")
		root.ExpectRefusal("forbidden", "orders:alice")
	})
}

func TestConnectionsEndWhenTheirTokenExpires(t *testing.T) {
	bubble(t, func(f *fixture) {
		began := time.Now()
		first := f.connect(f.logIn("alice"))
		time.Sleep(10 * time.Second)
		second := f.connect(f.logIn("alice")) // another session
		time.Sleep(lifetime - 10*time.Second - 1)
		synctest.Wait()
		if !first.EndedAt().IsZero() {
			t.Fatal("it ended before its token expired")
		}
		f.expires(first)
		if got := first.EndedAt().Sub(began); got < lifetime || got > lifetime+time.Second {
			t.Errorf("it ended after %v, want %v", got, lifetime)
		}
		second.Subscribe("news") // goes on
		f.expires(second)
		if got := second.EndedAt().Sub(began) - lifetime - 10*time.Second; got < 0 || got > time.Second {
			t.Errorf("the other ended %v after its token", got)
		}
	})
}

// TestLoggingOutDuringTheHandshake leaves no connection behind.
func TestLoggingOutDuringTheHandshake(t *testing.T) {
	bubble(t, func(f *fixture) {
		l := f.logIn("alice")
		f.onHijack = func() { f.post("/logout", asPage(l.Token)...) }
		if reason := f.connect(l).ExpectClose(int(tank.CloseNormal)); reason != "logged out" {
			t.Errorf("the reason is %q", reason)
		}
	})
}

func TestRenewalKeepsTheConnection(t *testing.T) {
	bubble(t, func(f *fixture) {
		first := f.logIn("alice")
		c := f.connect(first)
		latest := first
		for range 10 {
			time.Sleep(lifetime / 2)
			latest = f.renewOver(c, latest)
		}
		f.connect(latest).Subscribe("news")
		if answer := f.server.DialRefused("/ws", tanktest.Subprotocols(bearer+first.Token, subprotocol)); answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("the first token has become as good as the last: %s", answer.Status)
		}
		f.expires(c)
	})
}

// TestRenewalOfACookie is told to all windows, none of which gets to see the token.
func TestRenewalOfACookie(t *testing.T) {
	bubble(t, func(f *fixture) {
		cookie := f.logInByCookie("alice")
		one, two := f.server.Dial("/ws", inCookie(cookie.Value)), f.server.Dial("/ws", inCookie(cookie.Value))
		for range 3 {
			time.Sleep(lifetime / 2)
			cookie = f.cookie(f.post("/renew", asBrowser(cookie.Value)...))
			for _, c := range []*tanktest.Client{one, two} {
				if l := f.told(c); l.User != "alice" || l.Token != "" {
					t.Errorf("a script is told %+v", l)
				}
			}
		}
		f.expires(one)
		f.expires(two)
		if answer := f.post("/renew", asBrowser(cookie.Value)...); answer.StatusCode != http.StatusUnauthorized || len(answer.Cookies()) > 0 {
			t.Errorf("a session is renewed whose token has expired: %s", answer.Status)
		}
	})
}

func TestWhatIsNotUnderstoodIsRefused(t *testing.T) {
	bubble(t, func(f *fixture) {
		l := f.logIn("alice")
		c := f.connect(l)
		c.Send("whatever")
		c.ExpectRefusal("bad_message", "")
		c.SendBinary([]byte("token:" + l.Token))
		c.ExpectRefusal("bad_message", "")
		for _, token := range []string{"", "nonsense", f.logIn("root").Token} {
			c.Send("token:" + token)
			c.ExpectRefusal("forbidden", "")
		}
	})
}

func TestLoggingOutEndsAllConnectionsOfTheUser(t *testing.T) {
	bubble(t, func(f *fixture) {
		l, cookie := f.logIn("alice"), f.logInByCookie("alice")
		one, two, root := f.connect(l), f.server.Dial("/ws", inCookie(cookie.Value)), f.connect(f.logIn("root"))
		for _, header := range [][]string{nil, asBrowser("nonsense"), asPage("nonsense")} {
			if answer := f.post("/logout", header...); answer.StatusCode != http.StatusUnauthorized {
				t.Errorf("%v is answered with %s", header, answer.Status)
			}
		}
		one.ExpectNothing()
		answer := f.post("/logout", asBrowser(cookie.Value)...)
		if answer.StatusCode != http.StatusNoContent || len(answer.Cookies()) != 1 || answer.Cookies()[0].MaxAge >= 0 {
			t.Errorf("answered with %s, %+v", answer.Status, answer.Cookies())
		}
		one.ExpectClose(int(tank.CloseNormal))
		two.ExpectClose(int(tank.CloseNormal))
		root.Subscribe("news")
		for _, token := range []string{l.Token, cookie.Value} {
			if answer := f.server.DialRefused("/ws", inCookie(token)); answer.StatusCode != http.StatusUnauthorized {
				t.Errorf("a token is still good: %s", answer.Status)
			}
		}
	})
}

// TestLoggingOutLongAfterTheFirstToken works with the latest, whichever way it has come.
func TestLoggingOutLongAfterTheFirstToken(t *testing.T) {
	bubble(t, func(f *fixture) {
		l, cookie := f.logIn("alice"), f.logInByCookie("root")
		alice, root := f.connect(l), f.server.Dial("/ws", inCookie(cookie.Value))
		for range 3 {
			time.Sleep(lifetime / 2)
			l = f.renewOver(alice, l)
			cookie = f.cookie(f.post("/renew", asBrowser(cookie.Value)...))
			f.told(root)
		}
		f.post("/logout", asPage(l.Token)...)
		alice.ExpectClose(int(tank.CloseNormal))
		root.ExpectNothing()
		f.post("/logout", asBrowser(cookie.Value)...)
		root.ExpectClose(int(tank.CloseNormal))
	})
}

// TestOneBrowserTwoUsers: a page logs out the user it has logged in, although the browser's cookie is somebody else's.
func TestOneBrowserTwoUsers(t *testing.T) {
	bubble(t, func(f *fixture) {
		l, cookie := f.logIn("alice"), f.logInByCookie("root")
		alice, root := f.connect(l), f.server.Dial("/ws", inCookie(cookie.Value))
		answer := f.post("/logout", append(asPage(l.Token), asBrowser(cookie.Value)...)...)
		if len(answer.Cookies()) > 0 {
			t.Errorf("the other's cookie is gone: %v", answer.Cookies())
		}
		alice.ExpectClose(int(tank.CloseNormal))
		root.Subscribe("news")
	})
}
