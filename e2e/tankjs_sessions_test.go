package e2e

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// bearer returns the token that a client of tank.v2 offers.
func bearer(r *http.Request) string {
	for offer := range strings.SplitSeq(r.Header.Get("Sec-WebSocket-Protocol"), ",") {
		if token, ok := strings.CutPrefix(strings.TrimSpace(offer), "bearer."); ok {
			return token
		}
	}
	return ""
}

// TestTankGetsANewToken when the server closes the connection because the old one has expired, and asks again when it gets none.
func TestTankGetsANewToken(t *testing.T) {
	t.Parallel()
	m, s := serveTank(t, tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
		who := tank.Identity{UserID: bearer(r)}
		if who.UserID == "token1" {
			who.Expires = time.Now().Add(time.Second)
		}
		return who, nil
	}))
	p := openTank(t, s, "/ws", `{ token: async () => {
		window.calls_ = (window.calls_ ?? 0) + 1;
		if (calls_ === 2) throw new Error("no token today");
		return "token" + calls_;
	} }`)
	if user := eval[string](p, `tank_.user`); user != "token1" {
		t.Errorf("the first connection is that of %s", user)
	}
	stop := numbers(t, m)
	p.wait(`tank_.user === "token3"`)
	p.expectNumbers(stop())
	losses := eval[string](p, `JSON.stringify(states_.filter(({ state }) => state === "waiting").map(({ code, reason }) => [code, reason]))`)
	if losses != `[[3000,"credentials expired"],[1006,"Error: no token today"]]` {
		t.Errorf("the connections end with %s", losses)
	}
}

// TestTankSharesASubscription: two of a page to one topic are one on the wire, and each ends alone.
func TestTankSharesASubscription(t *testing.T) {
	t.Parallel()
	var subs atomic.Int32 // commands on the wire
	m, s := serveTank(t, tank.WithSubscribeAuthorizer(func(*tank.Client, string) error {
		subs.Add(1)
		return nil
	}))
	p := open(t, s, "client", look{})
	p.wait(`window.connect_`)
	p.run(`connect_("/ws"); window.other_ = []; window.one_ = follow_("stream"); window.two_ = follow_("stream", other_)`)
	p.wait(`told_.length === 2`)
	publish := func(n int) {
		t.Helper()
		if err := m.PublishJSON(t.Context(), "stream", n); err != nil {
			t.Fatal(err)
		}
	}
	publish(1)
	p.wait(`got_.length === 1 && other_.length === 1`)
	p.run(`one_.close()`)
	publish(2)
	p.wait(`other_.length === 2`)
	if n := m.GetTopicSubscriberCount("stream"); n != 1 {
		t.Errorf("with one of two subscriptions, the topic has %d subscribers", n)
	}
	p.run(`two_.close()`)
	for began := time.Now(); m.GetTopicSubscriberCount("stream") != 0; time.Sleep(time.Millisecond) { // between two looks
		if time.Since(began) > patience {
			t.Fatal("the server is not told that the last subscription is closed")
		}
	}
	if got := eval[string](p, `JSON.stringify([got_, other_])`); got != "[[1],[1,2]]" {
		t.Errorf("the subscriptions got %s", got)
	}
	if n := subs.Load(); n != 1 {
		t.Errorf("there were %d subs on the wire", n)
	}
}

// TestTankPublishesOnce: the link is cut while the server has a publication and has not answered it. With its key, the page publishes it
// again, and everyone has it once.
func TestTankPublishesOnce(t *testing.T) {
	t.Parallel()
	var link *cutter
	var seen atomic.Int32
	_, s := serveTank(t, tank.WithPublishAuthorizer(func(*tank.Client, *tank.Publication) error {
		if seen.Add(1)%2 == 1 { // the first attempt of each
			link.set(true)
			link.set(false)
		}
		return nil
	}))
	link = newCutter(t, s.addr())
	p := openTank(t, s, "http://"+link.listener.Addr().String()+"/ws", `{}`)
	p.run(shortDelays)
	p.run(`(async () => {
		window.answers_ = [];
		for (let n = 1; n <= 20; n++) {
			const lost = await tank_.publish("stream", n).catch((error) => error);
			while (tank_.state !== "open") await new Promise((done) => setTimeout(done, 10));
			answers_.push([lost.code, await tank_.publish("stream", n, { key: lost.key })]);
		}
	})()`)
	p.expectNumbers(20)
	if wrong := eval[string](p, `JSON.stringify(answers_.filter(([code, { seq, duplicate }], i) => code !== "lost" || seq !== i + 1 || !duplicate))`); wrong != "[]" {
		t.Errorf("the page is answered %s", wrong)
	}
}
