package tank_test

import (
	"fmt"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/broker/brokertest"
)

// Two instances, as in two processes, with a broker between them.
func ExampleWithBroker() {
	network := brokertest.NewNetwork() // in memory; natsbroker.New makes one that leads to other processes
	one, two := tank.NewInstance(tank.WithBroker(network.Node())), tank.NewInstance(tank.WithBroker(network.Node()))
	server, stop := run(one)
	defer stop()
	_, stopTwo := run(two)
	defer stopTwo()
	page := open(server, "ann")
	defer page.CloseNow()
	page.send("sub:news")
	await(one, tank.EventSubscribe) // which is in force at the broker

	two.BroadcastTopicMessage("news", "from elsewhere")
	fmt.Println(page.receive())
	// Output: {"topic":"news","data":"from elsewhere"}
}
