package brokertest_test

import (
	"context"
	"fmt"

	"github.com/fanqie/tank-websocket-go-server/broker"
	"github.com/fanqie/tank-websocket-go-server/broker/brokertest"
)

// reader is a Receiver that sends what it is told to a channel.
type reader chan string

func (r reader) Began(string, uint64) {}
func (r reader) Lost(error)           { r <- "something may be missing" }
func (r reader) Deliver(messages []broker.Message) {
	for _, m := range messages {
		r <- m.Data
	}
}

// nobody is a Watcher that does not care.
type nobody struct{}

func (nobody) Up()             {}
func (nobody) Down(error, int) {}

// Two nodes, one of which loses its connection for a while.
func Example() {
	ctx := context.Background()
	network := brokertest.NewNetwork()
	one, two := network.Node(), network.Node()
	for _, node := range []*brokertest.Node{one, two} {
		if err := node.Open(nobody{}); err != nil {
			panic(err)
		}
		defer node.Close(ctx)
	}
	told := make(reader, 10)
	if err := two.Subscribe(ctx, []broker.Subscription{{Name: "news", To: told}}); err != nil {
		panic(err)
	}
	publish := func(from *brokertest.Node, data string) {
		if _, err := from.Publish(ctx, "news", broker.Publication{Data: data}); err != nil {
			fmt.Println("not published:", err)
		}
	}
	publish(one, "hello")
	fmt.Println(<-told)

	two.Cut()
	publish(two, "is anybody there?")
	publish(one, "two does not hear this")
	two.Heal()
	fmt.Println(<-told)
	publish(one, "welcome back")
	fmt.Println(<-told)
	// Output:
	// hello
	// not published: broker: no connection
	// something may be missing
	// welcome back
}
