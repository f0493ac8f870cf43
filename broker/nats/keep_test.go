package natsbroker

import (
	"context"
	"fmt"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// withJetStream has a server keep streams, in a directory of the test.
func withJetStream(t testing.TB) func(*server.Options) {
	dir := t.TempDir()
	return func(o *server.Options) { o.JetStream, o.StoreDir = true, dir }
}

func TestKept(t *testing.T) {
	s := startServer(t, withJetStream(t))
	a, b := upNode(t, Options{URL: s.url(), Mode: JetStream}), upNode(t, Options{URL: s.url(), Mode: JetStream})
	for _, n := range []*node{a, b} {
		must(t, n.Subscribe(timeout(t, patience), []broker.Subscription{{Name: "x", Keep: true, To: &reader{diary: n.diary, name: "x"}}}))
	}
	for i := range 10 {
		r, err := a.Publish(context.Background(), "x", broker.Publication{Data: fmt.Sprint(i), Keep: true})
		must(t, err)
		t.Logf("%+v", r)
	}
	for _, n := range []*node{a, b} {
		for i := range 10 {
			n.awaitMessage("x", fmt.Sprint(i))
		}
		t.Log(n.all())
	}
}
