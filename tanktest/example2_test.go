package tanktest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// A train goes through a tunnel, and its passenger misses nothing.
func ExampleClientV2_Resume() {
	run(func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tkws := tank.NewInstance(tank.WithTopics("chat:*", tank.TopicOptions{History: tank.History{Messages: 100}}))
			s := tanktest.Serve(t, tkws)
			publish := func(text string) {
				if err := tkws.Publish(t.Context(), "chat:42", text); err != nil {
					t.Fatal(err)
				}
			}
			ann := s.DialV2("/?user_id=ann")
			ann.Subscribe("chat:42")
			publish("hello")
			ann.ExpectTopic("chat:42", "hello")

			ann.Cut()
			publish("anybody there?")
			if got := ann.Resume()["chat:42"]; !got.Recovered {
				t.Fatalf("ann has to load the page again: %+v", got)
			}
			ann.ExpectSeq("chat:42", 2, "anybody there?")
			ann.ExpectNothing()
			fmt.Println("ann stands at number", ann.Position("chat:42").Seq)
		})
	})
	// Output: ann stands at number 2
}

// A page misses two messages, and gets them again.
func ExampleClientV2_Lose() {
	run(func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tkws := tank.NewInstance(tank.WithTopics("chat:*", tank.TopicOptions{History: tank.History{Messages: 100}}))
			s := tanktest.Serve(t, tkws)
			page := s.DialV2("/?user_id=ann")
			page.Subscribe("chat:42")
			for _, text := range []string{"one", "two", "three"} {
				if err := tkws.Publish(t.Context(), "chat:42", text); err != nil {
					t.Fatal(err)
				}
			}
			page.Lose(2)
			page.ExpectTopic("chat:42", "one")
			fmt.Println("the page stands at number", page.Position("chat:42").Seq)

			fmt.Println("recovered:", page.Resume()["chat:42"].Recovered)
			fmt.Println(page.Next())
			fmt.Println(page.Next())
		})
	})
	// Output:
	// the page stands at number 1
	// recovered: true
	// "two" of topic "chat:42", number 2
	// "three" of topic "chat:42", number 3
}

// A page that shows a state, and follows it from there.
func ExampleSince() {
	run(func(t *testing.T) {
		tkws := tank.NewInstance(tank.WithTopics("board", tank.TopicOptions{History: tank.History{Messages: 10}}))
		s := tanktest.Serve(t, tkws)
		at, err := tkws.Position("board") // rendered into the page together with the state
		if err != nil {
			t.Fatal(err)
		}
		if err := tkws.PublishJSON(t.Context(), "board", map[string]int{"x": 1}); err != nil {
			t.Fatal(err)
		}

		page := s.DialV2("/")
		fmt.Println(page.Subscribe("board", tanktest.Since(at)).Recovered)
		page.Expect("board", map[string]int{"x": 1})
		fmt.Println(page.Subscribe("board", tanktest.Last(5)).From)
		fmt.Println(page.Next())
	})
	// Output:
	// true
	// 0
	// JSON {"x":1} of topic "board", number 1
}

// Who publishes again because it had no answer is not heard twice.
func ExampleClientV2_Publish() {
	run(func(t *testing.T) {
		s := tanktest.Serve(t, tank.NewInstance(tank.WithPublishAuthorizer(func(c *tank.Client, p *tank.Publication) error {
			if p.Topic != "chat" {
				return errors.New("read only")
			}
			p.From = c.UserID()
			return nil
		})))
		ann, bob := s.DialV2("/?user_id=ann"), s.DialV2("/?user_id=bob")
		bob.Subscribe("chat")
		for range 2 {
			fmt.Printf("%+v\n", ann.Publish("chat", "hello", tanktest.Key("draft 7")))
		}
		fmt.Println(bob.Next())
		bob.ExpectNothing()
		fmt.Println(ann.PublishRefused("forbidden", "news", "hello"))
	})
	// Output:
	// {Seq:1 Duplicate:false}
	// {Seq:1 Duplicate:true}
	// "hello" of topic "chat", number 1, from "ann"
	// refusal forbidden of topic "news" ("tank: forbidden: publication refused")
}

// Questions that a request handler answers.
func ExampleClientV2_Request() {
	run(func(t *testing.T) {
		s := tanktest.Serve(t, tank.NewInstance(tank.WithRequestHandler(func(c *tank.Client, r tank.Request) (any, error) {
			var question struct{ Price string }
			if err := r.Decode(&question); err != nil {
				return nil, err
			}
			if question.Price != "tea" {
				return nil, &tank.RequestError{Code: "not_found", Message: "we do not have that"}
			}
			return map[string]int{"cents": 250}, nil
		})))
		ann := s.DialV2("/")
		var answer struct{ Cents int }
		if err := json.Unmarshal(ann.Request(map[string]string{"price": "tea"}), &answer); err != nil {
			t.Fatal(err)
		}
		fmt.Println(answer.Cents)
		fmt.Println(ann.RequestRefused("not_found", map[string]string{"price": "ink"}).Message)
	})
	// Output:
	// 250
	// we do not have that
}

// A server that restarts asks its clients to come back, and not all at once.
func ExampleClientV2_ExpectBye() {
	run(func(t *testing.T) {
		tkws := tank.NewInstance()
		s := tanktest.Serve(t, tkws)
		ann := s.DialV2("/")
		if err := tkws.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		fmt.Println("within", ann.ExpectBye(1001))
	})
	// Output: within 1s
}
