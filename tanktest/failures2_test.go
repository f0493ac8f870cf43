package tanktest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// failures2 is failures of clients that speak tank.v2. The instance is one of keeping, with a handler that sleeps when it is told so.
var failures2 = []failure{
	{"tank.v2 is not permitted", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		tanktest.Serve(t, tank.NewInstance(tank.WithProtocols(tank.V1))).DialV2("/")
	}, []string{"client 1 (/): DialV2: the server does not speak tank.v2, but what plain sockets do; see tank.WithProtocols"}, 0},
	{"another subprotocol is chosen", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		u := tank.Upgrader{Subprotocols: []string{"chat"}}
		tanktest.Serve(t, tank.NewInstance(tank.WithProtocols(tank.V1), tank.WithUpgrader(u))).DialV2("/", tanktest.Subprotocols("chat"))
	}, []string{`DialV2: the server does not speak tank.v2, but "chat"; see tank.WithProtocols`}, 0},
	{"refused", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		m.Shutdown(t.Context())
		s.DialV2("/ws")
	}, []string{`DialV2 "/ws": the server refused with 503 Service Unavailable`}, 0},
	{"a nil option", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.DialV2("/", nil) },
		[]string{`DialV2 "/": option 1 is nil`}, 0},

	{"nothing comes", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/", tanktest.User("ann"))
		c.Subscribe("weather")
		c.Subscribe("news")
		publish(t, m, "news", "a", map[string]int{"b": 1})
		c.Expect("news", "a")
		c.Expect("news", map[string]int{"b": 1})
		c.ExpectSeq("news", 3, "c")
	}, []string{
		`client 1 (/?user_id=ann): waiting for "c" of topic "news", number 3: nothing came within 5s`,
		`looked at:   last, JSON {"b":1} of topic "news", number 2, which came 5s ago`,
		`connection:  open`,
		`stands at:   "news" 2, "weather" 0`,
		`server:      subscribed to "news", "weather"; 0 bytes queued`,
	}, patience},
	{"another number", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Subscribe("news")
		c.Publish("news", "x")
		c.ExpectSeq("news", 2, "x")
	}, []string{`got "x" of topic "news", number 1, from "`, `", want "x" of topic "news", number 2`}, 0},
	{"other data", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Subscribe("news")
		publish(t, m, "news", "1")
		c.ExpectTopic("news", 1)
	}, []string{`got "1" of topic "news", number 1, want JSON 1 of topic "news"`}, 0},
	{"other JSON", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Subscribe("news")
		publish(t, m, "news", json.RawMessage(`{"n":9007199254740993}`))
		c.Expect("news", map[string]int64{"n": 9007199254740992})
	}, []string{`got JSON {"n":9007199254740993} of topic "news", number 1, want JSON {"n":9007199254740992} of topic "news"`}, 0},
	{"a message for a topic's", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Conn().Send(tank.Message{Data: []byte("[1]"), JSON: true})
		c.Expect("news", []int{1})
	}, []string{`got JSON [1], want JSON [1] of topic "news"`}, 0},
	{"a topic's for a message", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Subscribe("news")
		publish(t, m, "news", "x")
		c.ExpectMessage("x")
	}, []string{`got "x" of topic "news", number 1, want text "x"`}, 0},
	{"other sources only", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Subscribe("news")
		c.Subscribe("weather")
		publish(t, m, "weather", "rain")
		c.ExpectTopic("news", "x")
	}, []string{`waiting for "x" of topic "news", behind 1 messages of other sources: nothing came within 5s`,
		`looked at:   last, "rain" of topic "weather", number 1`}, patience},
	{"the end comes first", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Subscribe("news")
		c.Conn().Unsubscribe("news")
		c.ExpectTopic("news", "x")
	}, []string{`got notice {"topic":"news","end":{"code":"unsubscribed",`, `, want "x" of topic "news"`, "no subscriptions"}, 0},
	{"another end", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Subscribe("news")
		c.Conn().Unsubscribe("news")
		c.ExpectEnd("forbidden", "news")
	}, []string{`got notice {"topic":"news","end":{"code":"unsubscribed",`, `, want the end forbidden of topic "news"`}, 0},
	{"no expiry", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		s.DialV2("/").ExpectExpires()
	}, []string{`waiting for a notice that the credentials expire: nothing came within 5s`}, patience},
	{"no gap", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Subscribe("news")
		publish(t, m, "news", "x")
		c.ExpectGap("news")
	}, []string{`got "x" of topic "news", number 1, want a gap in topic "news"`}, 0},
	{"no interruption", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Subscribe("news")
		publish(t, m, "news", "x")
		c.ExpectInterrupted(true)
	}, []string{`got "x" of topic "news", number 1, want the notice {"interrupted":true}`}, 0},
	{"no reset", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Subscribe("news")
		publish(t, m, "news", "x")
		c.ExpectReset("news")
	}, []string{`got "x" of topic "news", number 1, want a reset of topic "news"`}, 0},
	{"dropped by the outbox policy", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		lossy(t, tank.OutboxKeepLatest, func(c *tanktest.ClientV2) { c.ExpectSeq("news", 9, 8) })
	}, []string{`got notice {"topic":"news","lost":88,"seq":96}, want JSON 8 of topic "news", number 9`, `stands at:   "news" 100`,
		` 88 messages dropped`}, 0},
	{"lost otherwise", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		lossy(t, tank.OutboxKeepLatest, func(c *tanktest.ClientV2) { c.ExpectLost("news", 9) })
	}, []string{`got notice {"topic":"news","lost":88,"seq":96}, want a loss of 9 messages of topic "news"`}, 0},
	{"no refusal", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		m.BroadcastMessage([]byte("x"))
		c.ExpectRefusal("unsupported")
	}, []string{`got text "x", want a refusal unsupported`}, 0},
	{"closed without a bye", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Conn().Close(4000, "as you wish")
		c.ExpectBye(4000)
	}, []string{"waiting for bye 4000: the server has said none before it closed", `closed by the server with 4000 "as you wish"`}, 0},
	{"closed otherwise", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		m.Shutdown(t.Context())
		c.ExpectBye(1013)
	}, []string{"waiting for close 1013: the connection has ended otherwise", `closed by the server with 1001 "server`}, 0},
	{"something comes", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Conn().Subscribe("news")
		c.ExpectNothing()
	}, []string{`ExpectNothing: got notice {"topic":"news","reset":{"epoch":"`}, 0},

	{"a forbidden topic", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.DialV2("/").Subscribe("secret") },
		[]string{`Subscribe("secret"): the server refused: forbidden ("tank: forbidden: subscription refused")`}, 0},
	{"a topic that is not forbidden", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		s.DialV2("/").SubscribeRefused("forbidden", "news")
	}, []string{`SubscribeRefused("forbidden", "news"): the server did not refuse, but answered {"epoch":"`, `,"seq":0}`}, 0},
	{"forbidden for another reason", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		s.DialV2("/").SubscribeRefused("limit", "secret")
	}, []string{`SubscribeRefused("limit", "secret"): the server refused otherwise: forbidden ("`}, 0},
	{"a nil option of a subscription", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		s.DialV2("/").Subscribe("news", tanktest.Last(1), nil)
	}, []string{`Subscribe("news"): option 2 is nil`}, 0},
	{"an invalid topic to leave", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Unsubscribe("not even there") // is no mistake
		c.Unsubscribe("")
	}, []string{`Unsubscribe(""): the server refused: invalid_topic ("`}, 0},
	{"a forbidden publication", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		s.DialV2("/").Publish("secret", map[string]string{"a": "<b>"})
	}, []string{`Publish("secret", {"a":"<b>"}): the server refused: forbidden ("tank: forbidden: publication refused")`}, 0},
	{"a publication that is not forbidden", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Subscribe("news")
		c.PublishRefused("forbidden", "news", "x")
	}, []string{`PublishRefused("forbidden", "news", "x"): the server did not refuse, but answered {"seq":1}`, `not yet:     1 messages, first "x" of topic "news", number 1`}, 0},
	{"a nil option of a publication", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.DialV2("/").Publish("news", "x", nil) },
		[]string{`Publish("news", "x"): option 1 is nil`}, 0},
	{"a value that cannot be sent", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		s.DialV2("/").Publish("news", func() {})
	}, []string{`Publish("news", "`, "json: unsupported type: func()"}, 0},
	{"a value that cannot be expected", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		s.DialV2("/").Expect("news", json.RawMessage("{"))
	}, []string{"Expect: json: error calling MarshalJSON for type json.RawMessage: unexpected end of JSON input"}, 0},
	{"text that is none", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.DialV2("/").Send("\xff") },
		[]string{`Send("\xff"): a client can send valid UTF-8 only`}, 0},
	{"a topic that is no text", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.DialV2("/").Subscribe("\xff") },
		[]string{`Subscribe("\xff"): a client can send valid UTF-8 only`}, 0},
	{"an unanswered question", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.DialV2("/").Request("nothing") },
		[]string{`Request("nothing"): the server refused: not_found ("there is nothing")`}, 0},
	{"an answered question", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		s.DialV2("/").RequestRefused("not_found", 1)
	}, []string{`RequestRefused("not_found", 1): the server did not refuse, but answered {"asked":1}`}, 0},
	{"a handler that does not return", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Send("sleep")
		c.Subscribe("news")
	}, []string{`Subscribe("news"): no answer within 5s; maybe a callback has not returned`}, patience},
	{"an answer to nobody", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Send("sleep")
		time.AfterFunc(time.Second, func() { c.Conn().Close(4000, "enough") })
		c.Request(1)
	}, []string{`Request(1): no answer within 5s; maybe a callback has not returned`, `connection:  closed by the server with 4000 "enough", which has not hung up`}, patience},
	{"a question that ends the connection", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		s.DialV2("/").Request("panic")
	}, []string{`Request("panic"): the connection has ended`, `closed by the server with 1011 "`}, 0},
	{"a command while frozen", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Freeze()
		c.Subscribe("news")
	}, []string{`Subscribe("news"): the client is frozen, so it would not notice the answer; see Thaw`}, 0},
	{"a command behind the end", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Cut()
		c.Publish("news", "x")
	}, []string{`Publish("news", "x"): the connection has ended`, "connection:  cut by this client"}, 0},

	{"fewer in flight than are to be lost", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Subscribe("news")
		publish(t, m, "news", "a", "b")
		c.Conn().SendTopic("news", "number 0")
		c.Lose(3)
	}, []string{`Lose(3): 2 messages are in flight, of 3 that the test has not looked at; those in front of an answer to a command have arrived`,
		`not yet:     3 messages, first "a" of topic "news", number 1`, "connection:  open", `stands at:   "news" 2`}, patience},
	{"lost, but answered", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Subscribe("news")
		c.Publish("news", "a")
		c.Lose(1)
	}, []string{`Lose(1): 0 messages are in flight, of 1 that the test has not looked at; those in front of an answer to a command have arrived`}, patience},
	{"nothing to lose", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.DialV2("/").Lose(0) },
		[]string{"Lose(0): it has to be a message at least; see Cut"}, 0},
	{"lost while frozen", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Subscribe("news")
		c.Freeze()
		publish(t, m, "news", "a")
		c.Lose(1)
	}, []string{"Lose(1): nothing is in flight that the client would read, because it is frozen; see Cut, and Thaw", "connection:  frozen, with 1"}, 0},
	{"lost behind the end", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Subscribe("news")
		publish(t, m, "news", "a")
		synctest.Wait()
		c.Conn().Close(4000, "enough")
		c.Lose(1)
	}, []string{"Lose(1): the connection has ended", `not yet:     1 messages`, `closed by the server with 4000 "enough"`}, 0},

	{"resumed too early", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.DialV2("/").Resume() },
		[]string{"Resume: the connection has not ended; see Cut"}, 0},
	{"resumed too late", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Cut()
		m.Shutdown(t.Context())
		c.Resume()
	}, []string{`Resume "/": the server refused with 503 Service Unavailable`}, 0},
	{"not welcome again", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		c.Conn().Subscribe("secret")
		synctest.Wait()
		c.Cut()
		c.Resume()
	}, []string{`client 1 (/), connection 2: Resume: topic "secret": the server refused: forbidden ("`}, 0},
	{"a message behind a resume", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		for range 2 {
			c.Cut()
			c.Resume()
		}
		c.Next()
	}, []string{"client 1 (/), connection 3: waiting for a message: nothing came within 5s"}, patience},
	{"many topics", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.DialV2("/")
		for i := range 12 {
			c.Subscribe(fmt.Sprint(i))
		}
		c.Next()
	}, []string{`stands at:   "0" 0, "1" 0, "10" 0, "11" 0, "2" 0, "3" 0, "4" 0, "5" 0, "6" 0, "7" 0, and 2 more`}, patience},
}

func TestFailuresOfV2SayWhatIsKnown(t *testing.T) {
	sleeps := tank.WithMessageHandler(func(_ *tank.Client, m tank.Message) {
		if string(m.Data) == `"sleep"` {
			time.Sleep(time.Minute)
		}
	})
	testFailures(t, failures2, append(slices.Clip(keeping), sleeps)...)
}

// scripted is a server that says hello, and something else each time that the client has sent a message. Each of its messages is a line.
func scripted(says ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"tank.v2"}})
		if err != nil {
			panic(err)
		}
		defer conn.CloseNow()
		ctx := context.Background()
		for _, text := range append([]string{`{"hello":{"v":2,"client":"c","user":"u","ping":25}}`}, says...) {
			for line := range strings.Lines(text) {
				if conn.Write(ctx, websocket.MessageText, []byte(strings.TrimSuffix(line, "\n"))) != nil {
					return
				}
			}
			if _, _, err := conn.Read(ctx); err != nil {
				return
			}
		}
		conn.Read(ctx)
	}
}

// subscribed is the answer to the first command.
const subscribed = `{"id":1,"ok":{"epoch":"E","seq":4}}` + "\n"

func TestServersThatBreakTankV2AreTold(t *testing.T) {
	for name, test := range map[string]struct{ script, says string }{
		"not JSON":            {`hello`, `text "hello" came, which is neither an object of JSON nor an array`},
		"half of an object":   {`{"msg":1`, `text "{\"msg\":1" came, which is neither an object of JSON nor an array`},
		"null":                {`null`, `text "null" came, which is neither`},
		"a short array":       {`["news",1]`, `a publication is malformed: it has too few elements: ["news",1]`},
		"no number":           {`["news",-1,"x"]`, `a publication is malformed: json: cannot unmarshal number -1`},
		"odd details":         {`["news",1,"x",[]]`, `a publication is malformed: json: cannot unmarshal array`},
		"another topic":       {`["weather",1,"x"]`, `"x" of topic "weather", number 1, came without a subscription`},
		"one is missing":      {`["news",6,{"a":1}]`, `JSON {"a":1} of topic "news", number 6, came behind number 4: number 5 is missing`},
		"two are missing":     {`["news",7,"x",{"from":"ann"}]`, `"x" of topic "news", number 7, from "ann", came behind number 4: numbers 5 and 6 are missing`},
		"many are missing":    {`["news",104,"x"]`, `came behind number 4: numbers 5 to 103 are missing`},
		"some are missing":    {`["news",9,"x",{"prev":7}]`, `number 9, came behind number 4: what came between them, up to number 7, is missing`},
		"a duplicate":         {"[\"news\",5,\"x\"]\n[\"news\",5,\"x\"]", `number 5, came behind number 5: it is a duplicate, or out of order`},
		"an old one":          {`["news",4,"x",{"prev":1}]`, `number 4, came behind number 4: it is a duplicate, or out of order`},
		"a wrong predecessor": {"[\"news\",6,\"x\",{\"prev\":4}]\n[\"news\",9,\"x\",{\"prev\":5}]", `number 9, came behind number 6: it says that the one before it is number 5`},
		"behind lost":         {"{\"topic\":\"news\",\"lost\":2,\"seq\":6}\n[\"news\",8,\"x\"]", `number 8, came behind number 6: number 7 is missing`},
		"behind a gap":        {"{\"topic\":\"news\",\"gap\":{\"seq\":7}}\n[\"news\",9,\"x\"]", `number 9, came behind number 4: numbers 7 and 8 are missing`},
		"behind a reset":      {"{\"topic\":\"news\",\"reset\":{\"epoch\":\"F\",\"seq\":0}}\n[\"news\",5,\"x\"]", `number 5, came behind number 0: numbers 1 to 4 are missing`},
		"behind the end":      {"{\"topic\":\"news\",\"end\":{\"code\":\"forbidden\"}}\n[\"news\",5,\"x\"]", `"x" of topic "news", number 5, came without a subscription`},
		"behind its bye":      {"{\"bye\":{\"code\":1001,\"within\":1}}\n[\"news\",5,\"x\"]", `text "[\"news\",5,\"x\"]" came behind its bye`},
		"an odd bye":          {`{"bye":1}`, `a message is malformed: {"bye":1}`},
		"an odd error":        {`{"error":{}}`, `a message is malformed: {"error":{}}`},
		"an odd topic":        {`{"topic":1,"lost":1,"seq":1}`, `a message is malformed: {"topic":1,`},
		"an odd reset":        {`{"topic":"news","reset":{"seq":1}}`, `a message is malformed: {"topic":"news","reset":{"seq":1}}`},
		"an odd end":          {`{"topic":"news","end":{}}`, `a message is malformed: {"topic":"news","end":{}}`},
		"an odd loss":         {`{"topic":"news","lost":1}`, `a message is malformed: {"topic":"news","lost":1}`},
		"an odd number":       {`{"topic":"news","lost":"two","seq":6}`, `a message is malformed: {"topic":"news","lost":"two","seq":6}`},
		"an odd gap":          {`{"topic":"news","gap":1}`, `a message is malformed: {"topic":"news","gap":1}`},
		"an odd id":           {`{"id":"1","ok":{}}`, `an answer is malformed: {"id":"1","ok":{}}`},
		"half an answer":      {`{"id":2}`, `an answer came to command 2, which waits for none: {"id":2}`},
		"an answer too many":  {`{"id":1,"ok":{}}`, `an answer came to command 1, which waits for none: {"id":1,"ok":{}}`},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				wantFatal(t, record(t, func(t testing.TB) {
					c := strange(scripted(subscribed + test.script))(t).DialV2("/")
					c.Subscribe("news")
					for {
						c.Next()
					}
				}), "client 1 (/): waiting for a message: the server broke the protocol: ", test.says, "connection:  given up by this client")
			})
		})
	}
}

func TestAnswersThatBreakTankV2AreTold(t *testing.T) {
	at := tanktest.Since(tank.Position{Epoch: "E", Seq: 3})
	for name, test := range map[string]struct {
		ok   string
		opts []tanktest.SubscribeOption
		says string
	}{
		"neither":         {``, nil, `an answer is malformed`},
		"no epoch":        {`{"seq":1}`, nil, `an answer to a subscription is malformed: {"id":1,"ok":{"seq":1}}`},
		"no number":       {`{"epoch":"E"}`, nil, `an answer to a subscription is malformed`},
		"odd":             {`{"epoch":"E","seq":4,"from":"4"}`, nil, `an answer to a subscription is malformed`},
		"not asked":       {`{"epoch":"E","seq":4,"from":4}`, nil, `an answer to a subscription is not one to what it has asked for`},
		"not told":        {`{"epoch":"E","seq":4}`, []tanktest.SubscribeOption{at}, `is not one to what it has asked for`},
		"not recovered":   {`{"epoch":"E","seq":4,"from":3}`, []tanktest.SubscribeOption{at}, `is not one to what it has asked for`},
		"without reason":  {`{"epoch":"E","seq":4,"from":4,"recovered":false}`, []tanktest.SubscribeOption{at}, `an answer to a subscription contradicts itself`},
		"with a reason":   {`{"epoch":"E","seq":4,"from":3,"recovered":true,"why":"off"}`, []tanktest.SubscribeOption{at}, `contradicts itself`},
		"another epoch":   {`{"epoch":"F","seq":4,"from":3,"recovered":true}`, []tanktest.SubscribeOption{at}, `contradicts itself`},
		"from elsewhere":  {`{"epoch":"E","seq":4,"from":2,"recovered":true}`, []tanktest.SubscribeOption{at}, `contradicts itself`},
		"from the future": {`{"epoch":"E","seq":4,"from":5}`, []tanktest.SubscribeOption{tanktest.Last(1)}, `contradicts itself`},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				answer := fmt.Sprintf(`{"id":1,"ok":%s}`, test.ok)
				if test.ok == "" {
					answer = `{"id":1}`
				}
				wantFatal(t, record(t, func(t testing.TB) {
					strange(scripted(answer))(t).DialV2("/").Subscribe("news", test.opts...)
				}), `Subscribe("news"): the server broke the protocol: `, test.says)
			})
		})
	}
}

func TestScriptedFailures(t *testing.T) {
	for name, test := range map[string]struct {
		script []string
		test   func(c *tanktest.ClientV2)
		says   []string
	}{
		"an odd answer to a publication": {[]string{`{"id":1,"ok":[]}`}, func(c *tanktest.ClientV2) { c.Publish("news", "x") },
			[]string{`Publish("news", "x"): the server's answer is malformed: []`}},
		"an odd end": {[]string{subscribed + `{"topic":"news","end":{"code":1}}`}, func(c *tanktest.ClientV2) {
			c.Subscribe("news")
			c.ExpectEnd("forbidden", "news")
		}, []string{`the server broke the protocol: a message is malformed: {"topic":"news","end":{"code":1}}`}},
		"JSON with line breaks": {[]string{subscribed + "[\"news\",5,{\r}]"}, func(c *tanktest.ClientV2) {
			c.Subscribe("news")
			c.Expect("news", 1)
		}, []string{`got JSON "{\r}" of topic "news", number 5, want JSON 1 of topic "news"`}},
		"a gap": {[]string{subscribed + `{"topic":"news","gap":{"seq":6}}`}, func(c *tanktest.ClientV2) {
			c.Subscribe("news")
			c.Next()
			c.Next()
		}, []string{`stands at:   "news" 4 (a gap before 6)`}},
		"messages behind a gap": {[]string{subscribed + `{"topic":"news","gap":{"seq":6}}` + "\n" + `["news",6,"x"]`}, func(c *tanktest.ClientV2) {
			c.Subscribe("news")
			synctest.Wait()
			c.ExpectTopic("news", "x")
		}, []string{`got notice {"topic":"news","gap":{"seq":6}}, want "x" of topic "news"`, `stands at:   "news" 4 (a gap before 6, and then up to 6)`}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				wantFatal(t, record(t, func(t testing.TB) {
					c := strange(scripted(test.script...))(t).DialV2("/")
					test.test(c)
				}), test.says...)
			})
		})
	}
}

func TestAnotherByeThanTheCloseCode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		bye := `{"bye":{"code":1001,"within":1}}`
		frames := handshake2 + "\x81\x17" + `{"hello":{"v":2,"a":1}}` + "\x81" + string(rune(len(bye))) + bye + "\x88\x02\x03\xf5"
		wantFatal(t, record(t, func(t testing.TB) { strange(hijacked(frames))(t).DialV2("/").ExpectBye(1013) }),
			"waiting for bye 1013: the server said bye 1001, and closed with 1013")
	})
}

func TestNoHello(t *testing.T) {
	bubble(t, func(t *testing.T) {
		silent := func(w http.ResponseWriter, r *http.Request) {
			conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"tank.v2"}})
			must(t, err)
			defer conn.CloseNow()
			conn.Read(context.Background())
		}
		began := time.Now()
		wantFatal(t, record(t, func(t testing.TB) { strange(silent)(t).DialV2("/") }), "DialV2: the server has not said hello within 5s")
		if took := time.Since(began); took != patience {
			t.Errorf("it took %v", took)
		}
	})
}

// handshake2 is a server's answer that takes tank.v2.
const handshake2 = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: tank.v2\r\n\r\n"

func TestFirstMessagesThatAreNoHello(t *testing.T) {
	for frames, says := range map[string]string{
		"\x81\x02hi":                     `DialV2: the server broke the protocol: its first message is no hello of version 2, but text "hi"`,
		"\x82\x02hi":                     `its first message is no hello of version 2, but binary "hi"`,
		"\x81\x02{}":                     `its first message is no hello of version 2, but text "{}"`,
		"\x81\x11" + `{"hello":{"v":3}}`: `its first message is no hello of version 2, but text "{\"hello\":{\"v\":3}}"`,
	} {
		bubble(t, func(t *testing.T) {
			wantFatal(t, record(t, func(t testing.TB) { strange(hijacked(handshake2 + frames))(t).DialV2("/") }), says)
		})
	}
}
