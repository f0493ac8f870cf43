package topic_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// tester is what the helpers need of a test.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inbox is a Subscriber that keeps everything. It is read when everything has settled.
type inbox struct {
	batches []*wire.Batch
	copies  [][]byte // of the batches' frames at the time of delivery
	refuse  bool
	panics  bool
}

func (s *inbox) Deliver(b *wire.Batch) (taken, idle bool) {
	if s.panics {
		culprit()
	}
	if s.refuse {
		b.Lost.Add(uint64(b.Messages))
		return false, false
	}
	s.batches = append(s.batches, b)
	s.copies = append(s.copies, bytes.Clone(b.Frames[wire.V1]))
	return true, false
}

// culprit panics under a name that a stack has to show.
func culprit() { panic("in Deliver") }

func (s *inbox) payloads(t tester) (all []string) {
	t.Helper()
	for i, b := range s.batches {
		if !bytes.Equal(b.Frames[wire.V1], s.copies[i]) {
			t.Fatalf("batch %d was changed after it had been delivered", i)
		}
		frames := decode(t, b.Frames[wire.V1])
		if len(frames) != b.Messages {
			t.Fatalf("batch %d says that it has %d messages, and has %d", i, b.Messages, len(frames))
		}
		for _, f := range frames {
			all = append(all, f.payload)
		}
	}
	return all
}

// frame is a decoded server frame.
type frame struct {
	first   byte // FIN, reserved bits and opcode
	payload string
}

// decode takes a run of complete server frames apart, RFC 6455 section 5.2.
func decode(t tester, b []byte) (frames []frame) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 2 {
			t.Fatalf("half a header at the end: %x", b)
		}
		header, n := 2, uint64(b[1])
		switch {
		case n == 126 && len(b) >= 4:
			header, n = 4, uint64(binary.BigEndian.Uint16(b[2:]))
		case n == 127 && len(b) >= 10:
			header, n = 10, binary.BigEndian.Uint64(b[2:])
		}
		if uint64(len(b)-header) < n {
			t.Fatalf("a frame of %d bytes has only %d", n, len(b)-header)
		}
		end := header + int(n)
		frames = append(frames, frame{b[0], string(b[header:end])})
		b = b[end:]
	}
	return frames
}

// hub is a topic whose first message is held up by a subscriber of its own, so that tests choose what comes in one go.
type hub struct {
	*topic.Topic
	t      *testing.T
	gate   chan struct{}
	holder *topic.Member
}

// spawn makes a verbatim topic, so that payloads are what was published.
func spawn(t *testing.T, opts topic.Options) *hub {
	opts.Verbatim = true
	h := &hub{Topic: topic.Spawn("room", opts), t: t}
	t.Cleanup(h.Stop)
	return h
}

// blocker is a Subscriber that breaks the rules: it blocks.
type blocker chan struct{}

func (b blocker) Deliver(*wire.Batch) (taken, idle bool) { <-b; return true, false }

// hold keeps the topic in the middle of delivering a message until release is called.
func (h *hub) hold() {
	h.t.Helper()
	h.gate = make(chan struct{})
	h.holder = &topic.Member{Subscriber: blocker(h.gate)}
	h.Join(h.holder)
	h.publish("hold")
	synctest.Wait()
}

// release lets the topic go on with everything that came since hold.
func (h *hub) release() {
	h.Leave(h.holder, false, nil)
	close(h.gate)
	synctest.Wait()
}

// putter is a topic, or what stands for it.
type putter interface {
	Put(context.Context, topic.Message) error
}

// publish publishes text.
func publish(t putter, ctx context.Context, data string) error {
	return t.Put(ctx, topic.NewPublish(&wire.Publication{Data: data}))
}

func (h *hub) publish(msgs ...string) {
	h.t.Helper()
	for _, msg := range msgs {
		if err := publish(h, h.t.Context(), msg); err != nil {
			h.t.Fatalf("publishing %.20q: %v", msg, err)
		}
	}
}

// join adds a new subscriber.
func (h *hub) join() (*inbox, *topic.Member) {
	s := &inbox{}
	m := &topic.Member{Subscriber: s}
	h.Join(m)
	return s, m
}

// want checks what a subscriber got altogether.
func (s *inbox) want(t *testing.T, who string, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := s.payloads(t); !slices.Equal(got, want) {
		t.Errorf("%s got %.80q, want %.80q", who, got, want)
	}
}

// signal is a Subscriber that tells of its first batch.
type signal struct{ *sync.WaitGroup }

func (s signal) Deliver(*wire.Batch) (taken, idle bool) { s.Done(); return true, false }

// None of the subscribers here negotiated compression, but for those that say so.
func (*inbox) Encoding() wire.Encoding  { return wire.V1 }
func (blocker) Encoding() wire.Encoding { return wire.V1 }
func (signal) Encoding() wire.Encoding  { return wire.V1 }

// None is ever idle, but for those that say so.
func (*inbox) Flush()  {}
func (blocker) Flush() {}
func (signal) Flush()  {}
