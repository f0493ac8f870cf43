package linear_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/fanqie/tank-websocket-go-server/soak/internal/linear"
)

// sketch is a history about one topic, written down shortly. Clients are 0 and 1, publishers 2 and 3.
type sketch struct{ linear.History }

func (s *sketch) op(kind linear.Kind, caller int, message string, call, ret int64) *sketch {
	s.Operations = append(s.Operations, linear.Operation{Kind: kind, Topic: "t", Caller: caller, Message: message, Call: call, Return: ret})
	return s
}

func (s *sketch) sub(client int, call, ret int64) *sketch {
	return s.op(linear.Subscribe, client, "", call, ret)
}

func (s *sketch) unsub(client int, call, ret int64) *sketch {
	return s.op(linear.Unsubscribe, client, "", call, ret)
}

func (s *sketch) pub(caller int, message string, call, ret int64) *sketch {
	return s.op(linear.Publish, caller, message, call, ret)
}

// got has a client receive messages when all is over, one letter each.
func (s *sketch) got(client int, messages string) *sketch {
	for _, m := range strings.Split(messages, "") {
		s.gotAt(client, m, 100)
	}
	return s
}

func (s *sketch) gotAt(client int, message string, at int64) *sketch {
	s.Receipts = append(s.Receipts, linear.Receipt{Client: client, Topic: "t", Message: message, At: at})
	return s
}

func history() *sketch { return &sketch{} }

var sketches = []struct {
	name string
	h    *sketch
	want porcupine.CheckResult
}{
	{"nothing", history(), porcupine.Ok},
	{"subscribed, then published", history().sub(0, 1, 2).pub(2, "a", 3, 4).got(0, "a"), porcupine.Ok},
	{"lost message", history().sub(0, 1, 2).pub(2, "a", 3, 4), porcupine.Illegal},
	{"lost one of three", history().sub(0, 1, 2).pub(2, "a", 3, 4).pub(2, "b", 5, 6).pub(2, "c", 7, 8).got(0, "ac"), porcupine.Illegal},
	{"duplicate", history().sub(0, 1, 2).pub(2, "a", 3, 4).got(0, "aa"), porcupine.Illegal},
	{"never published", history().sub(0, 1, 2).got(0, "a"), porcupine.Illegal},
	{"nobody subscribes", history().pub(2, "a", 1, 2), porcupine.Ok},
	{"from before the subscribe", history().pub(2, "a", 1, 2).sub(0, 3, 4).got(0, "a"), porcupine.Illegal},
	{"while subscribing, received", history().pub(2, "a", 1, 4).sub(0, 2, 3).got(0, "a"), porcupine.Ok},
	{"while subscribing, not received", history().pub(2, "a", 1, 4).sub(0, 2, 3), porcupine.Ok},
	{"while subscribing, the first and not the second", history().sub(0, 1, 9).pub(2, "a", 2, 3).pub(2, "b", 4, 5).got(0, "a"), porcupine.Illegal},
	{"while subscribing, the second and not the first", history().sub(0, 1, 9).pub(2, "a", 2, 3).pub(2, "b", 4, 5).got(0, "b"), porcupine.Ok},
	{"after the unsubscribe", history().sub(0, 1, 2).unsub(0, 3, 4).pub(2, "a", 5, 6).got(0, "a"), porcupine.Illegal},
	{"from before the unsubscribe, received late", history().sub(0, 1, 2).pub(2, "a", 3, 4).unsub(0, 5, 6).got(0, "a"), porcupine.Ok},
	{"while unsubscribing", history().sub(0, 1, 2).unsub(0, 3, 9).pub(2, "a", 4, 5).pub(2, "b", 6, 7).got(0, "a"), porcupine.Ok},
	{"while away", history().sub(0, 1, 2).unsub(0, 3, 4).pub(2, "a", 5, 6).sub(0, 7, 8).pub(2, "b", 9, 10).got(0, "b"), porcupine.Ok},
	{"one publisher's order", history().sub(0, 1, 2).pub(2, "a", 3, 4).pub(2, "b", 5, 6).got(0, "ba"), porcupine.Illegal},
	{"order across a new subscription", history().sub(0, 1, 2).pub(2, "a", 3, 4).unsub(0, 5, 6).sub(0, 7, 8).pub(2, "b", 9, 10).got(0, "ba"), porcupine.Illegal},
	{"two publishers at once, the same order", history().sub(0, 1, 2).sub(1, 1, 2).pub(2, "a", 3, 9).pub(3, "b", 3, 9).got(0, "ba").got(1, "ba"), porcupine.Ok},
	{"two publishers at once, different orders", history().sub(0, 1, 2).sub(1, 1, 2).pub(2, "a", 3, 9).pub(3, "b", 3, 9).got(0, "ba").got(1, "ab"), porcupine.Illegal},
	{"two subscribers, one left out", history().sub(0, 1, 2).sub(1, 1, 2).pub(2, "a", 3, 9).got(0, "a"), porcupine.Illegal},
	{"unsubscribed twice, subscribed twice", history().unsub(0, 1, 2).sub(0, 3, 4).sub(0, 5, 6).pub(2, "a", 7, 8).got(0, "a"), porcupine.Ok},
	{"a connection's own message behind its subscribe", history().sub(0, 1, 9).pub(0, "a", 2, 9).got(0, "a"), porcupine.Ok},
	{"the same, not received", history().sub(0, 1, 9).pub(0, "a", 2, 9), porcupine.Illegal},
	{"a connection's own message behind its unsubscribe", history().sub(0, 1, 2).unsub(0, 3, 9).pub(0, "a", 4, 9).got(0, "a"), porcupine.Illegal},
	{"a connection's own order", history().sub(0, 1, 2).pub(0, "a", 3, 0).pub(0, "b", 4, 0).got(0, "ba"), porcupine.Illegal},
	{"an answer behind what it answers", history().sub(0, 1, 2).sub(1, 1, 2).pub(2, "a", 3, 0).gotAt(0, "a", 5).unsub(0, 6, 7).pub(3, "b", 8, 9).got(1, "ba"), porcupine.Illegal},
	{"received before it was published", history().sub(0, 1, 2).gotAt(0, "a", 3).pub(2, "a", 4, 5), porcupine.Illegal},
}

func TestModelDecides(t *testing.T) {
	for _, tt := range sketches {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := tt.h.Check(time.Minute); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestTopicsAreDecidedByThemselves(t *testing.T) {
	h := history().sub(0, 1, 2).pub(2, "a", 3, 4).got(0, "a")
	other := linear.Operation{Kind: linear.Publish, Topic: "other", Caller: 2, Message: "a", Call: 5, Return: 6}
	h.Operations = append(h.Operations, other)
	if got, _ := h.Check(time.Minute); got != porcupine.Ok {
		t.Errorf("got %s", got)
	}
	h.Receipts = append(h.Receipts, linear.Receipt{Client: 0, Topic: "other", Message: "a", At: 9})
	if got, _ := h.Check(time.Minute); got != porcupine.Illegal {
		t.Errorf("got %s", got)
	}
}

func TestVisualizeWritesAPage(t *testing.T) {
	_, info := history().sub(0, 1, 2).pub(2, "a", 3, 4).got(0, "aa").Check(time.Minute)
	file := filepath.Join(t.TempDir(), "history.html")
	if err := linear.Visualize(info, file); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), "publish(a): client 0 at [0 1]") {
		t.Errorf("%v: got %.200s", err, b)
	}
}
