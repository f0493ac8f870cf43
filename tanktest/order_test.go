package tanktest_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// situations are what may have happened to a client before a call. Some are the end of its connection.
var situations = []struct {
	name   string
	ends   bool
	happen func(c *tanktest.Client, m *tank.Manager)
}{
	{"nothing", false, func(*tanktest.Client, *tank.Manager) {}},
	{"frozen", false, func(c *tanktest.Client, _ *tank.Manager) { c.Freeze() }},
	{"frozen and thawed", false, func(c *tanktest.Client, _ *tank.Manager) { c.Freeze(); c.Thaw() }},
	{"slow", false, func(c *tanktest.Client, _ *tank.Manager) { c.ReadSlowly(10) }},
	{"cut", true, func(c *tanktest.Client, _ *tank.Manager) { c.Cut() }},
	{"frozen and cut", true, func(c *tanktest.Client, _ *tank.Manager) { c.Freeze(); c.Cut() }},
	{"slow and cut", true, func(c *tanktest.Client, _ *tank.Manager) { c.ReadSlowly(10); c.Cut() }},
	{"closed", true, func(c *tanktest.Client, _ *tank.Manager) { c.Close(1000, "") }},
	{"closed by the server", true, func(c *tanktest.Client, _ *tank.Manager) { c.Conn().Close(4000, ""); synctest.Wait() }},
	{"shut down", true, func(c *tanktest.Client, m *tank.Manager) { m.Shutdown(c.Response().Request.Context()) }},
	{"cut by the server", false, func(c *tanktest.Client, m *tank.Manager) { // and the client does not know
		c.Freeze()
		time.Sleep(time.Minute)
	}},
}

// calls are all of a client's methods. Those that need a connection fail without one. The others never fail, or say why here.
var calls = []struct {
	name  string
	needs bool
	call  func(c *tanktest.Client)
	fails string // when the situation is one of these, separated by |
}{
	{"Close", true, func(c *tanktest.Client) { c.Close(1000, "") }, "frozen|cut by the server"},
	{"Conn", false, func(c *tanktest.Client) { c.Conn() }, ""},
	{"Cut", false, func(c *tanktest.Client) { c.Cut() }, ""},
	{"EndedAt", false, func(c *tanktest.Client) { c.EndedAt() }, ""},
	{"Expect", true, func(c *tanktest.Client) { c.Expect("a", "b") }, "nothing|frozen|frozen and thawed|slow|cut by the server"},
	{"ExpectClose", false, func(c *tanktest.Client) { c.ExpectClose(1000) }, "*"}, // but when it was closed so
	{"ExpectNothing", true, func(c *tanktest.Client) { c.ExpectNothing() }, "frozen|cut by the server"},
	{"ExpectRefusal", true, func(c *tanktest.Client) { c.ExpectRefusal("a", "b") }, "nothing|frozen|frozen and thawed|slow|cut by the server"},
	{"ExpectTopic", true, func(c *tanktest.Client) { c.ExpectTopic("a", "b") }, "nothing|frozen|frozen and thawed|slow|cut by the server"},
	{"ExpectText", true, func(c *tanktest.Client) { c.ExpectText("a") }, "nothing|frozen|frozen and thawed|slow|cut by the server"},
	{"Freeze", false, func(c *tanktest.Client) { c.Freeze() }, ""},
	{"Next", true, func(c *tanktest.Client) { c.Next() }, "nothing|frozen|frozen and thawed|slow|cut by the server"},
	{"Publish", true, func(c *tanktest.Client) { c.Publish("a", "b") }, "cut by the server"},
	{"ReadSlowly", false, func(c *tanktest.Client) { c.ReadSlowly(1) }, ""},
	{"Response", false, func(c *tanktest.Client) { c.Response() }, ""},
	{"Rest", false, func(c *tanktest.Client) { c.Rest() }, "nothing|frozen|frozen and thawed|slow|cut by the server"},
	{"Send", true, func(c *tanktest.Client) { c.Send("a") }, "cut by the server"},
	{"SendBinary", true, func(c *tanktest.Client) { c.SendBinary([]byte("a")) }, "cut by the server"},
	{"Subscribe", true, func(c *tanktest.Client) { c.Subscribe("a") }, "cut by the server"},
	{"Sync", false, func(c *tanktest.Client) { c.Sync() }, ""},
	{"Thaw", false, func(c *tanktest.Client) { c.Thaw() }, ""},
	{"Unsubscribe", true, func(c *tanktest.Client) { c.Unsubscribe("a") }, "cut by the server"},
}

// TestEveryCallInEverySituation: none panics or hangs, or fails without a word.
func TestEveryCallInEverySituation(t *testing.T) {
	for _, situation := range situations {
		for _, call := range calls {
			t.Run(situation.name+"/"+call.name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					began := time.Now()
					returned := false
					r := record(t, func(t testing.TB) {
						s, m := serve(t)
						c := s.Dial("/")
						situation.happen(c, m)
						began = time.Now()
						call.call(c)
						returned = true
					})
					want := situation.ends && call.needs || slices.Contains(strings.Split(call.fails, "|"), situation.name)
					if call.fails == "*" {
						want = situation.name != "closed"
					}
					if failed := r.fatal != ""; failed != want || failed == returned || len(r.errors) > 0 {
						t.Errorf("it failed with %q, %q", r.fatal, r.errors)
					}
					if want && !strings.Contains(r.fatal, "client 1 (/): ") {
						t.Errorf("it failed with %q", r.fatal)
					}
					if took := time.Since(began); took > 6*time.Second {
						t.Errorf("it took %v", took)
					}
				})
			})
		}
	}
}

// TestCallsAreComplete fails when a method is not among the calls.
func TestCallsAreComplete(t *testing.T) {
	have := make(map[string]bool)
	for _, call := range calls {
		have[call.name] = true
	}
	client, v2 := reflect.TypeFor[*tanktest.Client](), reflect.TypeFor[*tanktest.ClientV2]()
	for i := range client.NumMethod() {
		if name := client.Method(i).Name; !have[name] {
			t.Errorf("%s is not among the calls", name)
		}
	}
	have2 := make(map[string]bool)
	for _, call := range calls2 {
		have2[call.name] = true
	}
	for i := range v2.NumMethod() {
		m := v2.Method(i)
		if ofClient, both := client.MethodByName(m.Name); both && ofClient.Type.String() == strings.Replace(m.Type.String(), "ClientV2", "Client", 1) {
			continue
		}
		if !have2[m.Name] {
			t.Errorf("%s is not among the calls of tank.v2", m.Name)
		}
	}
}

// TestCallsThatNeverFail one behind the other, in every order of three.
func TestCallsThatNeverFail(t *testing.T) {
	names := []string{"Conn", "Cut", "EndedAt", "Freeze", "ReadSlowly", "Sync", "Thaw"}
	call := make(map[string]func(*tanktest.Client))
	for _, c := range calls {
		call[c.name] = c.call
	}
	bubble(t, func(t *testing.T) {
		s, m := serve(t)
		n := len(names)
		for i := range n * n * n {
			c := s.Dial("/")
			for ; i > 0; i /= n {
				call[names[i%n]](c)
			}
			c.Cut()
			c.ExpectClose(1006)
		}
		synctest.Wait()
		if left := m.GetClientCount(); left != 0 {
			t.Errorf("%d clients are left", left)
		}
	})
}
