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
