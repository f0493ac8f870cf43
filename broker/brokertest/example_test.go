package brokertest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/fanqie/tank-websocket-go-server/broker"
	"github.com/fanqie/tank-websocket-go-server/broker/brokertest"
)

// printer is a Receiver and a Watcher that sends what it is told to a channel.
type printer struct {
	node string
	to   chan string
}

func (p printer) Began(string, uint64) {}
func (p printer) Down(_ error, _ int)  { p.to <- p.node + " is down" }
func (p printer) Up()                  { p.to <- p.node + " is up" }
func (p printer) Lost(error)           { p.to <- p.node + " may have missed something" }
func (p printer) Deliver(ms []broker.Message) {
	for _, m := range ms {
		p.to <- p.node + " got " + m.Data
	}
}

// Two nodes, one of which loses its connection for a while.
func Example() {
	ctx := context.Background()
	network := brokertest.NewNetwork()
	one, two := network.Node(), network.Node()
	told := make(chan string, 100)
	for name, node := range map[string]*brokertest.Node{"one": one, "two": two} {
		if err := node.Open(printer{name, make(chan string, 100)}); err != nil {
			panic(err)
		}
		defer node.Close(ctx)
	}
	if err := two.Subscribe(ctx, []broker.Subscription{{Name: "news", To: printer{"two", told}}}); err != nil {
		panic(err)
	}
	if _, err := one.Publish(ctx, "news", broker.Publication{Data: "hello"}); err != nil {
		panic(err)
	}
	fmt.Println(<-told)

	two.Cut()
	_, err := two.Publish(ctx, "news", broker.Publication{Data: "is anybody there?"})
	fmt.Println(errors.Is(err, broker.ErrDown))
	if _, err := one.Publish(ctx, "news", broker.Publication{Data: "nobody listens"}); err != nil {
		panic(err)
	}
	two.Heal()
	fmt.Println(<-told)
	if _, err := one.Publish(ctx, "news", broker.Publication{Data: "welcome back"}); err != nil {
		panic(err)
	}
	fmt.Println(<-told)
	// Output:
	// two got hello
	// true
	// two may have missed something
	// two got welcome back
}
