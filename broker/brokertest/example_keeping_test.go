package brokertest_test

import (
	"context"
	"fmt"

	"github.com/fanqie/tank-websocket-go-server/broker"
	"github.com/fanqie/tank-websocket-go-server/broker/brokertest"
)

// keptReader is a Receiver of a name that is kept. It sends what it is told to a channel.
type keptReader chan string

func (r keptReader) Began(epoch string, offset uint64) { r <- fmt.Sprint(epoch, " began at ", offset) }
func (r keptReader) Lost(error)                        { r <- "something is missing" }
func (r keptReader) Deliver(messages []broker.Message) {
	for _, m := range messages {
		r <- fmt.Sprint(m.Offset, ": ", m.Data)
	}
}

// A node that gets what it has missed, as long as that is kept.
func ExampleNewKeepingNetwork() {
	ctx := context.Background()
	network := brokertest.NewKeepingNetwork()
	network.Keep(2) // messages of a name
	one, two := network.Node(), network.Node()
	for _, node := range []*brokertest.Node{one, two} {
		if err := node.Open(nobody{}); err != nil {
			panic(err)
		}
		defer node.Close(ctx)
	}
	told := make(keptReader, 10)
	if err := two.Subscribe(ctx, []broker.Subscription{{Name: "news", Keep: true, To: told}}); err != nil {
		panic(err)
	}
	publish := func(list ...string) {
		for _, data := range list {
			if _, err := one.Publish(ctx, "news", broker.Publication{Data: data, Keep: true}); err != nil {
				panic(err)
			}
		}
	}
	show := func(calls int) {
		for range calls {
			fmt.Println(<-told)
		}
	}
	publish("hello")
	show(2)

	two.Cut()
	publish("two gets this", "and this")
	two.Heal()
	show(2)

	two.Cut()
	publish("this is not kept for long enough", "but this is", "and this, too")
	two.Heal()
	show(4)

	page, err := two.After(ctx, "news", "epoch-1", 0, 10)
	fmt.Println(len(page.Messages), page.Whole, page.More, err)
	// Output:
	// epoch-1 began at 0
	// 7: hello
	// 14: two gets this
	// 21: and this
	// something is missing
	// epoch-1 began at 28
	// 35: but this is
	// 42: and this, too
	// 2 false false <nil>
}
