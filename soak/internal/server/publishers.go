package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/soak/internal/check"
)

const (
	publishers = 8
	// largest is the size of the largest messages in bytes; most are far smaller.
	largest = 4096
	// Of burstEvery publications of a publisher one is a burst of as many as burst, to one topic.
	burstEvery, burst = 200, 50
	// broadcastEvery is the time between broadcasts.
	broadcastEvery = 100 * time.Millisecond
)

// publication counts what the server itself publishes.
type publication struct {
	m      *tank.Manager
	config Config

	mu    sync.Mutex
	last  map[string]map[string]uint64
	total uint64
	busy  uint64
}

// run publishes until the instance refuses.
func (p *publication) run() {
	var wg sync.WaitGroup
	for i := range publishers {
		wg.Go(func() { p.publisher(fmt.Sprint("s", i), rand.New(rand.NewPCG(p.config.Seed, uint64(i)))) })
	}
	wg.Go(p.broadcaster)
	wg.Wait()
}

// publisher publishes to one topic after the other, a little at a time or a burst.
func (p *publication) publisher(name string, random *rand.Rand) {
	numbers := make(map[string]uint64)
	pause := time.Second * publishers / time.Duration(max(1, p.config.Rate))
	for {
		topic, n := p.config.Topics[random.IntN(len(p.config.Topics))], 1
		if random.IntN(burstEvery) == 0 {
			n = burst
		}
		for range n {
			m := check.Message{Topic: topic, Publisher: name, Seq: numbers[topic] + 1}
			if !p.publish(m, func() error { return p.m.Publish(context.Background(), topic, m.Data(size(random))) }) {
				return
			}
			numbers[topic] = p.lastOf(m)
		}
		time.Sleep(time.Duration(float64(pause) * float64(n) * (0.5 + random.Float64())))
	}
}

// size is mostly small and seldom large.
func size(random *rand.Rand) int {
	x := random.Float64()
	return 32 + int(x*x*x*x*largest)
}

func (p *publication) broadcaster() {
	for seq := uint64(1); ; seq++ {
		m := check.Message{Publisher: check.Broadcaster, Seq: seq}
		if !p.publish(m, func() error { return p.m.BroadcastMessage([]byte(m.Data(64))) }) {
			return
		}
		seq = p.lastOf(m)
		time.Sleep(broadcastEvery)
	}
}

// publish notes whether a message was taken, and returns false when the instance takes no more. A number that was not
// taken is used again.
func (p *publication) publish(m check.Message, publish func() error) (goOn bool) {
	err := publish()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case errors.Is(err, tank.ErrClosed):
		return false
	case err != nil:
		p.busy++
		return true
	}
	p.total++
	if p.last[m.Topic] == nil {
		p.last[m.Topic] = make(map[string]uint64)
	}
	p.last[m.Topic][m.Publisher] = m.Seq
	return true
}

func (p *publication) lastOf(m check.Message) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last[m.Topic][m.Publisher]
}
