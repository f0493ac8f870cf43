// Command orders pushes the orders of a shop to their owners and to its staff, with all that a service has in production but accounts.
// It is a module of its own, because the client library of Prometheus is nobody's but its and that of examples/inspect.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/fanqie/tank-websocket-go-server/examples/internal/web"
	tankprometheus "github.com/fanqie/tank-websocket-go-server/metrics/prometheus"
)

//go:embed page.html
var page []byte

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on")
	lifetime := flag.Duration("lifetime", 10*time.Minute, "of credentials; then the page reconnects")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second Ctrl-C ends the program at once
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	s := newService(slog.Default(), *lifetime)
	server := newServer(s)
	s.tkws.SetHTTPServer(server) // Shutdown ends it after the last client has left, so /readyz answers until then
	go s.tkws.Start()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Printf("Open http://%s/. Ctrl-C ends the program.\n", listener.Addr())
	for work := time.Tick(time.Second); err == nil && ctx.Err() == nil; {
		select {
		case <-work:
			s.advance()
		case err = <-failed:
		case <-ctx.Done():
		}
	}
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err = errors.Join(err, s.tkws.Shutdown(grace)); err != nil {
		log.Fatal(err)
	}
}

// newServer makes a server of all routes.
func newServer(s *service) *http.Server {
	collector, registry := tankprometheus.NewCollector(), prometheus.NewRegistry()
	if err := errors.Join(collector.Add("orders", s.tkws), registry.Register(collector)); err != nil {
		panic(err) // not with one instance
	}
	mux := http.NewServeMux()
	mux.Handle("GET /ws", s.tkws)
	mux.HandleFunc("GET /orders", s.list)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{})) // a service does not show them to everybody
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.tkws.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	web.Handle(mux) // what page.html asks for
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { w.Write(page) })
	return &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute}
}
