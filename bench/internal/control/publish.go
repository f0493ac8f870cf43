package control

import (
	"sync"
	"time"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
)

// Publish does a job and returns when its last publish has returned.
func Publish(c contender.Contender, job Job, template string) (Published, error) {
	names := job.names()
	batcher, _ := c.(contender.Batcher)
	batched := batcher != nil && job.Rate == 0 && job.Publishers == 1 && job.Topics == 1
	results := make([]tally, job.Publishers)
	stampers := make([]*payload.Stamper, job.Publishers)
	for p := range stampers {
		var err error
		if stampers[p], err = payload.NewStamper(template, p); err != nil {
			return Published{}, err
		}
	}
	start := time.Now()
	var wg sync.WaitGroup
	for p := range job.Publishers {
		wg.Go(func() {
			if batched {
				results[p] = publishBurst(batcher, job, stampers[p])
			} else {
				results[p] = publishEach(c, job, names, p, stampers[p])
			}
		})
	}
	wg.Wait()
	sum := Published{Messages: job.Messages, Elapsed: time.Since(start).Nanoseconds()}
	for _, r := range results {
		sum.Failed += r.failed
		if r.err != nil {
			sum.Error = r.err.Error()
		}
	}
	return sum, nil
}

// tally counts what failed.
type tally struct {
	failed int
	err    error
}

func (t *tally) add(n int, err error) {
	if err != nil {
		t.failed, t.err = t.failed+n, err
	}
}

// publishEach is one publisher: every job.Publishers'th message, beginning with the first'th.
func publishEach(c contender.Contender, job Job, names []string, first int, s *payload.Stamper) (t tally) {
	start := time.Now()
	for i := first; i < job.Messages; i += job.Publishers {
		t.add(1, c.Publish(names[i%len(names)], s.Make(i, job.await(start, i).UnixNano())))
	}
	return t
}

// await waits until a message is due, and returns the time that counts as that of its publishing. When it is late
// already, the publish before took that long, and so the time is when it was due: a server that keeps its publisher
// waiting must not look faster for it. That a sleep takes too long is not the server's doing.
func (j Job) await(start time.Time, message int) time.Time {
	now := time.Now()
	if j.Rate == 0 {
		return now
	}
	due := start.Add(time.Duration(message) * time.Second / time.Duration(j.Rate))
	wait := due.Sub(now)
	if wait <= 0 {
		return due
	}
	time.Sleep(wait)
	return time.Now()
}

func publishBurst(b contender.Batcher, job Job, s *payload.Stamper) (t tally) {
	burst := make([]string, job.Messages)
	for i := range burst {
		burst[i] = s.Make(i, time.Now().UnixNano())
	}
	t.add(len(burst), b.PublishBurst(job.Topic, burst))
	return t
}
