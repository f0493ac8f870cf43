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
