package tanktest_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// onTheWire is how many bytes a short message of a topic takes, RFC 6455 section 5.2.
func onTheWire(topic, data string) int {
	return 4 + len(fmt.Sprintf(`{"topic":%q,"data":%q}`, topic, data))
}

func TestAFrozenClientFillsItsBufferToTheByte(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const buffer, messages = 1000, 20
		s, m := serve(t)
		c := s.Dial("/", tanktest.ReadBuffer(buffer))
		c.Subscribe("news")
		data := strings.Repeat("x", 200)
		must(t, m.BroadcastTopicMessage("news", "before"))
		c.Expect("news", "before")
		c.Freeze()
		c.Freeze()
		for range messages {
			must(t, m.BroadcastTopicMessage("news", data))
			synctest.Wait()
		}
		// The server counts a batch as written when all of it is.
		size := onTheWire("news", data)
		if got, want := c.Conn().Stats().OutboxBytes, int64(size*(messages-buffer/size)); got != want {
			t.Errorf("%d bytes are in the outbox, want %d", got, want)
		}
		c.Thaw()
		for range messages {
			c.Expect("news", data)
		}
		c.ExpectNothing()
	})
}

func TestASlowReaderIsEvicted(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		const outbox = 4 << 10
		s, m := serve(t, tank.WithLimits(tank.Limits{OutboxBytes: outbox}))
		slow, healthy := s.Dial("/?user_id=slow", tanktest.ReadBuffer(1)), s.Dial("/?user_id=healthy")
		slow.Subscribe("news")
		healthy.Subscribe("news")
		slow.Freeze()
		published := 0
		for ; m.Stats().Evicted == 0; published++ {
			if published > outbox {
				t.Fatal("the slow reader is not evicted")
			}
			must(t, m.BroadcastTopicMessage("news", fmt.Sprint(published)))
			healthy.Expect("news", fmt.Sprint(published))
		}
		slow.Thaw()
		rest := slow.Rest() // what its buffer has held
		if len(rest) > published {
			t.Errorf("got %d of %d messages", len(rest), published)
		}
		slow.ExpectClose(1013)
		must(t, m.BroadcastTopicMessage("news", "last"))
		healthy.Expect("news", "last")
	})
}

func TestTheHeartbeatEndsAClientThatHasVanished(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, m := serve(t)
		vanished, other := s.Dial("/?user_id=vanished"), s.Dial("/?user_id=other")
		vanished.Freeze()
		began := time.Now()
		for range 2 { // both are connected
			<-m.ConnEvents
		}
		gone := <-m.ConnEvents
		took := time.Since(began)
		if gone.EventType != tank.EventDisconnect || gone.UserID != "vanished" || took < 10*time.Second || took > 36*time.Second {
			t.Errorf("after %v: %+v", took, gone)
		}
		vanished.Thaw()
		vanished.ExpectClose(1006)
		must(t, m.BroadcastMessage([]byte("x")))
		other.ExpectText("x")
	})
}

func TestReadSlowly(t *testing.T) {
	for _, rate := range []int{1, 7, 10, 1000} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const size = 2000
				s, m := serve(t, tank.WithHeartbeat(24*time.Hour, time.Hour))
				s.Patience = 24 * time.Hour
				c := s.Dial("/")
				c.ReadSlowly(rate + 1)
				c.ReadSlowly(rate)
				began := time.Now()
				text := strings.Repeat("x", size-4) // with the header, size bytes
				must(t, m.BroadcastMessage([]byte(text)))
				c.ExpectText(text)
				took, want := time.Since(began).Seconds(), float64(size)/float64(rate)
				if took < want*0.99 || took > want*1.01+0.001 {
					t.Errorf("it took %v s, want %v s", took, want)
				}
				c.Thaw()
				began = time.Now()
				must(t, m.BroadcastMessage([]byte(text)))
				c.ExpectText(text)
				if took := time.Since(began); took != 0 {
					t.Errorf("when thawed, it took %v", took)
				}
				c.ReadSlowly(rate)
				c.Freeze()
				must(t, m.BroadcastMessage([]byte(text)))
				time.Sleep(4 * time.Second)
				c.Thaw()
				if got := c.Next(); got.At != time.Now() {
					t.Errorf("it read on although it was frozen: message of %v", got.At)
				}
			})
		})
	}
}

func TestAReaderThatIsSlowButReadsIsNotCut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, m := serve(t)
		s.Patience = time.Hour
		c := s.Dial("/", tanktest.ReadBuffer(100))
		c.ReadSlowly(10)
		text := strings.Repeat("x", 10_000)
		must(t, m.BroadcastMessage([]byte(text)))
		c.ExpectText(text)
		if n := m.GetClientCount(); n != 1 {
			t.Errorf("%d clients are left", n)
		}
	})
}

func TestCutIsNoticedAtOnceAndWithoutACloseFrame(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s, m := serve(t)
		c := s.Dial("/")
		must(t, m.BroadcastMessage([]byte("first")))
		c.ExpectText("first")
		if !c.EndedAt().IsZero() {
			t.Errorf("ended at %v", c.EndedAt())
		}
		began := time.Now()
		c.Cut()
		c.Cut()
		<-m.ConnEvents
		if gone := <-m.ConnEvents; gone.EventType != tank.EventDisconnect || !strings.HasPrefix(gone.Reason, "1006") {
			t.Errorf("got %+v", gone)
		}
		c.ExpectClose(1006)
		if at := c.EndedAt(); at.Before(began) || at.After(time.Now()) {
			t.Errorf("ended at %v, want between %v and %v", at, began, time.Now())
		}
	})
}

// TestACutIsSaidToBeOne, also when the server hangs up before the client's reader has noticed.
func TestACutIsSaidToBeOne(t *testing.T) {
	for range 200 {
		bubble(t, func(t *testing.T) {
			wantFatal(t, record(t, func(t testing.TB) {
				s, _ := serve(t)
				c := s.Dial("/")
				c.Cut()
				c.ExpectClose(1000)
			}), "connection:  cut by this client")
		})
	}
}

func TestCutLeavesWhatHasBeenReceived(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, m := serve(t)
		c := s.Dial("/")
		must(t, m.BroadcastMessage([]byte("first")))
		synctest.Wait()
		c.Cut()
		c.ExpectText("first")
		c.ExpectClose(1006)
	})
}

func TestCloseSaysGoodbye(t *testing.T) {
	for code, reason := range map[int]string{1000: "", 1001: "leaving", 1005: "", 3000: strings.Repeat("x", 123), 4999: "再见"} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			everywhere(t, func(t *testing.T) {
				s, m := serve(t)
				c := s.Dial("/")
				c.Close(code, reason)
				if got := c.ExpectClose(code); got != reason {
					t.Errorf("answered with %q", got)
				}
				<-m.ConnEvents
				if gone := <-m.ConnEvents; gone.Reason != strings.TrimSpace(fmt.Sprint(code, " ", reason)) {
					t.Errorf("the server has noted %q", gone.Reason)
				}
			})
		})
	}
}

func TestTheServersGoodbyeIsAnswered(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s, m := serve(t)
		c := s.Dial("/")
		must(t, c.Conn().Send(tank.Message{Data: []byte("last words")}))
		must(t, c.Conn().Close(4001, "enough"))
		c.ExpectText("last words")
		if reason := c.ExpectClose(4001); reason != "enough" {
			t.Errorf("closed because of %q", reason)
		}
		<-m.ConnEvents
		if gone := <-m.ConnEvents; gone.Reason != "4001 enough" { // and not after the close timeout
			t.Errorf("the server has noted %q", gone.Reason)
		}
	})
}
