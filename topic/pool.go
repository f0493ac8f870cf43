package topic

import (
	"iter"
	"sync/atomic"

	"github.com/fanqie/tank-websocket-go-server/actor"
)

// Pool is a bounded number of goroutines in which topics take turns. Thousands of topics that wake at once then wait in its
// queues, and do not compete with other goroutines. Meanwhile their mail accumulates, and each handles its mail in one go. It is
// made of actors itself: it has goroutines only while there is something to run.
type Pool struct {
	workers []*actor.Ref[actor.Runner]
	next    atomic.Uint32
}

// NewPool returns a pool of that many workers.
func NewPool(workers int) *Pool {
	p := &Pool{workers: make([]*actor.Ref[actor.Runner], workers)}
	for i := range p.workers {
		p.workers[i] = actor.Spawn(actor.Options{Restarts: -1}, work)
	}
	return p
}

// Go runs r once, later. It never blocks. Of two workers it picks one that is idle; else r waits for its turn.
func (p *Pool) Go(r actor.Runner) {
	n := p.next.Add(1)
	for _, w := range []*actor.Ref[actor.Runner]{p.worker(n), p.worker(n + 1)} {
		if w.Claim() {
			w.Post(r)
			go w.Run()
			return
		}
	}
	p.worker(n).Post(r)
}

func (p *Pool) worker(n uint32) *actor.Ref[actor.Runner] {
	return p.workers[n%uint32(len(p.workers))] // #nosec G115 -- as many as there are processors
}

// work is a worker.
func work(queue iter.Seq[actor.Runner]) {
	for r := range queue {
		r.Run()
	}
}
