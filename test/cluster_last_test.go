package test

import (
	"testing"
	"testing/synctest"

	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// TestClusterKeepsWhatCameWhileTheTopicLived: an instance has the last messages from the moment on at which the topic began there. A loop
// makes it begin.
func TestClusterKeepsWhatCameWhileTheTopicLived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 3, keepAll)
		nodes[0].DialV2("/").Subscribe("news")
		go func() {
			for range nodes[1].Manager.Subscribe(t.Context(), "news") {
			}
		}()
		synctest.Wait()
		publishOn(t, nodes[0], "news", "one")
		for i, want := range []uint64{1, 1, 0} {
			c := nodes[i].DialV2("/")
			if got := c.Subscribe("news", tanktest.Last(10)); got.Position.Seq-got.From != want {
				t.Errorf("instance %d has %d messages, want %d", i, got.Position.Seq-got.From, want)
			}
			if want > 0 {
				c.Expect("news", "one")
			}
		}
	})
}

// TestClusterRepeatsTheLastMessages: a client that asks for the last messages gets again what it had before an interruption.
func TestClusterRepeatsTheLastMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 1, keepAll)
		c := nodes[0].DialV2("/")
		c.Subscribe("news")
		publishOn(t, nodes[0], "news", "one")
		c.Expect("news", "one")
		nodes[0].broker.Cut()
		synctest.Wait()
		nodes[0].broker.Heal()
		synctest.Wait()
		c.ExpectGap("news")
		got := c.Subscribe("news", tanktest.Since(c.Position("news")), tanktest.Last(10))
		if got.Recovered || got.Why != "unknown" {
			t.Errorf("answered %+v", got)
		}
		c.ExpectTopic("news", "one")
		publishOn(t, nodes[0], "news", "two")
		c.ExpectSeq("news", 3, "two") // 2 is the interruption

		late := nodes[0].DialV2("/")
		late.Subscribe("news", tanktest.Last(10))
		late.ExpectSeq("news", 1, "one")
		late.ExpectSeq("news", 3, "two")
	})
}
