package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// Clients come and go as they like, some of the handlers panic, and the instance is shut down in the middle.
func TestHooksUnderStorms(t *testing.T) {
	for name, opts := range map[string][]tank.Option{"shutdown": nil, "drain": {tank.WithDrain(100*time.Millisecond, 50)}} {
		t.Run(name, func(t *testing.T) {
			var greeted, accepted, ended sync.Map // by client
			var twice, early, unknown atomic.Int64
			m := tank.NewInstance(append(opts,
				tank.WithLimits(tank.Limits{CloseTimeout: time.Second}),
				tank.WithConnectHandler(func(c *tank.Client, r *http.Request) error {
					if _, again := greeted.LoadOrStore(c, true); again {
						twice.Add(1)
					}
					switch r.URL.Query().Get("how") {
					case "1":
						return errors.New("no")
					case "2":
						panic("told to")
					case "3":
						c.Close(4000, "at once")
					}
					must(t, ignoreClosed(c.Subscribe("news")))
					must(t, ignoreClosed(c.Send(tank.Message{Data: []byte("welcome")})))
					accepted.Store(c, true)
					return nil
				}),
				tank.WithMessageHandler(func(c *tank.Client, _ tank.Message) {
					if _, gone := ended.Load(c); gone {
						early.Add(1)
					}
				}),
				tank.WithDisconnectHandler(func(c *tank.Client, d tank.Disconnect) {
					if _, known := accepted.Load(c); !known {
						unknown.Add(1)
					}
					if _, again := ended.LoadOrStore(c, true); again {
						twice.Add(1)
					}
					if c.ID()[0] == '0' {
						panic("told to")
					}
				}))...)
			s := mount(t, m)
			go m.Start()
			go func() {
				for range m.Errors {
				}
			}()
			var all sync.WaitGroup
			storm(s, &all, cases(1000, 5000), func(done int) {
				if done == cases(900, 4500) {
					go m.Shutdown(context.Background())
				}
			})
			all.Wait()
			must(t, m.Shutdown(within(t, 30*time.Second)))
			counts := func(m *sync.Map) (n int) {
				m.Range(func(any, any) bool { n++; return true })
				return n
			}
			if counts(&ended) != counts(&accepted) || twice.Load() != 0 || early.Load() != 0 || unknown.Load() != 0 {
				t.Errorf("%d accepted, %d ended, %d twice, %d messages after the end, %d ended unknown", counts(&accepted), counts(&ended), twice.Load(), early.Load(), unknown.Load())
			}
			if n := counts(&accepted); n < 100 {
				t.Errorf("only %d were accepted", n)
			}
		})
	}
}

// storm has so many clients connect, 16 at a time, say something, and leave one way or the other. after is called with the number of
// those that are through.
func storm(s *server, all *sync.WaitGroup, clients int, after func(done int)) {
	next := make(chan int)
	var through atomic.Int64
	for range 16 {
		all.Go(func() {
			for i := range next {
				raw, err := s.listener.Dial(defaultBuffer)
				if err != nil {
					continue
				}
				conn := wstest.NewConn(raw, 512)
				conn.SetDeadline(time.Now().Add(10 * time.Second))
				if conn.Upgrade(wstest.Handshake{Target: fmt.Sprint("/?how=", i%8)}) == nil {
					conn.Write(frame(opText, "hello"))
					if i%3 > 0 {
						conn.Write(closeFrame(1000, ""))
					}
					if i%3 == 1 {
						io.Copy(io.Discard, conn) // until the server hangs up
					}
				}
				conn.Close()
				after(int(through.Add(1)))
			}
		})
	}
	for i := range clients {
		next <- i
	}
	close(next)
}

func ignoreClosed(err error) error {
	if errors.Is(err, tank.ErrClosed) {
		return nil
	}
	return err
}
