package test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// TestEverybodyVanishesAtOnce, as behind a proxy that restarts: whoever comes back first sees the others, who have time to come back, too.
func TestEverybodyVanishesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := withPresence(t, tank.Presence{})
		users := map[string]*tanktest.ClientV2{}
		for _, user := range []string{"ann", "bob", "cid"} {
			users[user] = dialAs(s, user)
			users[user].Subscribe("news")
		}
		for _, c := range users {
			c.Cut()
		}
		synctest.Wait()
		if got, err := m.Presence("news"); err != nil || got.Users != 3 {
			t.Errorf("behind the cut: %+v, %v", got, err)
		}
		time.Sleep(2 * time.Second)
		ann := dialAs(s, "ann")
		expectSnapshot(t, ann.Subscribe("news", tanktest.Watch()), "3 +ann +bob +cid")
		time.Sleep(2 * time.Second)
		dialAs(s, "bob").Subscribe("news")
		expectHere(t, ann, "2 -cid")
		time.Sleep(time.Minute)
		ann.ExpectNothing()
	})
}

// TestSnapshotsFillNoOutbox: a client that asks again and again, and does not read, has one snapshot more than its outbox holds.
func TestSnapshotsFillNoOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const outbox = 32 << 10
		m, s := withPresence(t, tank.Presence{Info: func(*tank.Client) any { return strings.Repeat("x", 1000) }},
			tank.WithLimits(tank.Limits{OutboxBytes: outbox, WriteTimeout: time.Hour}), tank.WithHeartbeat(time.Hour, 2*time.Hour))
		for i := range 20 {
			s.Dial(fmt.Sprint("/?user_id=user", i)).Subscribe("news")
		}
		p := s.Dial("/?user_id=ann", tanktest.Subprotocols("tank.v2"), tanktest.ReadBuffer(64))
		p.Next() // hello
		p.Freeze()
		for i := range 100 {
			p.Send(fmt.Sprintf(`{"id":%d,"sub":"news","presence":true}`, i+1))
		}
		most := int64(0)
		for range 100 {
			time.Sleep(time.Millisecond)
			for _, c := range m.GetAllClients() {
				if c.UserID() == "ann" {
					most = max(most, int64(c.Stats().OutboxBytes))
				}
			}
		}
		if most < outbox/2 || most > outbox+24<<10 {
			t.Errorf("up to %d bytes were queued, of %d", most, outbox)
		}
		p.Thaw()
		for i := range 100 {
			if got := p.Next(); !strings.Contains(got.Data, fmt.Sprintf(`"id":%d,`, i+1)) {
				t.Fatalf("got %.40q, want answer %d", got.Data, i+1)
			}
		}
	})
}
