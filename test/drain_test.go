package test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

func TestDrainClosesClientsLittleByLittle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithDrain(10*time.Second, 3))
		const clients = 10
		closed := make(chan time.Duration, clients)
		var began time.Time
		for i := range clients {
			p := s.dial(fmt.Sprint("u", i))
			p.subscribe(s, "news")
			go func() {
				seen := 0
				for {
					op, payload, err := p.receive()
					switch {
					case err != nil:
						t.Errorf("after %d messages: %v", seen, err)
						return
					case op == opClose:
						if payload != "\x03\xe9server is shutting down, please reconnect" {
							t.Errorf("closed with %q", payload)
						}
						took := time.Since(began)
						if want := int((took+700*time.Millisecond)/time.Second) + 1; seen != want { // all that was published before
							t.Errorf("got %d messages in %v", seen, took)
						}
						closed <- took
						p.write(frame(opClose, payload))
						return
					case op == opText:
						if want := fmt.Sprintf(`{"topic":"news","data":"%d"}`, seen); payload != want {
							t.Errorf("got %s, want %s", payload, want)
						}
						seen++
					}
				}
			}()
		}
		began = time.Now()
		must(t, s.BroadcastTopicMessage("news", "0"))
		done := make(chan error)
		go func() { done <- s.Shutdown(within(t, time.Minute)) }()
		synctest.Wait()
		if _, resp := s.request(handshake{path: "/"}); resp.StatusCode != 503 || s.IsRunning() {
			t.Fatalf("a newcomer is answered with %s", resp.Status)
		}
		time.Sleep(300 * time.Millisecond)
		for i := 1; i <= 8; i++ {
			must(t, s.BroadcastTopicMessage("news", fmt.Sprint(i))) // those who are left are served
			time.Sleep(time.Second)
		}
		must(t, <-done)
		mustBe(t, s.BroadcastTopicMessage("news", "too late"), tank.ErrClosed)
		var got []time.Duration
		for range clients {
			got = append(got, (<-closed).Round(time.Millisecond))
		}
		if want := "[0s 0s 0s 2.5s 2.5s 2.5s 5s 5s 5s 7.5s]"; fmt.Sprint(got) != want {
			t.Fatalf("closed after %v, want %s", got, want)
		}
	})
}

func TestDrainEndsWithTheContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithDrain(time.Hour, 1))
		for range 10 {
			go s.dial("").answer()
		}
		began := time.Now()
		mustBe(t, s.Shutdown(within(t, 10*time.Second)), context.DeadlineExceeded)
		if took := time.Since(began); took > 11*time.Second || s.GetClientCount() != 0 {
			t.Fatalf("it took %v, and %d clients are left", took, s.GetClientCount())
		}
	})
}

// Another Shutdown that has no patience ends what the first one was doing little by little.
func TestDrainIsCutByAnotherShutdown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithDrain(time.Hour, 1))
		for range 10 {
			s.dial("").subscribe(s, "news")
		}
		first := make(chan error)
		go func() { first <- s.Shutdown(within(t, 2*time.Hour)) }()
		synctest.Wait()
		began := time.Now()
		mustBe(t, s.Shutdown(within(t, 0)), context.DeadlineExceeded)
		mustBe(t, s.BroadcastTopicMessage("news", "too late"), tank.ErrClosed)
		mustBe(t, s.BroadcastTopicMessage("nobody's", "too late"), tank.ErrClosed)
		if err := <-first; err == nil { // it may have done the last steps itself
			t.Error("the first Shutdown does not tell that connections were cut")
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestDrainOfNobodyTakesNoTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithDrain(time.Hour, 1))
		p := s.dial("")
		p.conn.Close()
		synctest.Wait()
		began := time.Now()
		must(t, s.Shutdown(within(t, time.Minute)))
		must(t, tank.NewInstance(tank.WithDrain(time.Hour, 1)).Shutdown(t.Context()))
		if took := time.Since(began); took != 0 {
			t.Fatalf("it took %v", took)
		}
	})
}
