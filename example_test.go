package tank_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/coder/websocket"

	tank "github.com/fanqie/tank-websocket-go-server"
)

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

// Who may connect, subscribe and publish, and what happens to everything else that clients send.
func ExampleNewInstance() {
	tkws := tank.NewInstance(
		tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
			session, err := r.Cookie("session")
			if err != nil {
				return tank.Identity{}, err // answered with 401
			}
			return tank.Identity{UserID: session.Value}, nil // look it up
		}),
		tank.WithSubscribeAuthorizer(func(c *tank.Client, topic string) error {
			if topic == "private:"+c.UserID() || topic == "news" {
				return nil
			}
			return errors.New("not yours") // the client gets an error frame
		}),
		tank.WithPublishAuthorizer(func(c *tank.Client, p *tank.Publication) error { return nil }),
		tank.WithMessageHandler(func(c *tank.Client, m tank.Message) {
			c.Send(tank.Message{Data: append([]byte("you said "), m.Data...)})
		}),
		tank.WithLimits(tank.Limits{MessageBytes: 4 << 10}),
	)
	server, stop := run(tkws)
	defer stop()
	resp, err := http.Get(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 401 Unauthorized
}

// The shared instance is the same wherever it is asked for.
func ExampleGetSingleInstance() {
	here := tank.GetSingleInstance()
	there := tank.GetSingleInstance()
	fmt.Println(here == there)
	// Output: true
}

// The origin check of browsers can be replaced for all instances that have no upgrader of their own.
func ExampleSetCustomUpgrader() {
	tank.SetCustomUpgrader(tank.Upgrader{
		CheckOrigin: func(r *http.Request) bool { return r.Header.Get("Origin") == "https://app.example.com" },
	})
	defer tank.SetCustomUpgrader(tank.Upgrader{})

	server, stop := run(tank.NewInstance())
	defer stop()
	for _, origin := range []string{"https://app.example.com", "https://elsewhere.example.com"} {
		page, resp, _ := websocket.Dial(context.Background(), server.URL, &websocket.DialOptions{
			HTTPHeader: http.Header{"Origin": {origin}},
		})
		fmt.Println(origin, resp.Status)
		if page != nil {
			page.CloseNow()
		}
	}
	// Output:
	// https://app.example.com 101 Switching Protocols
	// https://elsewhere.example.com 403 Forbidden
}

// run starts an instance behind an HTTP server of its own, and returns how to end both.
func run(tkws *tank.Manager) (server *httptest.Server, stop func()) {
	go tkws.Start()
	server = httptest.NewServer(tkws)
	return server, func() {
		server.Close()
		tkws.Shutdown(context.Background())
	}
}

// await waits for events of these types, in this order, and passes over others.
func await(tkws *tank.Manager, types ...tank.EventType) {
	for _, want := range types {
		for e := range tkws.ConnEvents {
			if e.EventType == want {
				break
			}
		}
	}
}

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

// receive returns the next message, or how the connection was closed.
func (b browser) receive() string {
	_, data, err := b.Read(context.Background())
	var closed websocket.CloseError
	if errors.As(err, &closed) {
		return fmt.Sprintf("closed with %d %s", int(closed.Code), closed.Reason)
	}
	if err != nil {
		return err.Error()
	}
	return string(data)
}
