package tank_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"time"

	"github.com/coder/websocket"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// open2 connects a page that speaks tank.v2, and takes its first frame.
func open2(server *httptest.Server) browser {
	c, _, err := websocket.Dial(context.Background(), server.URL, &websocket.DialOptions{Subprotocols: []string{"tank.v2"}})
	if err != nil {
		log.Fatal(err)
	}
	page := browser{c}
	page.receive() // {"hello":...}
	return page
}

// A topic that keeps messages replays them to a client of tank.v2 that comes back, here from the position with which its page was made.
func ExampleWithTopics() {
	tkws := tank.NewInstance(tank.WithTopics("chat:*", tank.TopicOptions{History: tank.History{Messages: 100, Age: time.Hour}}))
	server, stop := run(tkws)
	defer stop()
	at, err := tkws.Position("chat:42")
	if err != nil {
		log.Fatal(err)
	}
	tkws.BroadcastTopicMessage("chat:42", "published while the page is away")

	page := open2(server)
	defer page.CloseNow()
	since, _ := json.Marshal(at)
	page.send(`{"id":1,"sub":"chat:42","since":` + string(since) + `}`)
	fmt.Println(strings.ReplaceAll(page.receive(), at.Epoch, "EPOCH"))
	fmt.Println(page.receive())
	// Output:
	// {"id":1,"ok":{"epoch":"EPOCH","seq":1,"from":0,"recovered":true}}
	// ["chat:42",1,"published while the page is away"]
}

// A page gets the state and the position together: the position is asked for first, so that no change falls between them.
func ExampleManager_Position() {
	tkws := tank.NewInstance()
	go tkws.Start()
	defer tkws.Shutdown(context.Background())
	at, err := tkws.Position("score")
	if err != nil {
		log.Fatal(err)
	}
	state := "2:1" // from the database
	page, _ := json.Marshal(map[string]any{"at": at, "state": state})
	fmt.Println(strings.ReplaceAll(string(page), at.Epoch, "EPOCH"))
	// Output: {"at":["EPOCH",0],"state":"2:1"}
}

// With a key, it is harmless to publish again when it is not known whether that had succeeded.
func ExampleManager_PublishMessage() {
	tkws := tank.NewInstance(tank.WithTopics("orders", tank.TopicOptions{History: tank.History{Messages: 100}}))
	go tkws.Start()
	defer tkws.Shutdown(context.Background())
	order := tank.Publication{Topic: "orders", Data: `{"id":7}`, JSON: true, Key: "order-7"}
	for range 2 {
		at, err := tkws.PublishMessage(context.Background(), order)
		fmt.Println(at.Seq, err)
	}
	// Output:
	// 1 <nil>
	// 1 <nil>
}

// History reads what a topic has kept, page by page.
func ExampleManager_History() {
	tkws := tank.NewInstance(tank.WithTopics("log", tank.TopicOptions{History: tank.History{Messages: 3}}))
	go tkws.Start()
	defer tkws.Shutdown(context.Background())
	for _, line := range []string{"one", "two", "three", "four"} {
		tkws.BroadcastTopicMessage("log", line)
	}
	var since tank.Position // from the beginning
	for {
		page, err := tkws.History(context.Background(), "log", since, 2)
		if err != nil || len(page.Messages) == 0 {
			break
		}
		fmt.Println(page.First.Seq, page.Last.Seq, page.Messages[0].Data, page.Whole) // the first message is not kept any more
		since = page.Last
	}
	// Output:
	// 2 3 two false
	// 4 4 four true
}

// Reset begins a new numbering. What the topic has kept is gone.
func ExampleManager_Reset() {
	tkws := tank.NewInstance(tank.WithTopics("log", tank.TopicOptions{History: tank.History{Messages: 3}}))
	go tkws.Start()
	defer tkws.Shutdown(context.Background())
	tkws.BroadcastTopicMessage("log", "a name that has to be deleted")
	fmt.Println(tkws.Reset("log"))
	page, err := tkws.History(context.Background(), "log", tank.Position{}, 0)
	fmt.Println(len(page.Messages), err)
	// Output:
	// <nil>
	// 0 <nil>
}

// An instance that permits tank.v2 alone refuses plain sockets.
func ExampleWithProtocols() {
	server, stop := run(tank.NewInstance(tank.WithProtocols(tank.V2)))
	defer stop()
	_, resp, _ := websocket.Dial(context.Background(), server.URL, nil)
	fmt.Println(resp.StatusCode == http.StatusBadRequest)
	open2(server).CloseNow()
	// Output: true
}

// A request of a client of tank.v2 is answered with what the handler returns, or with its error.
func ExampleWithRequestHandler() {
	tkws := tank.NewInstance(tank.WithRequestHandler(func(_ *tank.Client, r tank.Request) (any, error) {
		var ask struct{ Price string }
		if err := r.Decode(&ask); err != nil {
			return nil, err
		}
		if ask.Price != "tea" {
			return nil, &tank.RequestError{Code: "not_found", Message: "we do not sell that"}
		}
		return map[string]int{"cents": 300}, nil
	}))
	server, stop := run(tkws)
	defer stop()
	page := open2(server)
	defer page.CloseNow()
	page.send(`{"id":1,"msg":{"price":"tea"}}`)
	fmt.Println(page.receive())
	page.send(`{"id":2,"msg":{"price":"coal"}}`)
	fmt.Println(page.receive())
	// Output:
	// {"id":1,"ok":{"cents":300}}
	// {"id":2,"error":{"code":"not_found","message":"we do not sell that","retry":false}}
}

// Decode fails with an error that tells the client what is wrong with its request.
func ExampleRequest_Decode() {
	var ask struct{ Price string }
	fmt.Println(tank.Request{Data: json.RawMessage(`{"price":"tea"}`)}.Decode(&ask), ask.Price)
	var told *tank.RequestError
	if errors.As(tank.Request{Data: json.RawMessage(`{"price":7}`)}.Decode(&ask), &told) {
		fmt.Println(told.Code)
	}
	// Output:
	// <nil> tea
	// bad_message
}

// A program that sends other bytes to pages that do not speak tank.v2 asks for the protocol.
func ExampleClient_Protocol() {
	tkws := tank.NewInstance()
	server, stop := run(tkws)
	defer stop()
	plain := open(server, "ann")
	defer plain.CloseNow()
	await(tkws, tank.EventConnect)
	page := open2(server)
	defer page.CloseNow()
	await(tkws, tank.EventConnect)
	for _, c := range tkws.GetAllClients() {
		fmt.Println(c.Protocol())
	}
	// Unordered output:
	// v1
	// tank.v2
}

// Everybody in a room is told who else is there. Here the server asks, too.
func ExampleManager_Presence() {
	tkws := tank.NewInstance(tank.WithTopics("room", tank.TopicOptions{Presence: tank.Presence{
		Enabled: true,
		Info:    func(c *tank.Client) any { return map[string]string{"name": "Ann"} },
	}}))
	server, stop := run(tkws)
	defer stop()
	page := open2(server)
	defer page.CloseNow()
	page.send(`{"id":1,"sub":"room","presence":true}`)
	_, told, _ := strings.Cut(page.receive(), `"here":`)
	fmt.Println(regexp.MustCompile(`[0-9a-f-]{36}`).ReplaceAllString(told, "UUID"))

	who, err := tkws.Presence("room")
	if err != nil {
		log.Fatal(err)
	}
	for _, info := range who.Info {
		fmt.Println(who.Users, string(info))
	}
	// Output:
	// {"n":1,"in":{"UUID":{"name":"Ann"}}}}}
	// 1 {"name":"Ann"}
}

// A page is told when its token is about to expire, and sends another one on the same connection.
func ExampleWithTokenHandler() {
	check := func(token string) (tank.Identity, error) { // stands for the check of a signature
		if token != "signed" {
			return tank.Identity{}, errors.New("not signed")
		}
		return tank.Identity{UserID: "ann", Expires: time.Now().Add(15 * time.Minute)}, nil
	}
	tkws := tank.NewInstance(
		tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) { return check("signed") }),
		tank.WithTokenHandler(func(c *tank.Client, token string) (tank.Identity, error) { return check(token) }))
	server, stop := run(tkws)
	defer stop()
	page := open2(server)
	defer page.CloseNow()
	page.send(`{"id":1,"auth":"signed"}`)
	fmt.Println(page.receive())
	page.send(`{"id":2,"auth":"forged"}`)
	fmt.Println(page.receive())
	// Output:
	// {"id":1,"ok":{}}
	// {"id":2,"error":{"code":"forbidden","message":"the token is refused","retry":false}}
}
