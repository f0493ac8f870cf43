package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/examples/internal/web"
)

const nodeCount = 2

// cluster is all of it: the broker, the nodes, and the desk with the page that shows them.
type cluster struct {
	broker *process
	nodes  []*node
	ports  []int // of the nodes
	desk   *tank.Manager

	addr   net.Addr // of the page
	failed chan error
	stop   context.CancelFunc
	work   sync.WaitGroup
}

// newCluster starts everything. Of an address with the port 0, all ports are any that are free.
func newCluster(addr string, log *slog.Logger) (*cluster, error) {
	c := &cluster{failed: make(chan error, 1+nodeCount)}
	if err := c.begin(addr, log); err != nil {
		if c.broker != nil {
			err = errors.Join(err, c.broker.kill(), os.RemoveAll(c.broker.dir))
		}
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	c.work.Go(func() { c.watch(ctx) })
	return c, nil
}

func (c *cluster) begin(addr string, log *slog.Logger) error {
	listeners, err := listen(addr)
	if err != nil {
		return err
	}
	for _, l := range listeners[1:] {
		c.ports = append(c.ports, l.Addr().(*net.TCPAddr).Port)
	}
	brokerAddr, err := freeAddr()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "tank-cluster-")
	if err != nil {
		return err
	}
	c.broker = &process{addr: brokerAddr, dir: dir}
	if err := c.broker.start(); err != nil {
		return err
	}
	for i := range nodeCount {
		n, err := newNode("nats://"+brokerAddr, log.With("node", i+1))
		if err != nil {
			return err
		}
		c.nodes = append(c.nodes, n)
	}
	c.desk = newDesk(c, log)
	c.addr = listeners[0].Addr()
	c.serve(listeners[0], c.desk, pageHandler(c.desk, c.ports), log)
	go c.desk.Start()
	for i, n := range c.nodes {
		mux := http.NewServeMux()
		mux.Handle("GET /ws", n.tkws)
		c.serve(listeners[i+1], n.tkws, mux, log)
		n.start()
	}
	return nil
}

// serve serves a handler until its instance is shut down.
func (c *cluster) serve(l net.Listener, tkws *tank.Manager, handler http.Handler, log *slog.Logger) {
	server := web.NewServer(handler, log)
	tkws.SetHTTPServer(server) // Shutdown ends it after the last client has left
	c.work.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			c.failed <- err
		}
	})
}

// url is where the page is.
func (c *cluster) url() string { return "http://" + c.addr.String() + "/" }

// shutdown says goodbye to all pages, and ends everything.
func (c *cluster) shutdown(ctx context.Context) error {
	c.stop()
	errs := []error{c.desk.Shutdown(ctx)}
	for _, n := range c.nodes {
		errs = append(errs, n.tkws.Shutdown(ctx))
	}
	c.work.Wait()
	return errors.Join(append(errs, c.broker.kill(), os.RemoveAll(c.broker.dir))...)
}

// listen opens the address of the page, and the next ports for the nodes.
func listen(addr string) ([]net.Listener, error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, err
	}
	var list []net.Listener
	for i := range 1 + nodeCount {
		next := 0
		if port != 0 {
			next = port + i
		}
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(next)))
		if err != nil {
			for _, l := range list {
				_ = l.Close()
			}
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
}

// freeAddr is an address for the broker, which is the same after a restart.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s state) equal(t state) bool {
	return s.PID == t.PID && s.Since == t.Since && slices.Equal(s.Nodes, t.Nodes)
}
