package hub

import (
	"maps"
	"testing"

	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/topic"
)

// TestSubscriptionsAreThoseOfAMap compares with a map, with many subscriptions and few.
func TestSubscriptionsAreThoseOfAMap(t *testing.T) {
	topics := make([]*liveTopic, 3*maxShort)
	for i := range topics {
		topics[i] = new(liveTopic)
	}
	rapid.Check(t, func(t *rapid.T) {
		var s subscriptions
		want := make(map[*liveTopic]*topic.Member)
		change := func(t *rapid.T, shrinks bool) {
			of := rapid.SampledFrom(topics).Draw(t, "topic")
			switch m, subscribed := want[of], want[of] != nil; {
			case !subscribed && !shrinks:
				m = new(topic.Member)
				s.add(of, m)
				want[of] = m
			case subscribed && shrinks:
				if got := s.remove(of); got != m {
					t.Fatal("another member was removed")
				}
				delete(want, of)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add":    func(t *rapid.T) { change(t, false) },
			"remove": func(t *rapid.T) { change(t, true) },
			"fill": func(t *rapid.T) {
				for range 2 * maxShort {
					change(t, false)
				}
			},
			"drain": func(t *rapid.T) {
				for of := range s.all() {
					s.remove(of)
					delete(want, of)
					if rapid.IntRange(0, 9).Draw(t, "stop") == 0 {
						break
					}
				}
			},
			"": func(t *rapid.T) {
				if s.len() != len(want) || !maps.Equal(maps.Collect(s.all()), want) {
					t.Fatalf("%d subscriptions, and not the %d that there should be", s.len(), len(want))
				}
				for _, of := range topics {
					if s.of(of) != want[of] {
						t.Fatal("another member was found")
					}
				}
				if hasIndex := s.index != nil; s.len() > maxShort && !hasIndex || s.len() <= maxShort/2 && hasIndex {
					t.Fatalf("%d subscriptions with an index: %v", s.len(), hasIndex)
				}
			},
		})
	})
}
