package tanktest_test

import (
	"testing"
	"testing/synctest"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// TestWhatIsLostComesAgain, of several topics, and what does not come again is gone: notices, and messages to one client alone.
func TestWhatIsLostComesAgain(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s, m := serve(t, keeping...)
		c := s.DialV2("/")
		c.Subscribe("news")
		c.Subscribe("weather")
		publish(t, m, "news", "a", "b")
		c.ExpectSeq("news", 1, "a")
		c.ExpectSeq("news", 2, "b")
		publish(t, m, "weather", "rain")
		c.ExpectSeq("weather", 1, "rain")
		publish(t, m, "news", "c")
		c.ExpectSeq("news", 3, "c")
		publish(t, m, "news", "d", "e")
		publish(t, m, "weather", "snow")
		must(t, c.Conn().SendTopic("news", "psst"))
		must(t, m.BroadcastMessage([]byte("to all")))
		c.Lose(3)
		c.ExpectClose(1006)
		if news, weather := c.Position("news"), c.Position("weather"); news.Seq != 3 || weather.Seq != 1 {
			t.Errorf("stands at %v and %v", news, weather)
		}
		for topic, got := range c.Resume() {
			if !got.Recovered {
				t.Errorf("%s: %+v", topic, got)
			}
		}
		c.ExpectSeq("news", 4, "d")
		c.ExpectSeq("news", 5, "e")
		c.ExpectSeq("weather", 2, "snow")
		c.ExpectNothing()
	})
}

// TestWhatTheServerHasSaidIsLost with the messages behind which it came: the client stands in the numbering, and has the subscriptions,
// that it had before.
func TestWhatTheServerHasSaidIsLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, m := serve(t, keeping...)
		c := s.DialV2("/")
		before := c.Subscribe("news").Position
		c.Subscribe("weather")
		publish(t, m, "news", "a")
		must(t, m.Reset("news"))
		must(t, c.Conn().Unsubscribe("weather"))
		must(t, c.Conn().Subscribe("sports"))
		publish(t, m, "news", "b", "c")
		c.Lose(3)
		if at := c.Position("news"); at != before {
			t.Errorf("stands at %v, want %v", at, before)
		}
		if at := c.Position("sports"); at != (tank.Position{}) {
			t.Errorf("it is subscribed to sports, at %v", at)
		}
		got := c.Resume()
		if len(got) != 2 || got["news"].Why != "epoch" || !got["weather"].Recovered {
			t.Errorf("resumed with %+v", got)
		}
		c.ExpectNothing()
	})
}

// TestTheLastOnesAreLost, and those before them can be looked at, also those that came over an earlier connection.
func TestTheLastOnesAreLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, m := serve(t, keeping...)
		c := s.DialV2("/")
		c.Subscribe("news")
		publish(t, m, "news", "a", "b")
		c.Lose(1)
		c.Resume()
		publish(t, m, "news", "c")
		c.Lose(2) // b came behind the answer of Resume
		c.ExpectSeq("news", 1, "a")
		c.ExpectClose(1006)
		c.Resume()
		c.ExpectSeq("news", 2, "b")
		c.ExpectSeq("news", 3, "c")
		wantFatal(t, record(t, func(t testing.TB) {
			s, m := serve(t, keeping...)
			c := s.DialV2("/")
			c.Subscribe("news")
			publish(t, m, "news", "a")
			synctest.Wait()
			c.Cut()
			c.Resume() // and what came before it cannot be lost any more
			c.Lose(1)
		}), "Lose(1): 0 messages are in flight, of 1 that the test has not looked at")
	})
}
