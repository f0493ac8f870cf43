package check

import "hash/maphash"

// Position is a place in a topic's order of messages: how many came before, and a polynomial hash of which ones in which
// order. So two subscribers can compare what they saw between two messages, however long, without keeping it.
type Position struct {
	Count, Hash uint64
}

// base of the polynomial, modulo 2^64.
const base = 0x9E3779B97F4A7C15

var seed = maphash.MakeSeed()

// After is the position behind one more message.
func (p Position) After(m Message) Position {
	return Position{p.Count + 1, p.Hash*base + maphash.Comparable(seed, m)}
}

// Since is what lies between an earlier position and this one.
func (p Position) Since(start Position) Position {
	n := p.Count - start.Count
	return Position{n, p.Hash - start.Hash*power(n)}
}

// power is base to the n.
func power(n uint64) uint64 {
	result, square := uint64(1), uint64(base)
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			result *= square
		}
		square *= square
	}
	return result
}
