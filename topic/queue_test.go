package topic_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// queue is room for two messages of 36 bytes, which count 64 more each.
const queue = 200

var filler = strings.Repeat("x", 36)

// publishing publishes in the background.
func (h *hub) publishing(ctx context.Context, msg string) <-chan error {
	result := make(chan error, 1)
	go func() { result <- publish(h, ctx, msg) }()
	synctest.Wait()
	return result
}

func TestPublishWaitsWhileTheTopicIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn(t, topic.Options{QueueBytes: queue})
		h.hold()
		s, _ := h.join()
		h.publish(filler, filler)
		impatient, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		gone, patient := h.publishing(impatient, "gone"), h.publishing(t.Context(), "patient")
		if len(gone)+len(patient) != 0 {
			t.Fatal("Publish returned although the queue is full")
		}
		if err := <-gone; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Publish returned %v, want the context's error", err)
		}
		if got := h.Stats().Depth; got != 3 { // the join, and two messages
			t.Errorf("Depth is %d, want 3", got)
		}
		h.release()
		if err := <-patient; err != nil {
			t.Errorf("Publish returned %v after there was room", err)
		}
		s.want(t, "the subscriber", filler, filler, "patient")
	})
}

func TestStopEndsPublishersThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn(t, topic.Options{QueueBytes: queue})
		h.hold()
		h.publish(filler, filler)
		waiting := h.publishing(t.Context(), "waiting")
		h.Stop()
		if err := <-waiting; !errors.Is(err, actor.ErrStopped) {
			t.Errorf("Publish returned %v, want ErrStopped", err)
		}
		h.release()
	})
}

func TestEmptyMessagesFillTheQueueToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn(t, topic.Options{QueueBytes: queue})
		h.hold()
		defer h.release()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for n := range 100 {
			if err := publish(h, ctx, ""); err != nil {
				if n == 0 {
					t.Error("not even one empty message was taken")
				}
				return
			}
		}
		t.Errorf("a queue of %d bytes took 100 empty messages", queue)
	})
}

func TestSubscribersComeAndGoAlthoughTheQueueIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn(t, topic.Options{QueueBytes: queue})
		leaver, m := h.join()
		h.hold()
		h.publish(filler, filler)
		h.Leave(m, false, nil)
		s, _ := h.join()
		h.release()
		h.publish("x")
		leaver.want(t, "the one who left", "hold", filler, filler)
		s.want(t, "the one who joined", "x")
	})
}

// However many publish, no more than the limit waits in the topic; the rest waits with its publishers.
func TestAFloodFromManyGoroutinesIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const publishers, each, fit = 500, 10, 20
		h := spawn(t, topic.Options{QueueBytes: fit * (len(filler) + 64)})
		h.hold()
		s, _ := h.join()
		for range publishers {
			go func() {
				for range each {
					if err := publish(h, t.Context(), filler); err != nil {
						t.Error(err)
					}
				}
			}()
		}
		synctest.Wait()
		if got := h.Stats().Depth; got != 1+fit { // the join, and the messages
			t.Errorf("Depth is %d with %d publishers, want %d", got, publishers, 1+fit)
		}
		h.release()
		if got := len(s.payloads(t)); got != publishers*each {
			t.Errorf("%d of %d messages came", got, publishers*each)
		}
	})
}
