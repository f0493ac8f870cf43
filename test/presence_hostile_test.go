package test

import (
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
