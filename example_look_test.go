package tank_test

import (
	"fmt"
	"net/http"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// Errors has the faults that the instance has dealt with. It is closed by Shutdown.
func ExampleManager_errors() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	resp, _ := http.Get(server.URL + "/?user_id=line%0Abreak")
	resp.Body.Close()
	stop()

	for e := range tkws.Errors {
		fmt.Println(e.Code == tank.CodeUpgrade, e)
	}
	// Output: true request refused: tank: invalid user id: user id "line\nbreak" contains the control character U+000A
}

// ConnEvents tells of each step in the life of each connection. It is closed by Shutdown.
func ExampleManager_connEvents() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	page.send("sub:news")
	page.send("unsub:news")
	page.Close(1000, "bye")

	for e := range tkws.ConnEvents {
		fmt.Printf("%s %s %q %q\n", e.UserID, e.EventType, e.Topic, e.Reason)
		if e.EventType == tank.EventDisconnect {
			break
		}
	}
	// Output:
	// ann connect "" ""
	// ann subscribe "news" ""
	// ann unsubscribe "news" ""
	// ann disconnect "" "1000 bye"
}

func ExampleManager_GetClientCount() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	defer open(server, "ann").CloseNow()
	defer open(server, "bob").CloseNow()
	await(tkws, tank.EventConnect, tank.EventConnect)
	fmt.Println(tkws.GetClientCount())
	// Output: 2
}

func ExampleManager_GetAllClients() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	for _, user := range []string{"ann", "bob"} {
		defer open(server, user).CloseNow()
		await(tkws, tank.EventConnect)
	}
	for _, c := range tkws.GetAllClients() {
		fmt.Println(c.UserID())
	}
	// Output:
	// ann
	// bob
}

// An event has the client's ID; GetClient has the client, as long as it is connected.
func ExampleManager_GetClient() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	for e := range tkws.ConnEvents {
		if e.EventType == tank.EventConnect {
			c := tkws.GetClient(e.ClientID)
			c.Send(tank.Message{Data: []byte("welcome, " + c.UserID())})
			break
		}
	}
	fmt.Println(page.receive())
	fmt.Println(tkws.GetClient("nobody") == nil)
	// Output:
	// welcome, ann
	// true
}

func ExampleManager_GetAllTopics() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	page.send("sub:news")
	page.send("sub:weather")
	await(tkws, tank.EventSubscribe, tank.EventSubscribe)
	for _, t := range tkws.GetAllTopics() {
		fmt.Println(t.Name, t.Subscribers)
	}
	// Output:
	// news 1
	// weather 1
}

// A topic that nobody is in any more, and that keeps nothing, lives on for a while: whoever comes back to it soon is told whether something
// was missed.
func ExampleManager_GetLingeringTopics() {
	tkws := tank.NewInstance()
	_, stop := run(tkws)
	defer stop()
	before, _ := tkws.Position("news")
	for _, t := range tkws.GetLingeringTopics() {
		fmt.Println(t.Name, t.Subscribers, t.Epoch == before.Epoch)
	}
	// Output: news 0 true
}

func ExampleManager_GetTopicSubscriberCount() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	page.send("sub:news")
	await(tkws, tank.EventSubscribe)
	fmt.Println(tkws.GetTopicSubscriberCount("news"), tkws.GetTopicSubscriberCount("weather"))
	// Output: 1 0
}

// Who reads the news right now.
func ExampleManager_GetTopicSubscribers() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	for _, user := range []string{"ann", "bob"} {
		page := open(server, user)
		defer page.CloseNow()
		page.send("sub:news")
		await(tkws, tank.EventSubscribe)
	}
	for _, c := range tkws.GetTopicSubscribers("news") {
		fmt.Println(c.UserID())
	}
	// Output:
	// ann
	// bob
}

// Which readers of the news are behind, and by how many messages.
func ExampleClient_Lag() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	page.send("sub:news")
	await(tkws, tank.EventSubscribe)
	tkws.BroadcastTopicMessage("news", "hello")
	page.receive()
	for _, c := range tkws.GetTopicSubscribers("news") {
		fmt.Println(c.UserID(), c.Lag("news"))
	}
	// Output: ann 0
}

func ExampleManager_Stats() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	page := open(server, "ann")
	page.send("sub:news")
	await(tkws, tank.EventSubscribe)
	tkws.BroadcastTopicMessage("news", "hello")
	page.receive()

	s := tkws.Stats()
	fmt.Println(s.Clients, s.Topics, s.MessagesIn, s.Published)
	page.CloseNow()
	stop()
	s = tkws.Stats()
	fmt.Println(s.Clients, s.Topics, s.MessagesIn, s.Published)
	// Output:
	// 1 1 1 1
	// 0 0 1 1
}

// Each bucket counts what is larger than the bound before, and not larger than its own.
func ExampleManager_Histograms() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	page := open(server, "ann")
	page.send("sub:news")
	await(tkws, tank.EventSubscribe)
	for range 3 {
		tkws.BroadcastTopicMessage("news", "hello")
		page.receive()
	}
	page.CloseNow()
	stop()

	h := tkws.Histograms().BatchMessages
	for i, n := range h.Counts {
		if n > 0 {
			fmt.Printf("%d batches of up to %v messages\n", n, h.Bounds[i])
		}
	}
	fmt.Println(h.Sum, "messages")
	// Output:
	// 3 batches of up to 1 messages
	// 3 messages
}
