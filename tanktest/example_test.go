package tanktest_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// In your program, what run is given is a function TestNews(t *testing.T).
func Example() {
	run(func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tkws := tank.NewInstance()
			s := tanktest.Serve(t, tkws)
			ann, bob := s.Dial("/?user_id=ann"), s.Dial("/?user_id=bob")
			ann.Subscribe("news")

			if err := tkws.BroadcastTopicMessage("news", "hello"); err != nil {
				t.Fatal(err)
			}
			ann.Expect("news", "hello")
			bob.ExpectNothing()
			fmt.Println(ann.Conn().UserID(), "got the news, and", bob.Conn().UserID(), "did not")
		})
	})
	// Output: ann got the news, and bob did not
}

// A service of your own, with its routes and middleware: whoever orders over HTTP is told when the order is ready.
func ExampleServeHandler() {
	tkws := tank.NewInstance(tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
		user, _, ok := r.BasicAuth()
		if !ok {
			return tank.Identity{}, errors.New("who is it?")
		}
		return tank.Identity{UserID: user}, nil
	}))
	mux := http.NewServeMux()
	mux.Handle("GET /ws", tkws)
	mux.HandleFunc("POST /orders/{user}", func(w http.ResponseWriter, r *http.Request) {
		if err := tkws.Publish(r.Context(), "inbox:"+r.PathValue("user"), "your order is ready"); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})

	run(func(t *testing.T) {
		s := tanktest.ServeHandler(t, mux, tkws)
		fmt.Println(s.DialRefused("/ws").Status)

		ann := s.Dial("/ws", tanktest.Header("Authorization", "Basic YW5uOnNlY3JldA=="))
		ann.Subscribe("inbox:ann")
		answer, err := s.Client().Post(s.URL+"/orders/ann", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		fmt.Println(ann.Next())
	})
	// Output:
	// 401 Unauthorized
	// "your order is ready" of topic "inbox:ann"
}

// A client that stops reading is closed when its queued bytes exceed the limit, and other clients do not notice.
func ExampleClient_Freeze() {
	run(func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tkws := tank.NewInstance(tank.WithLimits(tank.Limits{OutboxBytes: 10 << 10}))
			s := tanktest.Serve(t, tkws)
			slow, healthy := s.Dial("/?user_id=slow", tanktest.ReadBuffer(1<<10)), s.Dial("/?user_id=healthy")
			slow.Subscribe("ticks")
			healthy.Subscribe("ticks")

			slow.Freeze()
			for i := range 1000 {
				tkws.BroadcastTopicMessage("ticks", fmt.Sprint(i))
				healthy.Expect("ticks", fmt.Sprint(i))
			}
			slow.Thaw()
			fmt.Printf("slow got %d messages, and was told: %s\n", len(slow.Rest()), slow.ExpectClose(1013))
		})
	})
	// Output: slow got 34 messages, and was told: slow client
}

// A network that goes away without a word looks like a client that is frozen. Hours pass at once.
func ExampleClient_Freeze_heartbeat() {
	run(func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tkws := tank.NewInstance()
			s := tanktest.Serve(t, tkws)
			ann, bob := s.Dial("/?user_id=ann"), s.Dial("/?user_id=bob")
			time.Sleep(8 * time.Hour)
			fmt.Println(tkws.GetClientCount(), "after a working day, of which both answer pings")

			bob.Freeze()
			time.Sleep(35 * time.Second)
			fmt.Println(tkws.GetClientCount(), "when one of them is gone:", tkws.GetAllClients()[0].UserID())

			bob.Thaw()
			bob.ExpectClose(1006)
			ann.ExpectNothing()
		})
	})
	// Output:
	// 2 after a working day, of which both answer pings
	// 1 when one of them is gone: ann
}

// A client that listens to several topics gets their messages in any order.
func ExampleClient_ExpectTopic() {
	run(func(t *testing.T) {
		tkws := tank.NewInstance()
		ann := tanktest.Serve(t, tkws).Dial("/", tanktest.User("ann"))
		ann.Subscribe("news", "weather")
		tkws.BroadcastTopicMessage("weather", "rain")
		tkws.BroadcastMessage([]byte("back in a minute"))
		tkws.BroadcastTopicMessage("news", "hello")
		ann.ExpectTopic("news", "hello")
		fmt.Println(ann.Conn().UserID(), "got the news")
	})
	// Output: ann got the news
}

// A token that programs send, and a label for the user where there is no authenticator.
func ExampleToken() {
	run(func(t *testing.T) {
		users := map[string]string{"t0p5ecret": "ann"}
		s := tanktest.Serve(t, tank.NewInstance(tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
			return tank.Identity{UserID: users[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]}, nil
		})))
		fmt.Println(s.DialRefused("/", tanktest.User("ann")).Status)
		fmt.Println(s.Dial("/", tanktest.Token("t0p5ecret")).Conn().UserID())
	})
	// Output:
	// 401 Unauthorized
	// ann
}

// Middleware that looks at the peer's address.
func ExampleRemoteAddr() {
	tkws := tank.NewInstance()
	local := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.RemoteAddr, "10.") {
			http.Error(w, "from the intranet only", http.StatusForbidden)
			return
		}
		tkws.ServeHTTP(w, r)
	})
	run(func(t *testing.T) {
		s := tanktest.ServeHandler(t, local, tkws)
		fmt.Println(s.DialRefused("/", tanktest.RemoteAddr("198.51.100.7:4711")).Status)
		fmt.Println(s.Dial("/", tanktest.RemoteAddr("10.0.0.7:4711")).Conn().RemoteAddr())
	})
	// Output:
	// 403 Forbidden
	// 10.0.0.7:4711
}

// What clients may not do, they are told.
func ExampleClient_ExpectRefusal() {
	run(func(t *testing.T) {
		s := tanktest.Serve(t, tank.NewInstance(tank.WithSubscribeAuthorizer(func(c *tank.Client, topic string) error {
			if topic != "inbox:"+c.UserID() {
				return errors.New("somebody else's inbox")
			}
			return nil
		})))
		ann := s.Dial("/?user_id=ann")
		ann.Subscribe("inbox:ann")
		ann.Send("sub:inbox:bob")
		fmt.Println(ann.ExpectRefusal("forbidden", "inbox:bob"))
	})
	// Output: refusal forbidden of topic "inbox:bob" ("tank: forbidden: subscription refused")
}

// What a handler has done with a message can be looked at once Sync has returned.
func ExampleClient_Sync() {
	run(func(t *testing.T) {
		votes := make(map[string]int)
		s := tanktest.Serve(t, tank.NewInstance(tank.WithMessageHandler(func(_ *tank.Client, m tank.Message) {
			votes[string(m.Data)]++
		})))
		ann := s.Dial("/")
		for _, vote := range []string{"tea", "coffee", "tea"} {
			ann.Send(vote)
		}
		ann.Sync()
		fmt.Println(votes)
	})
	// Output: map[coffee:1 tea:2]
}

// The goodbye of a server that restarts.
func ExampleClient_ExpectClose() {
	run(func(t *testing.T) {
		tkws := tank.NewInstance()
		s := tanktest.Serve(t, tkws)
		ann := s.Dial("/")
		tkws.BroadcastMessage([]byte("back in a minute"))
		if err := tkws.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		ann.ExpectText("back in a minute")
		fmt.Println(ann.ExpectClose(1001))
		fmt.Println(s.DialRefused("/").Status)
	})
	// Output:
	// server is shutting down, please reconnect
	// 503 Service Unavailable
}
