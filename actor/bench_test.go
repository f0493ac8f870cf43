package actor_test

import (
	"fmt"
	"iter"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/actor"
)

// BenchmarkPost measures messages from producers through the mailbox to the receive function.
func BenchmarkPost(b *testing.B) {
	send := func(_ *testing.B, ref *actor.Ref[int], i int) { ref.Post(i) }
	benchmarkSend(b, actor.Options{}, send)
}

// BenchmarkPut is BenchmarkPost with producers that have to wait for the actor.
func BenchmarkPut(b *testing.B) {
	send := func(b *testing.B, ref *actor.Ref[int], i int) { ref.Put(b.Context(), i, 1) }
	benchmarkSend(b, actor.Options{Limit: 1024}, send)
}

func benchmarkSend(b *testing.B, opts actor.Options, send func(*testing.B, *actor.Ref[int], int)) {
	for _, producers := range []int{1, 64} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			b.ReportAllocs()
			received := 0
			ref := actor.Spawn(opts, func(mail iter.Seq[int]) {
				for range mail {
					received++
				}
			})
			crowd(producers, func(p int) {
				for i := p; i < b.N; i += producers {
					send(b, ref, i)
				}
			})
			ref.Stop()
			<-ref.Done()
			if received != b.N {
				b.Fatalf("%d of %d messages received", received, b.N)
			}
		})
	}
}

// BenchmarkWake measures a message to an idle actor, which has to start its goroutine.
func BenchmarkWake(b *testing.B) {
	b.ReportAllocs()
	handled := make(chan struct{})
	ref := actor.Spawn(actor.Options{}, func(mail iter.Seq[int]) {
		for range mail {
			handled <- struct{}{}
		}
	})
	for b.Loop() {
		ref.Post(1)
		<-handled
	}
	ref.Stop()
	<-ref.Done()
}

func BenchmarkCall(b *testing.B) {
	b.ReportAllocs()
	ref := spawnClerk(actor.Options{})
	build := func(r actor.Request[int]) ask { return ask{Request: r, verb: "reply"} }
	for b.Loop() {
		if _, err := actor.Call(b.Context(), ref, build); err != nil {
			b.Fatal(err)
		}
	}
	ref.Stop()
	<-ref.Done()
}

// BenchmarkClaim measures an idle actor that is run by whoever found it idle.
func BenchmarkClaim(b *testing.B) {
	b.ReportAllocs()
	calls := 0
	ref := actor.Spawn(actor.Options{}, func(iter.Seq[int]) { calls++ })
	for b.Loop() {
		if ref.Claim() {
			ref.Run()
		}
	}
	if calls != b.N {
		b.Fatalf("%d of %d claims came through", calls, b.N)
	}
}

// BenchmarkMailbox measures posts, and receives of all that they have piled up, without an actor: 64 at a time.
func BenchmarkMailbox(b *testing.B) {
	const pile = 64
	b.ReportAllocs()
	box := actor.NewMailbox[int](0, func() {})
	var batch []int
	received := 0
	for b.Loop() {
		for i := range pile {
			box.Post(i)
		}
		batch, _ = box.Receive(batch)
		received += len(batch)
	}
	if received != b.N*pile {
		b.Fatalf("%d of %d messages received", received, b.N*pile)
	}
}
