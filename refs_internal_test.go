package tank

import (
	"fmt"
	"hash/maphash"
	"sync"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/topic"
)

func newRefs() *refs { return &refs{seed: maphash.MakeSeed()} }

func TestRefsFindWhatTheyRememberAndNothingElse(t *testing.T) {
	r := newRefs()
	if r.find("news") != nil {
		t.Fatal("found a topic in an empty cache")
	}
	topics := make([]*topic.Topic, 1000)
	for i := range topics {
		topics[i] = topic.Spawn(fmt.Sprint("topic", i), topic.Options{})
		r.remember(topics[i], i+1)
		if r.find(topics[i].Name()) != topics[i] {
			t.Fatalf("topic %d is not found right after it was remembered", i)
		}
	}
	for i, want := range topics {
		if got := r.find(fmt.Sprint("topic", i)); got != nil && got != want { // it may be forgotten, but not be another
			t.Fatalf("found %q instead of %q", got.Name(), want.Name())
		}
	}
	for _, topic := range topics { // again, now that the table has its size
		r.remember(topic, len(topics))
	}
	found := 0
	for _, topic := range topics {
		if r.find(topic.Name()) == topic {
			found++
		}
	}
	if found < len(topics)/2 {
		t.Fatalf("only %d of %d topics are found", found, len(topics))
	}
}

func TestRefsForget(t *testing.T) {
	r := newRefs()
	old, young := topic.Spawn("news", topic.Options{}), topic.Spawn("news", topic.Options{})
	r.remember(old, 1)
	r.forget(old, 1)
	if r.find("news") != nil {
		t.Fatal("a topic is found that was to be forgotten")
	}
	r.remember(young, 1)
	r.forget(old, 1)
	if r.find("news") != young {
		t.Fatal("another topic of the same name was forgotten")
	}
	r.forget(young, 0)
	if r.slots.Load() != nil {
		t.Fatal("the table outlives the last topic")
	}
}

func TestRefsAreSafeConcurrently(t *testing.T) {
	r := newRefs()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				one := topic.Spawn(fmt.Sprint(i%100), topic.Options{})
				r.remember(one, i%300)
				if got := r.find(one.Name()); got != nil && got.Name() != one.Name() {
					t.Errorf("found %q instead of %q", got.Name(), one.Name())
				}
				r.forget(one, (i+g)%50)
			}
		})
	}
	wg.Wait()
}
