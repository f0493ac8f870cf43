package main

import (
	"context"
	"log"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// tick is the time between two prices of a symbol.
const tick = time.Second / 20

// topicOf is the topic on which a symbol's prices come.
func topicOf(symbol string) string { return "price:" + symbol }

// market makes up prices. It belongs to one goroutine, which publishes all of them: a timer for each symbol would cost more
// and tell no more.
type market struct {
	symbols []string
	prices  []float64
	random  *rand.Rand
}

// newMarket returns a market of stars, whose prices are a random walk that is the same for the same seed.
func newMarket(seed uint64) *market {
	letters := strings.Fields("ALPHA BETA GAMMA DELTA EPSILON ZETA ETA THETA IOTA KAPPA LAMBDA MU " +
		"NU XI OMICRON PI RHO SIGMA TAU UPSILON PHI CHI PSI OMEGA")
	constellations := strings.Fields("AND AQR AQL BOO CAS CYG GEM HER LEO LYR ORI PER TAU")
	m := &market{random: rand.New(rand.NewPCG(seed, seed))} // #nosec G404 -- made-up prices
	for _, c := range constellations {
		for _, l := range letters {
			m.symbols = append(m.symbols, l+"."+c)
			m.prices = append(m.prices, 20*math.Exp(3*m.random.Float64()))
		}
	}
	return m
}

// step makes up the next price of the symbol at i, in cents so that nothing has to be rounded twice.
func (m *market) step(i int) string {
	m.prices[i] = max(1, m.prices[i]*math.Exp(0.0009*m.random.NormFloat64()))
	return strconv.FormatFloat(m.prices[i], 'f', 2, 64)
}

// run publishes until the context ends.
func (m *market) run(ctx context.Context, tkws *tank.Manager) {
	clock := time.NewTicker(tick)
	defer clock.Stop()
	for {
		select {
		case <-clock.C:
		case <-ctx.Done():
			return
		}
		if err := m.publish(ctx, tkws); err != nil {
			if ctx.Err() == nil {
				log.Print("prices end: ", err)
			}
			return
		}
	}
}

// publish makes up the next price of every symbol. One that nobody subscribes to is kept for who comes back, and goes no further, so it
// is not worth knowing beforehand.
func (m *market) publish(ctx context.Context, tkws *tank.Manager) error {
	for i, symbol := range m.symbols {
		if err := tkws.Publish(ctx, topicOf(symbol), m.step(i)); err != nil {
			return err
		}
	}
	return nil
}
