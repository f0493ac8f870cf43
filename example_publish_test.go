package tank_test

import (
	"context"
	"errors"
	"fmt"
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

// CloseClient closes all connections of a user. End the user's session before, or they come back.
func ExampleManager_CloseClient() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	laptop, phone := open(server, "ann"), open(server, "ann")
	defer laptop.CloseNow()
	defer phone.CloseNow()
	await(tkws, tank.EventConnect, tank.EventConnect)

	fmt.Println(tkws.CloseClient("ann"), tkws.CloseClient("bob"))
	fmt.Println(laptop.receive())
	// Output:
	// 2 0
	// closed with 1000 closed by server
}
