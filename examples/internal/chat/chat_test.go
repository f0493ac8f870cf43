package chat

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/fanqie/tank-websocket-go-server/examples/internal/servertest"
	"github.com/fanqie/tank-websocket-go-server/examples/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a chat that is served, until the test ends.
type fixture struct {
	*testing.T
	*Chat
	ctx    context.Context
	server *httptest.Server
}

func serve(t *testing.T) *fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	f := &fixture{T: t, Chat: New(slog.New(slog.DiscardHandler), 2*time.Millisecond), ctx: ctx}
	f.Start()
	f.server = httptest.NewServer(f.Chat)
	t.Cleanup(func() {
		if err := f.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		f.server.Client().CloseIdleConnections()
		f.server.Close()
		cancel()
	})
	return f
}

// user is a connection, with what it has been told and not looked at yet.
type user struct {
	f    *fixture
	name string
	ws   *websocket.Conn
}

// frame is anything that a client may be told.
type frame struct {
	Topic string
	Data  string
	Error *refusal
}

func (f *fixture) connect(name string, topics ...string) *user {
	f.Helper()
	ws, _, err := websocket.Dial(f.ctx, f.server.URL+"/ws?user_id="+url.QueryEscape(name), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { ws.CloseNow() })
	u := &user{f: f, name: name, ws: ws}
	for _, topic := range topics {
		u.subscribe(topic)
	}
	return u
}

func (u *user) send(text string) {
	u.f.Helper()
	if err := u.ws.Write(u.f.ctx, websocket.MessageText, []byte(text)); err != nil {
		u.f.Fatal(err)
	}
}

// subscribe returns when the server has done it: the refusal of what comes behind tells.
func (u *user) subscribe(topic string) {
	u.f.Helper()
	u.send("sub:" + topic)
	u.publish("barrier", `{"ref":"barrier"}`)
	u.await(func(f frame) bool { return f.Error != nil && f.Error.Ref == "barrier" })
	u.refused("forbidden")
}

// refused reads on to a refusal, which has to have this code.
func (u *user) refused(code string) *refusal {
	u.f.Helper()
	got := u.await(func(f frame) bool { return f.Error != nil }).Error
	if got.Code != code || got.Message == "" {
		u.f.Fatalf("%s got %+v, want %s", u.name, got, code)
	}
	return got
}

func (u *user) say(topic, text string) {
	u.f.Helper()
	u.publish(topic, encode(u.f.T, draft{Text: text, Ref: "r1"}))
}

func (u *user) publish(topic, data string) {
	u.f.Helper()
	u.send(encode(u.f.T, map[string]string{"topic": topic, "data": data}))
}

func encode(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// await reads on to a frame that fits, and returns it.
func (u *user) await(fits func(frame) bool) frame {
	u.f.Helper()
	for {
		if f := u.read(); fits(f) {
			return f
		}
	}
}

func (u *user) read() (f frame) {
	u.f.Helper()
	_, data, err := u.ws.Read(u.f.ctx)
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err != nil {
		u.f.Fatalf("%s: %v", u.name, err)
	}
	return f
}

// published decodes what came on a topic.
func published[T any](u *user, topic string, fits func(T) bool) (value T) {
	u.f.Helper()
	u.await(func(f frame) bool {
		if f.Topic != topic {
			return false
		}
		var decoded T
		if err := json.Unmarshal([]byte(f.Data), &decoded); err != nil {
			u.f.Fatalf("%s on %s: %v", f.Data, topic, err)
		}
		value = decoded
		return fits(value)
	})
	return value
}

func whatever[T any](T) bool { return true }

func TestSaidWithTheSendersNameAndTheServersTime(t *testing.T) {
	f := serve(t)
	ada, lin := f.connect("Ada", "茶:tea"), f.connect("小林", "茶:tea")
	before := time.Now()
	// What the client claims besides topic, text and ref counts for nothing.
	ada.publish("茶:tea", `{"text":" hello ","ref":"r7","from":"小林","time":"2001-01-01T00:00:00Z"}`)
	for _, u := range []*user{ada, lin} {
		m := published(u, "茶:tea", whatever[said])
		if m.From != "Ada" || m.Text != "hello" || m.Ref != "r7" {
			t.Errorf("%s got %+v", u.name, m)
		}
		if m.Time.Before(before.Add(-time.Second)) || m.Time.After(time.Now().Add(time.Second)) {
			t.Errorf("%s got the time %v", u.name, m.Time)
		}
	}
}

// TestRefusalsOfPublications: the chat says why, and then the library that it is forbidden.
func TestRefusalsOfPublications(t *testing.T) {
	f := serve(t)
	u := f.connect("Ada", "tea", eventsTopic, topicsTopic)
	text := func(text string) string { return encode(t, draft{text, "r7"}) }
	for name, c := range map[string]struct{ topic, data, code string }{
		"not subscribed":   {"coffee", text("hi"), "not_subscribed"},
		"no text":          {"tea", text(" \n "), "empty_text"},
		"too long":         {"tea", text(strings.Repeat("茶", maxText+1)), "text_too_long"},
		"events feed":      {eventsTopic, text("hi"), "reserved_topic"},
		"topics feed":      {topicsTopic, text("hi"), "reserved_topic"},
		"an event":         {eventsTopic, `{"event":"connect","user":"Bo","ref":"r7"}`, "reserved_topic"},
		"a sender":         {"tea", `{"from":"Bo","ref":"r7"}`, "empty_text"},
		"no JSON":          {"tea", "hi", "bad_message"},
		"other JSON":       {"tea", `["hi"]`, "bad_message"},
		"text is a number": {"tea", `{"text":1,"ref":"r7"}`, "bad_message"},
		"long ref":         {"tea", encode(t, draft{"hi", strings.Repeat("r", maxRef+1)}), "bad_message"},
	} {
		u.publish(c.topic, c.data)
		if got := u.refused(c.code); got.Topic != c.topic || (got.Ref == "r7") != (c.code != "bad_message") {
			t.Errorf("%s: the chat says %+v", name, got)
		}
		if got := u.refused("forbidden"); got.Topic != c.topic || got.Ref != "" {
			t.Errorf("%s: the library says %+v", name, got)
		}
	}
	u.say("tea", strings.Repeat("茶", maxText))
	if m := published(u, "tea", whatever[said]); m.Text != strings.Repeat("茶", maxText) {
		t.Errorf("the longest text came as %q", m.Text)
	}
}

func TestRefusalsOfOtherMessages(t *testing.T) {
	u := serve(t).connect("Ada")
	for message, code := range map[string]string{
		"hello":                       "bad_message",
		`{"shout":{}}`:                "bad_message",
		`{"topic":["tea"],"data":""}`: "bad_message",
		`{"topic":"","data":"{}"}`:    "invalid_topic",
		"sub:chat:secret":             "forbidden",
		"sub:":                        "invalid_topic",
	} {
		u.send(message)
		u.refused(code)
	}
}

func TestSubscriptionsAreBounded(t *testing.T) {
	f := serve(t)
	u := f.connect("Ada")
	for i := range maxTopics {
		u.subscribe("topic " + strings.Repeat("i", i+1))
	}
	u.send("sub:one too many")
	u.refused("limit")
}

func TestEventsTellWhoDidWhat(t *testing.T) {
	f := serve(t)
	watcher := f.connect("Ada", eventsTopic)
	bo := f.connect("Bo", "tea", topicsTopic)
	bo.send("unsub:tea")
	bo.ws.Close(websocket.StatusNormalClosure, "")
	for _, want := range []event{
		{Event: "connect", User: "Bo"},
		{Event: "subscribe", User: "Bo", Topic: "tea"},
		{Event: "unsubscribe", User: "Bo", Topic: "tea"}, // and not of chat:topics
		{Event: "disconnect", User: "Bo", Reason: "1000"},
	} {
		got := published(watcher, eventsTopic, func(e event) bool { return e.User == "Bo" })
		if got.Time.IsZero() {
			t.Errorf("%+v has no time", got)
		}
		if got.Time = want.Time; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestTableOfTopics(t *testing.T) {
	f := serve(t)
	f.connect("Bo", "tea")
	ada := f.connect("Ada", "coffee", "tea", topicsTopic)
	got := published(ada, topicsTopic, whatever[table])
	if got.Clients != 2 || got.Total != 2 || len(got.Topics) != 2 ||
		got.Topics[0].Name != "tea" || got.Topics[0].Subscribers != 2 || got.Topics[1].Name != "coffee" {
		t.Errorf("got %+v", got)
	}
	ada.say("tea", "hi")
	published(ada, topicsTopic, func(t table) bool { return t.Topics[0].Rate > 0 })
	published(ada, topicsTopic, func(t table) bool { return t.Topics[0].Rate == 0 })
}

func TestNames(t *testing.T) {
	f := serve(t)
	for name, want := range map[string]int{
		"":                               http.StatusUnauthorized,
		"   ":                            http.StatusUnauthorized,
		strings.Repeat("茶", maxName+1):   http.StatusUnauthorized,
		"control\x01character":           http.StatusBadRequest,
		strings.Repeat("茶", maxName):     http.StatusSwitchingProtocols,
		"a name with spaces & an & sign": http.StatusSwitchingProtocols,
	} {
		ws, answer, err := websocket.Dial(f.ctx, f.server.URL+"/ws?user_id="+url.QueryEscape(name), nil)
		if err == nil {
			ws.CloseNow()
		}
		if answer == nil || answer.StatusCode != want {
			t.Errorf("%q: got %v, %v, want %d", name, answer, err, want)
		}
	}
}

func TestPageKeepsToItself(t *testing.T) {
	f := serve(t)
	for path, kind := range map[string]string{
		"/": "text/html", "/style.css": "text/css", "/theme.js": "text/javascript", "/js/main.js": "text/javascript", "/icon.svg": "image/svg+xml",
	} {
		answer, err := f.server.Client().Get(f.server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK || !strings.HasPrefix(answer.Header.Get("Content-Type"), kind) {
			t.Errorf("%s: %d %s", path, answer.StatusCode, answer.Header.Get("Content-Type"))
		}
		if answer.Header.Get("Content-Security-Policy") != policy {
			t.Errorf("%s has the policy %q", path, answer.Header.Get("Content-Security-Policy"))
		}
	}
}

func TestShutdownSaysGoodbye(t *testing.T) {
	f := serve(t)
	ada := f.connect("Ada", "tea")
	done := make(chan error, 1)
	go func() { done <- f.Shutdown(f.ctx) }()
	var err error
	for err == nil {
		_, _, err = ada.ws.Read(f.ctx)
	}
	if websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the connection ended with %v, want close 1001", err)
	}
	if err := <-done; err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

func TestSlowPeersAreCutOff(t *testing.T) {
	f := serve(t)
	servertest.Check(t, web.NewServer(f.Chat, slog.New(slog.DiscardHandler)), func(addr string) (alive func()) {
		ws, _, err := websocket.Dial(f.ctx, "ws://"+addr+"/ws?user_id=Ada", nil)
		if err != nil {
			t.Fatal(err)
		}
		u := &user{f: f, name: "Ada", ws: ws}
		u.subscribe("tea")
		return func() {
			defer ws.CloseNow()
			u.say("tea", "still here")
			published(u, "tea", func(m said) bool { return m.Text == "still here" })
		}
	})
}
