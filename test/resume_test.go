package test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// dial2 connects with tank.v2, as user name unless that is empty, and takes the first frame. The server can write so many bytes before
// the peer reads.
func (s *server) dial2(name string, buffer int) *peer {
	s.t.Helper()
	h := handshake{path: "/", header: http.Header{"Sec-Websocket-Protocol": {"tank.v2"}}, buffer: buffer}
	if name != "" {
		h.path = "/?user_id=" + name
	}
	p := s.connect(h)
	var first struct{ Hello *struct{ V int } }
	op, payload, err := p.receive()
	if err != nil || op != opText || json.Unmarshal([]byte(payload), &first) != nil || first.Hello == nil || first.Hello.V != 2 {
		s.t.Fatalf("the first frame is %d %q, %v", op, payload, err)
	}
	return p
}

func TestResumeAndPublish2(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithTopics("k*", tank.TopicOptions{History: tank.History{Messages: 5}}),
			tank.WithPublishAuthorizer(func(*tank.Client, *tank.Publication) error { return nil }))
		at, err := s.Position("kept")
		must(t, err)
		p := s.dial2("ann", defaultBuffer)
		since, err := json.Marshal(at)
		must(t, err)
		must(t, s.Publish(context.Background(), "kept", "one"))
		must(t, s.PublishJSON(context.Background(), "kept", map[string]int{"two": 2}))
		p.send(`{"id":1,"sub":"kept","since":` + string(since) + `}`)
		p.expect(`{"id":1,"ok":{"epoch":"` + at.Epoch + `","seq":2,"from":0,"recovered":true}}`)
		p.expect(`["kept",1,"one"]`)
		p.expect(`["kept",2,{"two":2}]`)
		p.send(`{"id":2,"pub":"kept","data":[1],"key":"k"}`)
		p.expect(`["kept",3,[1]]`)
		p.expect(`{"id":2,"ok":{"seq":3}}`)
		p.send(`{"id":3,"pub":"kept","data":[1],"key":"k"}`)
		p.expect(`{"id":3,"ok":{"seq":3,"duplicate":true}}`)
		p.send(`{"id":4,"unsub":"kept"}`)
		p.expect(`{"id":4,"ok":{}}`)
		page, err := s.History(context.Background(), "kept", tank.Position{}, 2)
		must(t, err)
		if !page.Whole || len(page.Messages) != 2 || page.Last.Seq != 2 || page.Messages[1].Data != `{"two":2}` {
			t.Fatalf("got %+v", page)
		}
	})
}
