package natsbroker

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// cluster is three servers with a stream on all of them, and an instance at each. The ways between servers can be cut.
type cluster struct {
	group
	options []*server.Options
	servers []*child
	routes  [][]*proxy // pairs of ways: each server begins one to each other
}

// newCluster starts everything.
func newCluster(t testing.TB) *cluster {
	t.Helper()
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	c := &cluster{group: group{t: t, mode: JetStream}}
	nowhere := freeAddr(t) // so that servers use no other ways
	for i := range 3 {
		o := &newServer(t, withJetStream(t)).options
		o.ServerName = fmt.Sprint("s", i)
		o.HTTPHost, o.HTTPPort = "127.0.0.1", freePort(t)
		o.Cluster = server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: freePort(t), Advertise: nowhere}
		c.options = append(c.options, o)
	}
	for i, one := range c.options {
		for _, other := range c.options[:i] {
			there, back := newProxy(t, fmt.Sprint("127.0.0.1:", other.Cluster.Port)), newProxy(t, fmt.Sprint("127.0.0.1:", one.Cluster.Port))
			one.Routes = append(one.Routes, &url.URL{Scheme: "nats", Host: there.listener.Addr().String()})
			other.Routes = append(other.Routes, &url.URL{Scheme: "nats", Host: back.listener.Addr().String()})
			c.routes = append(c.routes, []*proxy{there, back})
		}
	}
	for _, o := range c.options {
		c.servers = append(c.servers, startChild(t, serverConfig(o)))
	}
	c.server = c.servers[0]
	for i := range c.servers {
		c.instances = append(c.instances, startChild(t, processConfig{
			URL:    fmt.Sprintf("nats://%s,nats://%s", c.servers[i].addr, c.servers[(i+1)%3].addr),
			Mode:   JetStream,
			Stream: StreamOptions{Replicas: 3},
			Number: i,
		}))
	}
	c.awaitUp()
	c.join()
	c.begin("4ms", 1)
	return c
}

func freePort(t testing.TB) (port int) {
	t.Helper()
	_, text, err := net.SplitHostPort(freeAddr(t))
	must(t, err)
	port, err = strconv.Atoi(text)
	must(t, err)
	return port
}

// leader returns the number of the server that leads the stream.
func (c *cluster) leader() (at int) {
	c.t.Helper()
	await(c.t, "a leader", func() bool {
		_, stream := c.stream()
		info := stream.CachedInfo()
		at = slices.IndexFunc(c.options, func(o *server.Options) bool { return info.Cluster != nil && o.ServerName == info.Cluster.Leader })
		return at >= 0
	})
	return at
}

// healthy waits until a server has caught up with the others. Servers that are killed before that are more than a cluster of three stands.
func (c *cluster) healthy(i int) {
	c.t.Helper()
	await(c.t, "a server is healthy", func() bool {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/healthz", c.options[i].HTTPPort))
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// TestKeptInACluster: routes between servers are cut, and the leader of the stream is killed. Nothing of what is kept is lost, comes twice, or is
// told; an instance that has not got something because of a route is not told that by NATS, and finds out by itself.
func TestKeptInACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel()
	c := newCluster(t)
	var through, elected pauses
	cuts := often(30, 2)
	for i := range cuts {
		await(t, "a route", func() bool {
			return slices.ContainsFunc(c.routes[i%3], func(way *proxy) bool { return len(way.open()) > 0 })
		})
		for _, way := range c.routes[i%3] {
			way.cut()
		}
		within(300*time.Millisecond, func() bool { return false }) // that long
		for _, way := range c.routes[i%3] {
			way.heal()
		}
		begun := time.Now()
		c.through()
		through = append(through, time.Since(begun))
	}
	kills := often(6, 1)
	for range kills {
		at := c.leader()
		c.servers[at].kill()
		begun := time.Now()
		c.server = c.servers[(at+1)%3]
		c.through()
		elected = append(elected, time.Since(begun))
		c.servers[at] = startChild(t, serverConfig(c.options[at]))
		c.healthy(at)
		c.through()
	}
	f, epochs := c.examineKept(c.finish(), false)
	t.Logf("%d routes cut; all reached by all again: %v; %d leaders killed; all reached by all: %v", cuts, through, kills, elected)
	if f.lost > 0 || len(f.told) > 0 || epochs != 1 || f.taken == 0 {
		t.Errorf("in %d epochs: %+v", epochs, f)
	}
}
