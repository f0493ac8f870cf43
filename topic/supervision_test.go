package topic_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// A nil Member is what makes the topic actor itself panic.

func TestATopicThatPanicsKeepsItsSubscribersAndMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var panics []*actor.PanicError
		h := spawn(t, topic.Options{OnPanic: func(_ *topic.Topic, err *actor.PanicError) { panics = append(panics, err) }})
		s, _ := h.join()
		h.hold()
		h.publish("1")
		h.Join(nil)
		h.publish("2")
		h.Leave(nil)
		h.publish("3")
		h.release()
		s.want(t, "the subscriber", "hold", "1", "2", "3")
		if got := h.Stats().Restarts; len(panics) != 2 || got != 2 {
			t.Errorf("%d panics reported and %d restarts counted, want 2", len(panics), got)
		}
	})
}

func TestATopicThatPanicsWithoutEndIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stops []error
		h := spawn(t, topic.Options{OnStop: func(_ *topic.Topic, err error) { stops = append(stops, err) }})
		for range actor.DefaultRestarts + 5 {
			h.Join(nil)
		}
		synctest.Wait()
		var err *actor.PanicError
		if len(stops) != 1 || !errors.As(stops[0], &err) {
			t.Fatalf("OnStop was called with %v, want once with the panic", stops)
		}
		if err := h.Publish(t.Context(), "late"); !errors.Is(err, actor.ErrStopped) {
			t.Errorf("Publish to a topic that was given up returned %v, want ErrStopped", err)
		}
	})
}
