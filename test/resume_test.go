package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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
	op, payload := p.next()
	if op != opText || json.Unmarshal([]byte(payload), &first) != nil || first.Hello == nil || first.Hello.V != 2 {
		s.t.Fatalf("the first message is %d %q", op, payload)
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

// TestBothProtocolsOnOneTopic: a plain socket gets text as it is, and JSON as its text, whoever published it; and its own publications
// are text for clients of tank.v2.
func TestBothProtocolsOnOneTopic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, anyMayPublish, keepAll)
		plain, p := s.dial("plain"), s.dial2("ann", defaultBuffer)
		plain.subscribe(s, "room")
		p.send(`{"sub":"room"}`)
		synctest.Wait()
		both := func(data, want2 string) {
			t.Helper()
			plain.expectTopic("room", data)
			p.expect(want2)
		}
		p.send(`{"pub":"room","data":"a \"text\" \u00e9"}`)
		both("a \"text\" \u00e9", `["room",1,"a \"text\" `+"\u00e9"+`"]`)
		p.send(`{"pub":"room","data": {"a" : [1, 2]} }`)
		both(`{"a" : [1, 2]}`, `["room",2,{"a" : [1, 2]}]`)
		plain.send(`{"topic":"room","data":"{\"a\":1}"}`)
		both(`{"a":1}`, `["room",3,"{\"a\":1}"]`)
		must(t, s.PublishJSON(context.Background(), "room", []int{1}))
		both(`[1]`, `["room",4,[1]]`)
		at, err := s.PublishMessage(context.Background(), tank.Publication{Topic: "room", Data: `"text"`, JSON: true, From: "bob"})
		must(t, err)
		if at.Seq != 5 {
			t.Errorf("published as %v", at)
		}
		both(`"text"`, `["room",5,"text",{"from":"bob"}]`)
		page, err := s.History(context.Background(), "room", tank.Position{Epoch: at.Epoch, Seq: 3}, 0)
		must(t, err)
		want := []tank.Publication{{Topic: "room", Data: "[1]", JSON: true}, {Topic: "room", Data: "text", From: "bob"}}
		if !slices.Equal(page.Messages, want) || !page.Whole || page.First.Seq != 4 || page.Last != at {
			t.Errorf("got %+v", page)
		}
		must(t, s.BroadcastMessage([]byte("all")))
		plain.expect("all")
		p.expect(`{"msg":"all"}`)
		must(t, s.BroadcastMessage([]byte{0xff}))
		for _, peer := range []*peer{plain, p} {
			if op, got := peer.next(); op != opBinary || got != "\xff" {
				t.Errorf("got %d %q", op, got)
			}
		}
		if n := s.SendToUser("ann", tank.Message{Data: []byte(`{"b":1}`), JSON: true}) + s.SendToUser("plain", tank.Message{Data: []byte(`{"b":1}`), JSON: true}); n != 2 {
			t.Errorf("sent to %d", n)
		}
		plain.expect(`{"b":1}`)
		p.expect(`{"msg":{"b":1}}`)
	})
}

// TestRenewalEndsSubscriptionsThatAreNotAllowedAnyMore, and every replay is authorized anew.
func TestRenewalEndsSubscriptionsOfV2(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var allowed atomic.Bool
		allowed.Store(true)
		asked := 0
		s := serve(t, keepAll, tank.WithSubscribeAuthorizer(func(_ *tank.Client, topic string) error {
			asked++
			if topic == "room" && !allowed.Load() {
				return errors.New("no more")
			}
			return nil
		}))
		p := s.dial2("ann", defaultBuffer)
		for i := range 3 {
			p.send(fmt.Sprintf(`{"id":%d,"sub":"room","last":%d}`, i+1, i+1))
			p.next()
		}
		if asked != 3 {
			t.Errorf("the authorizer was asked %d times", asked)
		}
		p.send(`{"id":4,"sub":"news"}`)
		p.next()
		allowed.Store(false)
		must(t, s.GetAllClients()[0].Renew(tank.Identity{UserID: "ann", Anonymous: true}))
		p.expect(`{"topic":"room","end":{"code":"forbidden","message":"the subscription is not allowed any more","retry":false}}`)
		must(t, s.Publish(context.Background(), "room", "not for ann"))
		must(t, s.Publish(context.Background(), "news", "for ann"))
		p.expect(`["news",1,"for ann"]`)
		p.send(`{"id":5,"sub":"room","last":1}`)
		p.expect(`{"id":5,"error":{"code":"forbidden","message":"tank: forbidden: subscription refused","retry":false}}`)
		p.expectNothing()
	})
}

// TestByeComesBeforeSomeCloses: those that are not the client's fault, nor its own wish.
func TestByeComesBeforeSomeCloses(t *testing.T) {
	for code, bye := range map[tank.CloseCode]bool{
		1000: false, 1001: true, 1003: true, 1007: false, 1008: false, 1009: false, 1010: true, 1011: true, 1012: true, 1013: true, 1014: true,
		3000: false, 3003: false, 3999: false, 4000: false, 4999: false,
	} {
		bubble(t, func(t *testing.T) {
			s := serve(t)
			p, plain := s.dial2("ann", defaultBuffer), s.dial("plain")
			clients := s.GetAllClients()
			must(t, clients[0].Send(tank.Message{Data: []byte("before")}))
			must(t, clients[0].Close(code, "reason"))
			p.expect(`{"msg":"before"}`)
			if bye {
				p.expect(fmt.Sprintf(`{"bye":{"code":%d,"within":1000}}`, code))
			}
			p.expectClose(int(code))
			must(t, clients[1].Close(code, "reason"))
			plain.expectClose(int(code))
		})
	}
	bubble(t, func(t *testing.T) { // the peer closes
		s := serve(t)
		p := s.dial2("ann", defaultBuffer)
		p.write(closeFrame(1001, "going away"))
		p.expectClose(1001)
	})
}

// TestByeSpreadsClients over 1 ms for each, and over 1 s when a drain spreads them already.
func TestByeSpreadsClients(t *testing.T) {
	for _, c := range []struct {
		clients int
		drain   bool
		within  string
	}{{3, false, "1000"}, {1500, false, "1500"}, {1500, true, "1000"}} {
		bubble(t, func(t *testing.T) {
			opts := []tank.Option{tank.WithLimits(tank.Limits{ConnectionsPerUser: 1 << 20})}
			if c.drain {
				opts = append(opts, tank.WithDrain(time.Second, 100))
			}
			s := serve(t, opts...)
			var peers []*peer
			for range c.clients {
				peers = append(peers, s.dial2("", defaultBuffer))
			}
			for _, p := range peers[1:] {
				go p.answer()
			}
			go s.Shutdown(context.Background())
			peers[0].expect(`{"bye":{"code":1001,"within":` + c.within + `}}`)
			peers[0].expectClose(1001)
		})
	}
}
