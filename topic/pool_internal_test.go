package topic

import (
	"math"
	"testing"
	"testing/synctest"
)

type countRuns struct{ n *int }

func (c countRuns) Run() { *c.n++ }

// Also where an int has 32 bits.
func TestAPoolSurvivesTheEndOfItsCounter(t *testing.T) {
	for _, next := range []uint32{math.MaxInt32 - 2, math.MaxUint32 - 2} {
		synctest.Test(t, func(t *testing.T) {
			p, ran := NewPool(3), 0
			p.next.Store(next)
			for range 6 {
				p.Go(countRuns{&ran})
				synctest.Wait()
			}
			if ran != 6 {
				t.Errorf("%d of 6 ran", ran)
			}
		})
	}
}
