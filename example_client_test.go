package tank_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// Send answers one client, here from the message handler.
func ExampleClient_Send() {
	tkws := tank.NewInstance(tank.WithMessageHandler(func(c *tank.Client, m tank.Message) {
		c.Send(tank.Message{Data: append([]byte("you said "), m.Data...)})
	}))
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	page.send("hello")
	fmt.Println(page.receive())
	// Output: you said hello
}

// The server can subscribe a client without being asked. No authorizer is called.
func ExampleClient_Subscribe() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	await(tkws, tank.EventConnect)

	for _, c := range tkws.GetAllClients() {
		fmt.Println(c.Subscribe("inbox:" + c.UserID()))
	}
	tkws.BroadcastTopicMessage("inbox:ann", "hello")
	fmt.Println(page.receive())
	// Output:
	// <nil>
	// {"topic":"inbox:ann","data":"hello"}
}

// Take a topic away from everyone who has it.
func ExampleClient_Unsubscribe() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	page.send("sub:draft")
	await(tkws, tank.EventSubscribe)

	for _, c := range tkws.GetTopicSubscribers("draft") {
		fmt.Println(c.Unsubscribe("draft"))
		fmt.Println(c.Unsubscribe("draft"))
	}
	// Output:
	// <nil>
	// tank: not found: not subscribed to "draft"
}

func ExampleClient_Topics() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	page.send("sub:weather")
	page.send("sub:news")
	await(tkws, tank.EventSubscribe, tank.EventSubscribe)
	fmt.Println(tkws.GetAllClients()[0].Topics())
	// Output: [news weather]
}

// SendTopic sends the present state behind the subscription, and in front of what is published from then on.
func ExampleClient_SendTopic() {
	tkws := tank.NewInstance(tank.WithConnectHandler(func(c *tank.Client, _ *http.Request) error {
		if err := c.Subscribe("score"); err != nil {
			return err
		}
		return c.SendTopic("score", "2:1")
	}))
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	fmt.Println(page.receive())
	tkws.BroadcastTopicMessage("score", "3:1")
	fmt.Println(page.receive())
	// Output:
	// {"topic":"score","data":"2:1"}
	// {"topic":"score","data":"3:1"}
}

func ExampleClient_IsSubscribed() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	page.send("sub:news")
	await(tkws, tank.EventSubscribe)
	c := tkws.GetAllClients()[0]
	fmt.Println(c.IsSubscribed("news"), c.IsSubscribed("weather"))
	// Output: true false
}

// Close tells this client why; codes from 4000 on are the application's own.
func ExampleClient_Close() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	await(tkws, tank.EventConnect)

	c := tkws.GetAllClients()[0]
	fmt.Println(errors.Is(c.Close(999, "no such code"), tank.ErrInvalidClose))
	c.Close(4001, "another game has begun")
	fmt.Println(page.receive())
	// Output:
	// true
	// closed with 4001 another game has begun
}

// Find the client that is furthest behind.
func ExampleClient_Stats() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	page.send("sub:news")
	await(tkws, tank.EventSubscribe)

	var worst tank.ClientStats
	for _, c := range tkws.GetAllClients() {
		if s := c.Stats(); s.OutboxBytes >= worst.OutboxBytes {
			worst = s
		}
	}
	fmt.Println(worst.UserID, worst.Subscriptions, worst.OutboxBytes, worst.Dropped, worst.Closing)
	fmt.Println(time.Since(worst.ConnectedAt) < time.Minute)
	// Output:
	// ann 1 0 0 false
	// true
}

// Two connections of one user have one UserID, and an ID each.
func ExampleClient_ID() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	defer open(server, "ann").CloseNow()
	defer open(server, "ann").CloseNow()
	await(tkws, tank.EventConnect, tank.EventConnect)

	both := tkws.GetAllClients()
	fmt.Println(both[0].UserID() == both[1].UserID(), both[0].ID() == both[1].ID())
	// Output: true false
}

// Without a user_id, and without an authenticator, the client's own ID takes its place.
func ExampleClient_UserID() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	for _, user := range []string{"ann", ""} {
		defer open(server, user).CloseNow()
		await(tkws, tank.EventConnect)
	}
	for _, c := range tkws.GetAllClients() {
		fmt.Println(c.UserID() == "ann", c.UserID() == c.ID())
	}
	// Output:
	// true false
	// false true
}

// Behind a proxy of yours that overwrites X-Real-IP, middleware may put the client's address into the request.
func ExampleClient_RemoteAddr() {
	tkws := tank.NewInstance()
	go tkws.Start()
	defer tkws.Shutdown(context.Background())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Real-IP", "192.0.2.7") // what the proxy has done
		r.RemoteAddr = r.Header.Get("X-Real-IP")
		tkws.ServeHTTP(w, r)
	}))
	defer server.Close()
	defer open(server, "ann").CloseNow()
	await(tkws, tank.EventConnect)
	fmt.Println(tkws.GetAllClients()[0].RemoteAddr())
	// Output: 192.0.2.7
}
