package client_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// sent is one message of a batch, as the model of an outbox sees it.
type sent struct {
	frame string
	topic *atomic.Uint64
	batch int
}

// outbox is the model: what waits behind the batch that is being written.
type outbox struct {
	limit, writing int
	waiting        []sent
	lost           map[*atomic.Uint64]uint64
	total          uint64
}

func (o *outbox) size() int {
	n := o.writing
	for _, m := range o.waiting {
		n += len(m.frame)
	}
	return n
}

func (o *outbox) lose(i int) {
	o.lost[o.waiting[i].topic]++
	o.total++
	o.waiting = append(o.waiting[:i:i], o.waiting[i+1:]...)
}

func (o *outbox) add(policy client.Policy, batch []sent) {
	others := len(o.waiting) > 0
	o.waiting = append(o.waiting, batch...)
	if o.size() <= o.limit || !others {
		return
	}
	newest := o.waiting[len(o.waiting)-1].batch
	if policy == client.KeepLatest {
		seen := map[*atomic.Uint64]bool{}
		for i := len(o.waiting) - 1; i >= 0; i-- {
			if topic := o.waiting[i].topic; topic != nil && seen[topic] {
				o.lose(i)
			} else {
				seen[topic] = true
			}
		}
	}
	for o.size() > o.limit && o.waiting[0].batch != newest {
		o.lose(0)
	}
}

// TestPoliciesDropWhatTheySay compares an outbox that is full with the model, message by message.
func TestPoliciesDropWhatTheySay(t *testing.T) {
	for name, policy := range map[string]client.Policy{"drop oldest": client.DropOldest, "keep latest": client.KeepLatest} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				program := rapid.SliceOfN(rapid.Custom(drawBatch), 1, 40).Draw(rt, "batches")
				lent := rapid.Bool().Draw(rt, "lent")
				var failure string
				synctest.Test(t, func(t *testing.T) { failure = runPolicy(t, policy, lent, program) })
				if failure != "" {
					rt.Fatal(failure)
				}
			})
		})
	}
}

// batch is what to send: messages of these sizes, of a topic, 0 being none.
type batch struct {
	Topic int
	Sizes []int
}

func drawBatch(t *rapid.T) batch {
	return batch{rapid.IntRange(0, 3).Draw(t, "topic"), rapid.SliceOfN(rapid.IntRange(4, 300), 1, 5).Draw(t, "sizes")}
}

func runPolicy(t *testing.T, policy client.Policy, lent bool, program []batch) string {
	create := newPair
	if lent {
		create = newLentPair
	}
	p := create(t, 1, func(o *client.Options) { o.Policy, o.OutboxBytes = policy, 1000 })
	model := &outbox{limit: 1000, lost: map[*atomic.Uint64]uint64{}}
	first := text("being written")
	p.Send(first)
	synctest.Wait()
	model.writing = len(first.Frames[wire.V1])
	want := string(first.Frames[wire.V1])

	topics := []*atomic.Uint64{nil, new(atomic.Uint64), new(atomic.Uint64), new(atomic.Uint64)}
	for i, b := range program {
		encoded := &wire.Batch{Topic: fmt.Sprint(b.Topic), Lost: topics[b.Topic], Messages: len(b.Sizes)}
		var messages []sent
		for j, size := range b.Sizes {
			frame := wire.AppendFrame(nil, wire.OpText, fmt.Sprintf("%d/%d%s", i, j, strings.Repeat(".", size)))
			encoded.Frames[wire.V1] = append(encoded.Frames[wire.V1], frame...)
			messages = append(messages, sent{string(frame), encoded.Lost, i})
		}
		if !p.Send(encoded) {
			return fmt.Sprintf("batch %d is refused", i)
		}
		synctest.Wait()
		model.add(policy, messages)
		if got := p.Queued(); got != int64(model.size()) {
			return fmt.Sprintf("%d bytes are queued after batch %d, want %d", got, i, model.size())
		}
		// Some more for each batch, and as much again for spare capacity, and for what a batch was whose first messages are dropped.
		if got, most := p.opts.Budget.Held(), int64(2*model.size()+(i+2)*2*wire.BatchOverhead); got > most {
			return fmt.Sprintf("%d bytes are held after batch %d, want %d at most", got, i, most)
		}
	}
	for _, m := range model.waiting {
		want += m.frame
	}
	got := make([]byte, len(want))
	io.ReadFull(p.conn, got)
	synctest.Wait()
	if string(got) != want {
		return fmt.Sprintf("got  %q\nwant %q", got, want)
	}
	for _, topic := range topics[1:] {
		if topic.Load() != model.lost[topic] {
			return fmt.Sprintf("%d messages of a topic are counted as lost, want %d", topic.Load(), model.lost[topic])
		}
	}
	if p.Dropped() != model.total || p.opts.Counters.Dropped.Load() != model.total || p.opts.Budget.Held() != 0 || p.Queued() != 0 {
		return fmt.Sprintf("counted %d, %d lost, want %d; %d held, %d queued", p.Dropped(), p.opts.Counters.Dropped.Load(), model.total,
			p.opts.Budget.Held(), p.Queued())
	}
	if reported := len(p.failed) > 0; reported != (model.total > 0) || len(p.failed) > 1 {
		return fmt.Sprintf("%d faults reported over %d lost messages", len(p.failed), model.total)
	}
	p.Cut("end")
	<-p.gone
	return ""
}

// What was dropped, or written, leaves nothing behind, also in an outbox that is never empty.
func TestOutboxThatIsNeverEmptyDoesNotGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newLentPair(t, 1, func(o *client.Options) { o.Policy = client.DropOldest })
		small := text("x")
		send := func(n int) uint64 {
			for range n {
				p.Send(small)
			}
			synctest.Wait()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		before := send(1000)
		if grown := int64(send(500_000)) - int64(before); grown > 1<<20 {
			t.Errorf("the heap has grown by %d bytes", grown)
		}
		p.Cut("end")
	})
}

// The latest message of each topic is kept while there is room for all of them, whatever comes with them and however fast.
func TestKeepLatestKeepsQuietTopics(t *testing.T) {
	for name, flood := range map[string]func(topic *atomic.Uint64) *wire.Batch{
		"another topic": func(topic *atomic.Uint64) *wire.Batch {
			b := text(strings.Repeat("f", 10<<10))
			b.Topic, b.Lost = "flood", topic
			return b
		},
		"batches of another topic": func(topic *atomic.Uint64) *wire.Batch {
			frame := wire.AppendFrame(nil, wire.OpText, strings.Repeat("f", 1<<10))
			return &wire.Batch{Frames: [wire.FrameEncodings][]byte{bytes.Repeat(frame, 100)}, Messages: 100, Topic: "flood", Lost: topic}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const topics, size = 100, 5 << 10
				p := newLentPair(t, 1, func(o *client.Options) { o.Policy, o.OutboxBytes = client.KeepLatest, 1<<20 })
				p.Send(text("being written"))
				synctest.Wait()
				lost := make([]atomic.Uint64, topics+1)
				for i := range topics {
					b := text(strings.Repeat(fmt.Sprint(i%10), size))
					b.Topic, b.Lost = fmt.Sprint(i), &lost[i]
					p.Send(b)
				}
				for range 20_000 { // not one by one: the client's mailbox fills up, too
					p.Send(flood(&lost[topics]))
				}
				synctest.Wait()
				for i := range topics {
					if lost[i].Load() > 0 {
						t.Fatalf("the only message of topic %d is lost", i)
					}
				}
				if lost[topics].Load() == 0 {
					t.Error("nothing is lost of the flood")
				}
				p.Cut("end")
				<-p.gone
			})
		})
	}
}

// BenchmarkStuckClient measures a message for a client that does not read and whose outbox is full: what the messages that wait
// for it are must not matter.
func BenchmarkStuckClient(b *testing.B) {
	for name, policy := range map[string]client.Policy{"drop oldest": client.DropOldest, "keep latest": client.KeepLatest} {
		for _, waiting := range []int{100, 10_000} {
			for _, topics := range []int{0, 1, waiting / 2} {
				b.Run(fmt.Sprintf("%s/%d waiting/%d topics", name, waiting, topics), func(b *testing.B) {
					c := benchStuckClient(b, policy, waiting*64)
					lost, names := make([]atomic.Uint64, topics+1), make([]string, topics)
					for i := range names {
						names[i] = fmt.Sprintf("a topic with a number: %d", i)
					}
					message := func(i int) *wire.Batch {
						m := text(strings.Repeat("x", 62))
						if topics > 0 {
							m.Topic, m.Lost = names[i%topics], &lost[i%topics]
						}
						return m
					}
					for i := range 2 * waiting {
						c.Send(message(i))
					}
					b.ReportAllocs()
					b.ResetTimer()
					for i := range b.N {
						c.Send(message(i))
						for c.Queued() > int64(waiting+2)*64 { // until the client's goroutine has made room
							runtime.Gosched()
						}
					}
				})
			}
		}
	}
}
