package tank_test

import (
	"testing"

	tank "github.com/fanqie/tank-websocket-go-server"
)

func TestSubscribePublishUnsubscribe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.dial("ann")
		s.expectEvents("connect ann")
		p.subscribe(s, "news")
		s.expectEvents("subscribe ann news")
		must(t, s.BroadcastTopicMessage("news", "hello \"世界\"\n"))
		p.expectTopic("news", "hello \"世界\"\n")
		p.send("unsub:news")
		s.expectEvents("unsubscribe ann news")
		must(t, s.BroadcastTopicMessage("news", "too late"))
		p.expectNothing()
		p.write(closeFrame(1000, "bye"))
		if e := s.event(); e.EventType != tank.EventDisconnect || e.Reason != "1000 bye" {
			t.Fatalf("got %+v", e)
		}
		p.expectClose(1000)
		s.expectNoErrors()
	})
}
