package test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// The attack of BenchmarkSubscribeUnderChurn: as many connections as some users may have, each of which uses up its message
// burst on subscriptions and is replaced by a new connection.
const (
	churnUsers = 10
	churnConns = tank.DefaultConnectionsPerUser
	churnFor   = 4 * time.Second
)

// BenchmarkSubscribeUnderChurn measures how long subscribing takes for an honest client while others attack: by
// Client.Subscribe, and by "sub:" until the first message of the topic comes. One round takes churnFor; the attackers run in
// the same process. In the attack "patient", a connection is replaced when the server has read its burst; in "impatient",
// as soon as the burst is sent.
func BenchmarkSubscribeUnderChurn(b *testing.B) {
	for _, attack := range []string{"none", "patient", "impatient"} {
		b.Run(attack, func(b *testing.B) {
			for range b.N {
				subscribeUnderChurn(b, attack)
			}
		})
	}
}

func subscribeUnderChurn(b *testing.B, attack string) {
	m := tank.NewInstance(tank.WithHeartbeat(time.Hour, time.Hour),
		tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) { return named(r.URL.Query().Get("user_id"), nil) }),
		tank.WithPublishAuthorizer(func(*tank.Client, *tank.Publication) error { return nil }))
	go m.Start()
	defer m.Shutdown(context.Background())
	server := httptest.NewServer(m)
	defer server.Close()
	addr := server.Listener.Addr().String()
	honest, err := churnDial(addr, "honest")
	if err != nil {
		b.Fatal(err)
	}
	defer honest.Close()
	for m.GetClientCount() == 0 {
	}
	client := m.GetAllClients()[0]

	ctx, cancel := context.WithTimeout(b.Context(), churnFor)
	defer cancel()
	var wg sync.WaitGroup
	if attack != "none" {
		for i := range churnUsers * churnConns {
			wg.Go(func() { churn(ctx, addr, i, attack == "patient") })
		}
	}
	var calls, sockets []time.Duration
	before := m.Stats()
	wg.Go(func() {
		calls = probe(ctx, 2*time.Millisecond, func(i int) time.Duration { return churnCall(b, client, i) })
	})
	wg.Go(func() {
		sockets = probe(ctx, 50*time.Millisecond, func(i int) time.Duration { return churnSocket(b, honest, i) })
	})
	wg.Wait()
	after := m.Stats()
	b.ReportMetric(0, "ns/op")
	reportPercentiles(b, "call", calls)
	reportPercentiles(b, "socket", sockets)
	b.ReportMetric(float64(after.MessagesIn-before.MessagesIn)/churnFor.Seconds(), "messages/s")
	b.ReportMetric(float64(after.Accepted-before.Accepted)/churnFor.Seconds(), "connections/s")
}

// churnDial connects as user.
func churnDial(addr, user string) (*wstest.Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return wstest.Upgrade(conn, wstest.Handshake{Target: "/?user_id=" + user})
}

// churn is one attacker. What goes wrong for it is not of interest.
func churn(ctx context.Context, addr string, i int, patient bool) {
	var burst []byte
	for n := 0; n < tank.DefaultMessageBurst-2; n += 2 {
		topic := fmt.Sprint("churn", i, "-", n)
		burst = append(append(burst, frame(opText, "sub:"+topic)...), frame(opText, "unsub:"+topic)...)
	}
	burst = append(burst, frame(opText, "sub:")...) // which is answered
	for ctx.Err() == nil {
		conn, err := churnDial(addr, fmt.Sprint("attacker", i%churnUsers))
		if err != nil {
			continue
		}
		conn.Write(burst)
		if patient {
			deadline, _ := ctx.Deadline()
			conn.SetReadDeadline(deadline)
			conn.R.Peek(1)
		}
		conn.Close()
	}
}

// probe calls do at an interval until the context ends, and returns how long it says that each call took.
func probe(ctx context.Context, every time.Duration, do func(i int) time.Duration) (took []time.Duration) {
	clock := time.NewTicker(every)
	defer clock.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return took
		case <-clock.C:
			took = append(took, do(i))
		}
	}
}

func churnCall(b *testing.B, c *tank.Client, i int) time.Duration {
	topic := fmt.Sprint("call", i)
	began := time.Now()
	err := c.Subscribe(topic)
	took := time.Since(began)
	if err == nil {
		err = c.Unsubscribe(topic)
	}
	if err != nil {
		b.Error(err)
	}
	return took
}

// churnSocket subscribes, publishes, and waits for the message.
func churnSocket(b *testing.B, conn *wstest.Conn, i int) time.Duration {
	topic := fmt.Sprintf("socket%06d", i)
	want := fmt.Sprintf(`{"topic":%q,"data":"x"}`, topic)
	sent := append(append(frame(opText, "sub:"+topic), frame(opText, want)...), frame(opText, "unsub:"+topic)...)
	began := time.Now()
	conn.Write(sent)
	if f, err := conn.ReadFrame(); err != nil || string(f.Payload) != want {
		b.Errorf("got %q (%v)", f.Payload, err)
	}
	return time.Since(began)
}

func reportPercentiles(b *testing.B, name string, took []time.Duration) {
	if len(took) == 0 {
		b.Fatalf("no %s came to its end", name)
	}
	slices.Sort(took)
	for _, p := range []int{50, 99} {
		at := took[min(len(took)-1, len(took)*p/100)]
		b.ReportMetric(float64(at)/float64(time.Millisecond), fmt.Sprintf("%s-p%d-ms", name, p))
	}
}
