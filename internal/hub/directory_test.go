package hub

import (
	"fmt"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/topic"
)

func TestDirectoryIsAMapFromNamesToTopics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, model := newDirectory(), make(map[string]*topic.Topic)
		for range rapid.IntRange(0, 400).Draw(t, "steps") {
			name := fmt.Sprint("topic", rapid.IntRange(0, 100).Draw(t, "topic"))
			if old := model[name]; old != nil {
				d.remove(old)
				delete(model, name)
			} else {
				model[name] = topic.Spawn(name, topic.Options{})
				d.add(model[name])
			}
			if d.count != len(model) {
				t.Fatalf("%d topics, want %d", d.count, len(model))
			}
		}
		for i := range 101 {
			name := fmt.Sprint("topic", i)
			if got := d.find(name); got != model[name] {
				t.Fatalf("%s: found %v, want %v", name, got, model[name])
			}
		}
	})
}

func TestDirectoryShrinksWithItsTopics(t *testing.T) {
	d := newDirectory()
	var all []*topic.Topic
	for i := range 10_000 {
		all = append(all, topic.Spawn(fmt.Sprint(i), topic.Options{}))
		d.add(all[i])
	}
	if n := len(*d.table.Load()); n < len(all) || n > 4*len(all) {
		t.Errorf("a table of %d for %d topics", n, len(all))
	}
	for _, one := range all {
		d.remove(one)
	}
	if n := len(*d.table.Load()); n != minTable {
		t.Errorf("a table of %d for no topic", n)
	}
}

// A topic that is listed all the while is found, whatever becomes of the others.
func TestDirectoryIsReadWhileItChanges(t *testing.T) {
	d := newDirectory()
	stays := topic.Spawn("stays", topic.Options{})
	d.add(stays)
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for i := 0; ; i++ {
				if d.find("stays") != stays {
					t.Error("the topic that stays is not found")
					return
				}
				if got := d.find(fmt.Sprint(i % 500)); got != nil && got.Name() != fmt.Sprint(i%500) {
					t.Errorf("found %q instead of %d", got.Name(), i%500)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for range 20 {
		var all []*topic.Topic
		for i := range 500 {
			all = append(all, topic.Spawn(fmt.Sprint(i), topic.Options{}))
			d.add(all[i])
		}
		for _, one := range all {
			d.remove(one)
		}
	}
	close(done)
	readers.Wait()
}
