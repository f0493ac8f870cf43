package tank_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/coder/websocket"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// The authenticator looks at whatever it likes in the request, such as a cookie, and names the user.
func ExampleWithAuthenticator() {
	sessions := map[string]string{"correct horse": "ann"}
	tkws := tank.NewInstance(tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
		userID, ok := sessions[r.FormValue("session")]
		if !ok {
			return tank.Identity{}, errors.New("no such session") // goes to Errors, and not to the client
		}
		return tank.Identity{UserID: userID}, nil
	}))
	server, stop := run(tkws)
	defer stop()
	_, resp, _ := websocket.Dial(context.Background(), server.URL+"?session=guessed", nil)
	fmt.Println(resp.Status)
	page, _, _ := websocket.Dial(context.Background(), server.URL+"?session=correct+horse", nil)
	defer page.CloseNow()
	fmt.Println((<-tkws.ConnEvents).UserID)
	// Output:
	// 401 Unauthorized
	// ann
}

// Everybody has an inbox that nobody else may subscribe to.
func ExampleWithSubscribeAuthorizer() {
	tkws := tank.NewInstance(tank.WithSubscribeAuthorizer(func(c *tank.Client, topic string) error {
		if owner, private := strings.CutPrefix(topic, "inbox:"); private && owner != c.UserID() {
			return errors.New("somebody else's inbox") // goes to Errors, and not to the client
		}
		return nil
	}))
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	page.send("sub:inbox:bob")
	fmt.Println(page.receive())
	page.send("sub:inbox:ann")
	await(tkws, tank.EventSubscribe)
	fmt.Println(tkws.GetTopicSubscriberCount("inbox:bob"), tkws.GetTopicSubscriberCount("inbox:ann"))
	// Output:
	// {"error":{"code":"forbidden","message":"tank: forbidden: subscription refused","topic":"inbox:bob"}}
	// 0 1
}

// Pages may publish to chats that they are in, and to nothing else. The server writes in front of each message whom it comes from.
func ExampleWithPublishAuthorizer() {
	tkws := tank.NewInstance(tank.WithPublishAuthorizer(func(c *tank.Client, p *tank.Publication) error {
		if !strings.HasPrefix(p.Topic, "chat:") || !c.IsSubscribed(p.Topic) {
			return errors.New("not in this chat")
		}
		p.Data = c.UserID() + ": " + p.Data
		return nil
	}))
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	page.send("sub:chat:tea")
	page.send(`{"topic":"chat:tea","data":"hello"}`)
	fmt.Println(page.receive())
	page.send(`{"topic":"news","data":"trust me"}`)
	fmt.Println(page.receive())
	// Output:
	// {"topic":"chat:tea","data":"ann: hello"}
	// {"error":{"code":"forbidden","message":"tank: forbidden: publication refused","topic":"news"}}
}

// What is not the library's own goes to the handler: here, a page asks for the present state behind its subscription.
func ExampleWithMessageHandler() {
	tkws := tank.NewInstance(tank.WithMessageHandler(func(c *tank.Client, m tank.Message) {
		if string(m.Data) == "state:score" {
			c.Send(tank.Message{Data: []byte("2:1")})
		}
	}))
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	page.send("sub:score")
	page.send("state:score")
	fmt.Println(page.receive())
	// Output: 2:1
}

// Each connection is subscribed to its user's inbox and greeted, before anything that it sends is looked at.
func ExampleWithConnectHandler() {
	tkws := tank.NewInstance(tank.WithConnectHandler(func(c *tank.Client, r *http.Request) error {
		if c.UserID() == "eve" {
			return errors.New("banned") // goes to Errors, and not to the client
		}
		if err := c.Subscribe("inbox:" + c.UserID()); err != nil {
			return err
		}
		return c.Send(tank.Message{Data: []byte("welcome, " + c.UserID())})
	}))
	server, stop := run(tkws)
	defer stop()
	for _, user := range []string{"ann", "eve"} {
		page := open(server, user)
		defer page.CloseNow()
		fmt.Println(page.receive())
	}
	fmt.Println(tkws.GetTopicSubscriberCount("inbox:ann"))
	// Output:
	// welcome, ann
	// closed with 3003 refused
	// 1
}

// A connect handler can say itself how it closes the connection. The application's own codes begin at 4000.
func ExampleCloseError() {
	tkws := tank.NewInstance(tank.WithConnectHandler(func(c *tank.Client, r *http.Request) error {
		if r.FormValue("version") < "2" {
			return &tank.CloseError{Code: 4001, Reason: "reload the page"}
		}
		return nil
	}))
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann&version=1")
	defer page.CloseNow()
	fmt.Println(page.receive())
	// Output: closed with 4001 reload the page
}

// The disconnect handler is called once, when all else is over for this connection.
func ExampleWithDisconnectHandler() {
	left := make(chan string, 1)
	tkws := tank.NewInstance(tank.WithDisconnectHandler(func(c *tank.Client, d tank.Disconnect) {
		left <- fmt.Sprintln(c.UserID(), d.Code == tank.CloseNormal, d.Reason, d.Topics)
	}))
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	page.send("sub:room:tea")
	await(tkws, tank.EventSubscribe)
	page.Close(websocket.StatusNormalClosure, "bye")
	fmt.Print(<-left)
	// Output: ann true bye [room:tea]
}

// A client that does not answer a ping is cut. This one does not, because it does not read.
func ExampleWithHeartbeat() {
	tkws := tank.NewInstance(tank.WithHeartbeat(50*time.Millisecond, 50*time.Millisecond))
	server, stop := run(tkws)
	defer stop()
	defer open(server, "ann").CloseNow()
	for e := range tkws.ConnEvents {
		fmt.Printf("%s %q\n", e.EventType, e.Reason)
		if e.EventType == tank.EventDisconnect {
			break
		}
	}
	// Output:
	// connect ""
	// disconnect "1006 heartbeat timeout"
}

// Fields that are not set keep their defaults.
func ExampleWithLimits() {
	tkws := tank.NewInstance(tank.WithLimits(tank.Limits{MessageBytes: 4 << 10, Subscriptions: 1}))
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	page.send("sub:news")
	page.send("sub:weather")
	fmt.Println(page.receive())
	page.send(strings.Repeat("a", 5<<10))
	fmt.Println(page.receive())
	// Output:
	// {"error":{"code":"limit","message":"tank: limit reached: the client has 1 subscriptions","topic":"weather"}}
	// closed with 1009 message too big
}

// Where each client sends something all the time, no connection is idle, and the poller saves nothing.
func ExampleWithPoller() {
	tkws := tank.NewInstance(tank.WithPoller(false))
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann")
	defer page.CloseNow()
	page.send("sub:news")
	await(tkws, tank.EventSubscribe)
	tkws.BroadcastTopicMessage("news", "hello")
	fmt.Println(page.receive())
	// Output: {"topic":"news","data":"hello"}
}

// For states of which only the present one matters: a client that does not keep up skips the old ones, instead of being
// closed.
func ExampleWithOutboxPolicy() {
	tkws := tank.NewInstance(tank.WithOutboxPolicy(tank.OutboxKeepLatest))
	server, stop := run(tkws)
	defer stop()
	page := open(server, "ann") // does not read
	defer page.CloseNow()
	await(tkws, tank.EventConnect)
	for range 32 {
		tkws.BroadcastMessage(make([]byte, 1<<20))
	}
	e := <-tkws.Errors
	fmt.Println(e.Code == tank.CodeSlowClient, tkws.GetClient(e.ClientID).Stats().Closing)
	// Output: true false
}

// With thousands of clients, closing them little by little spares whoever they reconnect to.
func ExampleWithDrain() {
	tkws := tank.NewInstance(tank.WithDrain(60*time.Millisecond, 1)) // in a service, such as 30*time.Second and 100
	server, stop := run(tkws)
	defer stop()
	for range 3 {
		page := open(server, "ann")
		go page.Read(context.Background()) // answers the close frame
		defer page.CloseNow()
		await(tkws, tank.EventConnect)
	}
	began := time.Now()
	tkws.Shutdown(context.Background())
	fmt.Println(time.Since(began) >= 40*time.Millisecond)
	for e := range tkws.ConnEvents {
		fmt.Println(e.EventType, e.Reason)
	}
	// Output:
	// true
	// disconnect 1001 server is shutting down, please reconnect
	// disconnect 1001 server is shutting down, please reconnect
	// disconnect 1001 server is shutting down, please reconnect
}

// Faults are logged as warnings, panics as errors, connections and subscriptions at debug level.
func ExampleWithLogger() {
	handler := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})
	tkws := tank.NewInstance(tank.WithLogger(slog.New(handler)))
	server, stop := run(tkws)
	resp, _ := http.Get(server.URL + "/?user_id=line%0Abreak")
	resp.Body.Close()
	stop()
	// Output:
	// level=WARN msg="request refused" code=2002 error="tank: invalid user id: user id \"line\\nbreak\" contains the control character U+000A"
}

func ExampleWithErrorBuffer() {
	tkws := tank.NewInstance(tank.WithErrorBuffer(100))
	fmt.Println(cap(tkws.Errors), cap(tkws.ConnEvents))
	// Output: 100 1024
}

func ExampleWithConnEventBuffer() {
	tkws := tank.NewInstance(tank.WithConnEventBuffer(10_000))
	fmt.Println(cap(tkws.Errors), cap(tkws.ConnEvents))
	// Output: 1024 10000
}

// Messages of 1 KiB and more are compressed, as small as may be, for clients that offer it.
func ExampleWithCompression() {
	tkws := tank.NewInstance(tank.WithCompression(9, 1<<10))
	server, stop := run(tkws)
	defer stop()
	page, resp, err := websocket.Dial(context.Background(), server.URL,
		&websocket.DialOptions{CompressionMode: websocket.CompressionNoContextTakeover})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer page.CloseNow()
	fmt.Println(resp.Header.Get("Sec-WebSocket-Extensions"))
	// Output: permessage-deflate; client_no_context_takeover; server_no_context_takeover
}

// The first of the server's subprotocols that the client offers is chosen.
func ExampleWithUpgrader() {
	tkws := tank.NewInstance(tank.WithUpgrader(tank.Upgrader{Subprotocols: []string{"v2.example.com", "v1.example.com"}}))
	server, stop := run(tkws)
	defer stop()
	page, _, err := websocket.Dial(context.Background(), server.URL,
		&websocket.DialOptions{Subprotocols: []string{"v1.example.com", "v2.example.com"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer page.CloseNow()
	fmt.Println(page.Subprotocol())
	// Output: v2.example.com
}
