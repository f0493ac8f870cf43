package load

import (
	"bytes"
	"iter"
	"sync/atomic"
	"time"
)

// record is what came to one client that resumes, as it came: to look at it at once would be part of what is measured.
// It belongs to the fleet's reader until all has come, but for the atomic fields.
type record struct {
	want int    // messages
	have int    // the same
	data []byte // of the frames, one behind the other
	ends []int  // of the frames in data

	asked atomic.Int64 // when, in nanoseconds since began
	done  atomic.Int64 // when the last wanted message had come, the same; 0: it has not
}

// began is what a record's times count from.
var began = time.Now()

func (r *record) message(data []byte) {
	if r.have < r.want {
		r.data = append(r.data, data...)
		r.ends = append(r.ends, len(r.data))
	}
}

func (r *record) count(messages int) {
	r.have += messages
	if r.have >= r.want && r.done.Load() == 0 {
		r.done.Store(time.Since(began).Nanoseconds())
	}
}

// Record is Arm for clients that ask for something with Ask and get so many messages each, which are kept. size is how
// many bytes they have, for which room is made: with more it goes on, but is slower.
func (f *Fleet) Record(messages, size int) {
	f.Arm(int64(messages)*int64(len(f.clients)), nil)
	room := make([]byte, size*len(f.clients))
	for i := range room {
		room[i] = 1 // a page that was never written costs the kernel time, which would be measured
	}
	f.order(func() {
		for i, c := range f.clients {
			c.counter.keep = true
			c.record = &record{want: messages, data: room[i*size : i*size : (i+1)*size], ends: make([]int, 0, messages)}
		}
	})
}

// Ask is Send, and the clock of a client's record begins to run. The client must be recorded.
func (f *Fleet) Ask(client int, text string) error {
	f.clients[client].record.asked.Store(time.Since(began).Nanoseconds())
	return f.Send(client, text)
}

// Took is how long it was from Ask until the last message that the client was to get. It is for after Await.
func (f *Fleet) Took(client int) time.Duration {
	r := f.clients[client].record
	return time.Duration(r.done.Load() - r.asked.Load())
}

// Recorded are the messages that a client was to get, as far as they have come. Verify finds those that are too many.
func (f *Fleet) Recorded(client int) iter.Seq[[]byte] {
	lines := f.opts.Lines
	var data []byte
	var ends []int
	f.order(func() { data, ends = f.clients[client].record.data, f.clients[client].record.ends })
	return func(yield func([]byte) bool) {
		from := 0
		for _, end := range ends {
			message := data[from:end]
			from = end
			if !lines {
				if !yield(message) {
					return
				}
				continue
			}
			for line := range bytes.SplitSeq(message, newline) {
				if !yield(line) {
					return
				}
			}
		}
	}
}
