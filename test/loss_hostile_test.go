package test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// TestLossesAreToldBeforeAnswersAboutThem: whoever is told the number of its publication has got everything up to it, or was told what it
// has lost of that.
func TestLossesAreToldBeforeAnswersAboutThem(t *testing.T) {
	for _, policy := range []tank.OutboxPolicy{tank.OutboxDropOldest, tank.OutboxKeepLatest} {
		t.Run(policy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := tanktest.Serve(t, tank.NewInstance(tank.WithOutboxPolicy(policy), tank.WithLimits(tank.Limits{OutboxBytes: 4 << 10}),
					tank.WithPublishAuthorizer(func(*tank.Client, *tank.Publication) error { return nil })))
				p := s.Dial("/", tanktest.Subprotocols("tank.v2"), tanktest.ReadBuffer(64))
				p.Next() // hello
				p.Send(`{"id":1,"sub":"news"}`)
				p.Next()
				p.Freeze()
				const last = 30
				for id := 2; id <= last; id++ {
					p.Send(fmt.Sprintf(`{"id":%d,"pub":"news","data":"%s"}`, id, strings.Repeat("x", 1000)))
					time.Sleep(100 * time.Millisecond)
				}
				p.Thaw()
				at, losses := uint64(0), 0
				for answered := 0; answered != last; {
					var got struct {
						ID        int
						OK        struct{ Seq uint64 }
						Lost, Seq uint64
					}
					switch data := p.Next().Data; {
					case strings.HasPrefix(data, "["):
						var publication []any
						if err := json.Unmarshal([]byte(data), &publication); err != nil {
							t.Fatal(err)
						}
						at = uint64(publication[1].(float64))
					case json.Unmarshal([]byte(data), &got) != nil:
						t.Fatal(data)
					case got.Lost > 0:
						losses++
						at = got.Seq
					default:
						if answered = got.ID; got.OK.Seq > at {
							t.Fatalf("at %d, answer %d tells number %d", at, got.ID, got.OK.Seq)
						}
					}
				}
				if losses == 0 {
					t.Error("nothing was lost")
				}
			})
		})
	}
}

// TestLossesOfNoTopicAreNotTold: what belongs to no topic is counted when it is dropped, and there is no number to tell.
func TestLossesOfNoTopicAreNotTold(t *testing.T) {
	for _, policy := range []tank.OutboxPolicy{tank.OutboxDropOldest, tank.OutboxKeepLatest} {
		t.Run(policy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := tank.NewInstance(tank.WithOutboxPolicy(policy), tank.WithLimits(tank.Limits{OutboxBytes: 2 << 10}))
				p := tanktest.Serve(t, m).Dial("/", tanktest.Subprotocols("tank.v2"), tanktest.ReadBuffer(64))
				p.Next() // hello
				p.Freeze()
				const sent = 50
				for i := range sent {
					text := strings.Repeat("x", 100)
					if i%2 == 0 {
						must(t, p.Conn().Send(tank.Message{Data: []byte(text)}))
					} else {
						must(t, m.BroadcastMessage([]byte(text)))
					}
					synctest.Wait()
				}
				p.Thaw()
				synctest.Wait()
				dropped := int(p.Conn().Stats().Dropped)
				if dropped == 0 {
					t.Error("nothing was dropped")
				}
				for range sent - dropped {
					if got := p.Next(); !strings.HasPrefix(got.Data, `{"msg":"x`) {
						t.Errorf("got %v", got)
					}
				}
				p.ExpectNothing()
			})
		})
	}
}

// TestKeepLatestKnowsTopicsByName: of a topic that has ended and begun anew, the latest message is that of the new one.
func TestKeepLatestKnowsTopicsByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tank.NewInstance(tank.WithOutboxPolicy(tank.OutboxKeepLatest), tank.WithLimits(tank.Limits{OutboxBytes: 1000}))
		c := tanktest.Serve(t, m).Dial("/", tanktest.ReadBuffer(64)) // a plain socket, for which no topic lingers
		publish := func(texts ...string) {
			for _, text := range texts {
				must(t, m.BroadcastTopicMessage("news", text+strings.Repeat(".", 250)))
				synctest.Wait()
			}
		}
		c.Subscribe("news")
		c.Freeze()
		publish("being written", "old")
		c.Unsubscribe("news")
		synctest.Wait()
		if topics := m.GetAllTopics(); len(topics) != 0 {
			t.Fatalf("the topic has not ended: %+v", topics)
		}
		c.Subscribe("news")
		publish("1", "2", "3", "4")
		c.Thaw()
		for _, want := range []string{"being written", "4"} {
			if got := c.Next(); !strings.HasPrefix(got.Data, want+".") {
				t.Errorf("got %.20v, want %s", got.Data, want)
			}
		}
		c.ExpectNothing()
	})
}
