package natsbroker_test

import (
	"log"
	"os"

	"github.com/nats-io/nats.go"

	tank "github.com/fanqie/tank-websocket-go-server"
	natsbroker "github.com/fanqie/tank-websocket-go-server/broker/nats"
)

// Instances of one application have the same group.
func ExampleNew() {
	b, err := natsbroker.New(natsbroker.Options{
		URL:   "nats://nats-1.internal:4222,nats://nats-2.internal:4222",
		Group: "chat",
		Mode:  natsbroker.Confirmed,
	})
	if err != nil {
		log.Fatal(err)
	}
	tkws := tank.NewInstance(tank.WithBroker(b))
	go tkws.Start()
}

// The options of NATS bring credentials, TLS and a name.
func ExampleOptions() {
	_, err := natsbroker.New(natsbroker.Options{
		URL:   "tls://nats.internal:4222",
		Group: "chat",
		NATS: []nats.Option{
			nats.Name("chat on " + os.Getenv("HOSTNAME")),
			nats.UserInfo("chat", os.Getenv("NATS_PASSWORD")),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
}

// A connection that the program uses for other things, too, is prepared: Prepare is its last option.
func ExamplePrepare() {
	conn, err := nats.Connect("nats://nats.internal:4222", nats.Name("chat"), natsbroker.Prepare)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close() // after Shutdown of the instance
	_, err = natsbroker.New(natsbroker.Options{Conn: conn, Group: "chat"})
	if err != nil {
		log.Fatal(err)
	}
}
