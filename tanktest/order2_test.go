package tanktest_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// situations2 are situations for a client that speaks tank.v2.
var situations2 = []struct {
	name   string
	ends   bool
	happen func(c *tanktest.ClientV2, m *tank.Manager)
}{
	{"nothing", false, func(*tanktest.ClientV2, *tank.Manager) {}},
	{"frozen", false, func(c *tanktest.ClientV2, _ *tank.Manager) { c.Freeze() }},
	{"slow", false, func(c *tanktest.ClientV2, _ *tank.Manager) { c.ReadSlowly(1000) }},
	{"cut", true, func(c *tanktest.ClientV2, _ *tank.Manager) { c.Cut() }},
	{"slow and cut", true, func(c *tanktest.ClientV2, _ *tank.Manager) { c.ReadSlowly(10); c.Cut() }},
	{"frozen, cut and resumed", false, func(c *tanktest.ClientV2, _ *tank.Manager) { c.Freeze(); c.Cut(); c.Resume() }},
	{"slow, cut and resumed", false, func(c *tanktest.ClientV2, _ *tank.Manager) { c.ReadSlowly(10); c.Cut(); c.Resume() }},
	{"closed", true, func(c *tanktest.ClientV2, _ *tank.Manager) { c.Close(1000, "") }},
	{"shut down", true, func(c *tanktest.ClientV2, m *tank.Manager) { m.Shutdown(c.Response().Request.Context()) }},
	{"cut by the server", false, func(c *tanktest.ClientV2, m *tank.Manager) { // and the client does not know
		c.Freeze()
		time.Sleep(time.Minute)
	}},
}

// waits are the situations in which a call that waits for a message fails, beside the ends of the connection.
const waits = "nothing|frozen|slow|frozen, cut and resumed|slow, cut and resumed|cut by the server"

// calls2 are all methods of a ClientV2 that a Client does not have, or has with other parameters; see calls.
var calls2 = []struct {
	name  string
	needs bool
	call  func(c *tanktest.ClientV2)
	fails string
}{
	{"Auth", true, func(c *tanktest.ClientV2) { c.Auth("a") }, "frozen|cut by the server"},
	{"AuthRefused", true, func(c *tanktest.ClientV2) { c.AuthRefused("forbidden", "nobody's") }, "frozen|cut by the server"},
	{"Expect", true, func(c *tanktest.ClientV2) { c.Expect("a", "b") }, waits},
	{"ExpectBye", false, func(c *tanktest.ClientV2) { c.ExpectBye(1001) }, waits + "|cut|slow and cut|closed"},
	{"ExpectEnd", true, func(c *tanktest.ClientV2) { c.ExpectEnd("a", "b") }, waits},
	{"ExpectMessage", true, func(c *tanktest.ClientV2) { c.ExpectMessage("a") }, waits},
	{"ExpectExpires", true, func(c *tanktest.ClientV2) { c.ExpectExpires() }, waits},
	{"ExpectGap", true, func(c *tanktest.ClientV2) { c.ExpectGap("a") }, waits},
	{"ExpectInterrupted", true, func(c *tanktest.ClientV2) { c.ExpectInterrupted(true) }, waits},
	{"ExpectHere", true, func(c *tanktest.ClientV2) { c.ExpectHere("a") }, waits},
	{"ExpectLost", true, func(c *tanktest.ClientV2) { c.ExpectLost("a", 1) }, waits},
	{"ExpectRefusal", true, func(c *tanktest.ClientV2) { c.ExpectRefusal("a") }, waits},
	{"ExpectReset", true, func(c *tanktest.ClientV2) { c.ExpectReset("a") }, waits},
	{"ExpectSeq", true, func(c *tanktest.ClientV2) { c.ExpectSeq("a", 1, "b") }, waits},
	{"ExpectTopic", true, func(c *tanktest.ClientV2) { c.ExpectTopic("a", "b") }, waits},
	{"Lose", true, func(c *tanktest.ClientV2) { c.Lose(1) }, waits},
	{"Position", false, func(c *tanktest.ClientV2) { c.Position("a") }, ""},
	{"Publish", true, func(c *tanktest.ClientV2) { c.Publish("a", "b") }, "frozen|cut by the server"},
	{"PublishRefused", true, func(c *tanktest.ClientV2) { c.PublishRefused("forbidden", "secret", "b") }, "frozen|cut by the server"},
	{"Request", true, func(c *tanktest.ClientV2) { c.Request("a") }, "frozen|cut by the server"},
	{"RequestRefused", true, func(c *tanktest.ClientV2) { c.RequestRefused("not_found", "nothing") }, "frozen|cut by the server"},
	{"Resume", false, func(c *tanktest.ClientV2) { c.Resume() }, waits + "|shut down"},
	{"Send", true, func(c *tanktest.ClientV2) { c.Send("a") }, "cut by the server"},
	{"Subscribe", true, func(c *tanktest.ClientV2) { c.Subscribe("a") }, "frozen|cut by the server"},
	{"SubscribeRefused", true, func(c *tanktest.ClientV2) { c.SubscribeRefused("forbidden", "secret") }, "frozen|cut by the server"},
	{"Unsubscribe", true, func(c *tanktest.ClientV2) { c.Unsubscribe("a") }, "frozen|cut by the server"},
}

// TestEveryCallOfV2InEverySituation: none panics or hangs, or fails without a word.
func TestEveryCallOfV2InEverySituation(t *testing.T) {
	for _, situation := range situations2 {
		for _, call := range calls2 {
			t.Run(situation.name+"/"+call.name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					began := time.Now()
					returned := false
					r := record(t, func(t testing.TB) {
						s, m := serve(t, keeping...)
						c := s.DialV2("/")
						situation.happen(c, m)
						began = time.Now()
						call.call(c)
						returned = true
					})
					want := situation.ends && call.needs || slices.Contains(strings.Split(call.fails, "|"), situation.name)
					if failed := r.fatal != ""; failed != want || failed == returned || len(r.errors) > 0 {
						t.Errorf("it failed with %q, %q", r.fatal, r.errors)
					}
					if want && !strings.Contains(r.fatal, "client 1 (/)") && !strings.Contains(r.fatal, `Resume "/": `) {
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
