package control

import (
	"sync"
	"time"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
)

// flood publishes to one topic without pause, but never more than a window ahead of what its subscribers are known to
// have received: a producer with end-to-end flow control. Without, contenders with unlimited queues would fill memory.
type flood struct {
	contender contender.Contender
	job       Job
	stamper   *payload.Stamper

	mu       sync.Mutex
	more     sync.Cond
	credit   int // messages that all subscribers have
	stopping bool

	done   chan struct{}
	result Published // when done
}

func startFlood(c contender.Contender, job Job, template string) (*flood, error) {
	s, err := payload.NewStamper(template, 0)
	if err != nil {
		return nil, err
	}
	f := &flood{contender: c, job: job, stamper: s, done: make(chan struct{})}
	f.more.L = &f.mu
	go f.run()
	return f, nil
}

func (f *flood) run() {
	defer close(f.done)
	start := time.Now()
	var t tally
	n := 0
	for ahead := f.await(0); n < ahead; ahead = f.await(n) {
		for ; n < ahead; n++ {
			t.add(1, f.contender.Publish(f.job.Topic, f.stamper.Make(n, time.Now().UnixNano())))
		}
	}
	f.result = Published{Messages: n, Elapsed: time.Since(start).Nanoseconds(), Failed: t.failed}
	if t.err != nil {
		f.result.Error = t.err.Error()
	}
}

// await blocks until more than n messages may have been published, and returns how many may; n when it is over.
func (f *flood) await(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.stopping && f.credit+f.job.Window <= n {
		f.more.Wait()
	}
	if f.stopping {
		return n
	}
	return f.credit + f.job.Window
}

func (f *flood) raise(credit int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.credit = max(f.credit, credit)
	f.more.Signal()
}

func (f *flood) stop() Published {
	f.mu.Lock()
	f.stopping = true
	f.more.Signal()
	f.mu.Unlock()
	<-f.done
	return f.result
}
