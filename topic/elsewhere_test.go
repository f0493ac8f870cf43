package topic_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// TestInstancesAreBounded: a stranger who makes instances up does not fill the memory, and they are forgotten.
func TestInstancesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn2(t, topic.Options{
			Presence: topic.Presence{Enabled: true, Grace: time.Second, Max: 10},
			OnShare:  func(*topic.Topic, topic.Shared) {},
		})
		for i := range 3000 {
			user := topic.Shared{All: true, In: []wire.Present{{User: fmt.Sprint("user ", i)}}}
			if err := h.Hear(t.Context(), fmt.Sprint("node ", i), user); err != nil {
				t.Fatal(err)
			}
		}
		there := func() uint64 {
			here, err := h.Present(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return here.Users
		}
		if n := there(); n != 1024 {
			t.Errorf("%d users are there, want 1024", n)
		}
		time.Sleep(15 * time.Second)
		if n := there(); n != 0 {
			t.Errorf("%d users are there, of instances that say nothing", n)
		}
	})
}
