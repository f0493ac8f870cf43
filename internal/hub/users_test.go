package hub

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestUsersAgainstAModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		u := make(users)
		model := make(map[string][]*Session)
		for range rapid.IntRange(1, 60).Draw(r, "steps") {
			id := rapid.SampledFrom([]string{"ann", "bob"}).Draw(r, "user")
			if list := model[id]; len(list) > 0 && rapid.Bool().Draw(r, "remove") {
				i := rapid.IntRange(0, len(list)-1).Draw(r, "which")
				u.remove(list[i])
				model[id] = slices.Delete(list, i, i+1)
			} else {
				c := &Session{ID: "c", UserID: id}
				u.add(c)
				model[id] = append(list, c)
			}
			if len(model[id]) == 0 {
				delete(model, id)
			}
			if len(u) != len(model) {
				r.Fatalf("%d users are known, want %d", len(u), len(model))
			}
			for id, want := range model {
				if len(u[id]) != len(want) {
					r.Fatalf("%s has %d clients, want %d", id, len(u[id]), len(want))
				}
				for i, c := range u[id] {
					if int(c.place) != i || !slices.Contains(want, c) {
						r.Fatalf("a client of %s with place %d is at %d", id, c.place, i)
					}
				}
			}
		}
	})
}

// BenchmarkUserLeaves removes all clients of one user, in the order in which they came: the time of one is the same however many
// there are.
func BenchmarkUserLeaves(b *testing.B) {
	for _, n := range []int{10_000, 40_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				u := make(users)
				clients := make([]*Session, n)
				for i := range clients {
					clients[i] = &Session{ID: "c", UserID: "ann"}
					u.add(clients[i])
				}
				b.StartTimer()
				for _, c := range clients {
					u.remove(c)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/client")
		})
	}
}

// TestSessionsOfAUserWithoutAName also has somebody claim the id of a connection.
func TestSessionsOfAUserWithoutAName(t *testing.T) {
	s := &supervisor{users: make(users), sessions: make(map[string]*Session)}
	unnamed, claims := &Session{ID: "1", UserID: "1"}, &Session{ID: "2", UserID: "1"}
	for _, want := range [][]*Session{{unnamed}, {claims, unnamed}} {
		c := want[0]
		s.sessions[c.ID] = c
		s.users.add(c)
		if got := s.sessionsOf("1"); !slices.Equal(got, want) {
			t.Errorf("got %d sessions, want %d", len(got), len(want))
		}
	}
	s.users.remove(unnamed)
	delete(s.sessions, unnamed.ID)
	if got := s.sessionsOf("1"); !slices.Equal(got, []*Session{claims}) {
		t.Errorf("got %d sessions, want the one that claims the id", len(got))
	}
	if s.users.remove(claims); len(s.users) > 0 {
		t.Errorf("%d users are left", len(s.users))
	}
}
