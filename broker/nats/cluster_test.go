package natsbroker

import (
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// startCluster starts three servers with JetStream.
func startCluster(t testing.TB) []*natsServer {
	t.Helper()
	var list []*natsServer
	var routes []*url.URL
	for i := range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		port := l.Addr().(*net.TCPAddr).Port
		must(t, l.Close())
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprint("127.0.0.1:", port)})
		list = append(list, newServer(t, withJetStream(t), func(o *server.Options) {
			o.ServerName = fmt.Sprint("s", i)
			o.NoSystemAccount = false
			o.Cluster = server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: port}
		}))
	}
	for _, s := range list {
		s.options.Routes = routes
		s.start()
	}
	return list
}

// TestCluster: a stream on three servers, of which one is killed, loses nothing, and its nodes, one on each server, are told of nothing.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	servers := startCluster(t)
	var nodes []*node
	var all []*ledger
	books := newBooks(t)
	for _, s := range servers {
		o := Options{Stream: StreamOptions{Replicas: 3, Messages: 1_000_000}}
		n := keepNode(t, s.url()+",nats://"+servers[(len(nodes)+1)%3].addr(), o)
		nodes = append(nodes, n)
		all = append(all, n.listen("x"), n.listen("quiet"))
	}
	stop := books.load("x", nodes...)
	for i, s := range servers[:1] {
		books.through(nodes[i], fmt.Sprint("mark ", i), all...)
		s.stop()
		books.through(nodes[i], fmt.Sprint("mark without ", i), all...)
		s.start()
		await(t, "it is current", func() bool { return s.server.JetStreamIsCurrent() })
	}
	stop()
	books.through(nodes[0], "mark", all...)
	books.audit(all...)
	books.once(all...)
	calm(t, all...)
	for i := range 50 { // while one is being stored, the others are refused, and tried again
		var wg sync.WaitGroup
		var first atomic.Int64
		for _, n := range nodes {
			wg.Go(func() {
				r, err := n.Publish(timeout(t, patience), "x", broker.Publication{Data: fmt.Sprint("mark k", i), Key: fmt.Sprint(i), Keep: true})
				if err != nil {
					t.Error(err)
				} else if !r.Duplicate {
					first.Add(1)
				}
			})
		}
		wg.Wait()
		if first.Load() != 1 {
			t.Errorf("%d were the first with the key %d", first.Load(), i)
		}
	}
}
