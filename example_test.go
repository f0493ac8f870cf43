package tank_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/coder/websocket"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// browser stands for a page that is connected to the server.
type browser struct{ *websocket.Conn }

func open(server *httptest.Server, user string) browser {
	c, _, err := websocket.Dial(context.Background(), server.URL+"/?user_id="+user, nil)
	if err != nil {
		log.Fatal(err)
	}
	return browser{c}
}

func (b browser) send(text string) {
	if err := b.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
		log.Fatal(err)
	}
}

func (b browser) receive() string {
	_, data, err := b.Read(context.Background())
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// A server mounts an instance on a route and publishes; a browser subscribes and receives.
func Example() {
	tkws := tank.NewInstance()
	go tkws.Start()
	defer tkws.Shutdown(context.Background())
	server := httptest.NewServer(tkws)
	defer server.Close()

	page := open(server, "ann")
	defer page.CloseNow()
	page.send("sub:news")
	for e := range tkws.ConnEvents {
		fmt.Printf("%s %s %q\n", e.UserID, e.EventType, e.Topic)
		if e.EventType == tank.EventSubscribe {
			break
		}
	}
	if err := tkws.BroadcastTopicMessage("news", "hello"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(page.receive())
	// Output:
	// ann connect ""
	// ann subscribe "news"
	// {"topic":"news","data":"hello"}
}

// The shared instance is the same wherever it is asked for.
func ExampleGetSingleInstance() {
	here := tank.GetSingleInstance()
	there := tank.GetSingleInstance()
	fmt.Println(here == there)
	// Output: true
}

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

// BroadcastMessage sends the bytes as they are to everyone who is connected.
func ExampleManager_BroadcastMessage() {
	tkws := tank.NewInstance()
	go tkws.Start()
	defer tkws.Shutdown(context.Background())
	server := httptest.NewServer(tkws)
	defer server.Close()
	page := open(server, "ann")
	defer page.CloseNow()
	<-tkws.ConnEvents // connected
	tkws.BroadcastMessage([]byte("maintenance at noon"))
	fmt.Println(page.receive())
	// Output: maintenance at noon
}

// Shutdown lets every browser have what is on its way, and tells it to come back later.
func ExampleManager_Shutdown() {
	tkws := tank.NewInstance()
	go tkws.Start()
	server := httptest.NewServer(tkws)
	defer server.Close()
	page := open(server, "ann")
	defer page.CloseNow()
	<-tkws.ConnEvents // connected
	tkws.BroadcastMessage([]byte("last words"))

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	done := make(chan error)
	go func() { done <- tkws.Shutdown(ctx) }()
	fmt.Println(page.receive())
	_, _, err := page.Read(context.Background())
	fmt.Println(websocket.CloseStatus(err))
	fmt.Println(<-done)
	// Output:
	// last words
	// StatusGoingAway
	// <nil>
}

func ExampleManager_GetAllTopics() {
	tkws := tank.NewInstance()
	go tkws.Start()
	defer tkws.Shutdown(context.Background())
	server := httptest.NewServer(tkws)
	defer server.Close()
	page := open(server, "ann")
	defer page.CloseNow()
	page.send("sub:news")
	page.send("sub:weather")
	for range 3 {
		<-tkws.ConnEvents // connect, subscribe, subscribe
	}
	for _, t := range tkws.GetAllTopics() {
		fmt.Println(t.Name, t.Subscribers)
	}
	// Output:
	// news 1
	// weather 1
}

func ExampleManager_CloseClient() {
	tkws := tank.NewInstance()
	go tkws.Start()
	defer tkws.Shutdown(context.Background())
	server := httptest.NewServer(tkws)
	defer server.Close()
	defer open(server, "ann").CloseNow()
	defer open(server, "ann").CloseNow()
	<-tkws.ConnEvents
	<-tkws.ConnEvents
	fmt.Println(tkws.CloseClient("ann"), tkws.CloseClient("bob"))
	// Output: 2 0
}

// Who may connect, subscribe and publish, and what happens to everything else that clients send.
func ExampleNewInstance_callbacks() {
	tkws := tank.NewInstance(
		tank.WithAuthenticator(func(r *http.Request) (string, error) {
			session, err := r.Cookie("session")
			if err != nil {
				return "", err // answered with 401
			}
			return session.Value, nil // look it up
		}),
		tank.WithSubscribeAuthorizer(func(c *tank.Client, topic string) error {
			if topic == "private:"+c.UserID() || topic == "news" {
				return nil
			}
			return errors.New("not yours") // the client gets a refusal frame
		}),
		tank.WithPublishAuthorizer(func(c *tank.Client, topic string) error { return nil }),
		tank.WithMessageHandler(func(c *tank.Client, m tank.Message) {
			c.Send(tank.Message{Data: append([]byte("you said "), m.Data...)})
		}),
		tank.WithHeartbeat(20*time.Second, 10*time.Second),
		tank.WithLimits(tank.Limits{MessageBytes: 4 << 10}),
	)
	go tkws.Start()
	defer tkws.Shutdown(context.Background())
	server := httptest.NewServer(tkws)
	defer server.Close()
	resp, err := http.Get(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 401 Unauthorized
}

// The origin check of browsers can be replaced for all instances that have no upgrader of their own.
func ExampleSetCustomUpgrader() {
	tank.SetCustomUpgrader(tank.Upgrader{
		CheckOrigin: func(r *http.Request) bool { return r.Header.Get("Origin") == "https://app.example.com" },
	})
	defer tank.SetCustomUpgrader(tank.Upgrader{})
	// Output:
}
