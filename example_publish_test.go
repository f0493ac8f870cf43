package tank_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// Publish waits for room in the topic's queue no longer than its context.
func ExampleManager_Publish() {
	tkws := tank.NewInstance()
	go tkws.Start()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	fmt.Println(tkws.Publish(ctx, "nobody listens", "x"))
	fmt.Println(errors.Is(tkws.Publish(ctx, "", "x"), tank.ErrInvalidTopic))
	tkws.Shutdown(ctx)
	fmt.Println(tkws.Publish(ctx, "news", "x"))
	// Output:
	// <nil>
	// true
	// tank: closed
}

// BroadcastTopicMessage needs no context: it waits for room no longer than Limits.PublishTimeout.
func ExampleManager_BroadcastTopicMessage() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	page.send("sub:news")
	await(tkws, tank.EventSubscribe)

	tkws.BroadcastTopicMessage("weather", "rain") // the page has not asked for it
	tkws.BroadcastTopicMessage("news", `{"headline":"hello"}`)
	fmt.Println(page.receive()) // data is a string, here with JSON inside
	// Output: {"topic":"news","data":"{\"headline\":\"hello\"}"}
}

// BroadcastMessage sends the bytes as they are to everyone who is connected.
func ExampleManager_BroadcastMessage() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	await(tkws, tank.EventConnect)
	tkws.BroadcastMessage([]byte("maintenance at noon"))
	fmt.Println(page.receive())
	// Output: maintenance at noon
}

// PublishJSON encodes a value once, for all subscribers. Pages parse what is in "data".
func ExampleManager_PublishJSON() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	page.send("sub:score")
	await(tkws, tank.EventSubscribe)

	ctx := context.Background()
	fmt.Println(tkws.PublishJSON(ctx, "score", map[string]int{"home": 2, "away": 1}))
	fmt.Println(page.receive())
	fmt.Println(errors.Is(tkws.PublishJSON(ctx, "score", func() {}), tank.ErrInvalidData))
	// Output:
	// <nil>
	// {"topic":"score","data":"{\"away\":1,\"home\":2}"}
	// true
}

type order struct {
	ID   int    `json:"id"`
	Item string `json:"item"`
}

// A Topic takes values of one type, so that no other program of yours publishes something else there by mistake.
func ExampleTopicOf() {
	tkws := tank.NewInstance()
	orders := tank.TopicOf[order](tkws, "orders")
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	page.send("sub:" + orders.Name())
	await(tkws, tank.EventSubscribe)
	orders.Publish(context.Background(), order{7, "tea"})
	fmt.Println(page.receive())
	// Output: {"topic":"orders","data":"{\"id\":7,\"item\":\"tea\"}"}
}

// A topic without subscribers takes a message and forgets it. A name that cannot be a topic's is refused.
func ExampleTopic_Publish() {
	tkws := tank.NewInstance()
	go tkws.Start()
	defer tkws.Shutdown(context.Background())
	for _, name := range []string{"orders", ""} {
		fmt.Println(tank.TopicOf[order](tkws, name).Publish(context.Background(), order{7, "tea"}))
	}
	// Output:
	// <nil>
	// tank: invalid topic: topic is empty
}

func ExampleTopic_Name() {
	fmt.Println(tank.TopicOf[order](tank.NewInstance(), "orders").Name())
	// Output: orders
}

// Subscribe hears what is published to a topic inside the program, here until Shutdown.
func ExampleManager_Subscribe() {
	tkws := tank.NewInstance()
	go tkws.Start()
	go func() {
		for tkws.GetTopicSubscriberCount("orders") == 0 { // until the loop below listens
			runtime.Gosched()
		}
		tkws.BroadcastTopicMessage("orders", "tea")
		tkws.PublishJSON(context.Background(), "orders", order{8, "cake"})
		tkws.Shutdown(context.Background())
	}()
	for p, err := range tkws.Subscribe(context.Background(), "orders") {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(p.Topic, p.Data, p.JSON)
	}
	// Output:
	// orders tea false
	// orders {"id":8,"item":"cake"} true
	// tank: closed
}
