package test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

func TestLimitsThatAreNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithLimits(tank.Limits{
			MessageTimeout: math.MaxInt64, MessagesPerSecond: math.MaxInt, MessageBurst: math.MaxInt, PingsPerSecond: math.MaxInt,
			PingBurst: math.MaxInt, Subscriptions: math.MaxInt, Connections: math.MaxInt, ConnectionsPerUser: math.MaxInt,
			TotalOutboxBytes: math.MaxInt, WriteTimeout: math.MaxInt64,
		}), tank.WithHeartbeat(time.Hour, time.Hour))
		p := s.connect(handshake{path: "/", buffer: 100})
		p.write([]byte{0x81})
		must(t, s.BroadcastMessage(make([]byte, 1000)))
		time.Sleep(20 * time.Second)
		if _, data := p.next(); len(data) != 1000 {
			t.Fatalf("got %d bytes", len(data))
		}
		p.write([]byte{0x80, 0, 0, 0, 0})
		for range 10_000 {
			p.write(append(frame(opPing, ""), frame(opText, "sub:x")...))
		}
		synctest.Wait()
		s.expectNoErrors()
		if n := s.Stats().MessagesIn; n != 10_001 {
			t.Fatalf("%d messages came", n)
		}
	})
}
