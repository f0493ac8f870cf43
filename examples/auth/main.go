// Command auth shows who may connect, who may subscribe to what, and what happens when that ends: a token in a
// subprotocol or in a cookie, topics of one's own, and connections that are closed when their token expires.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// newServer bounds what a peer that sends its request slowly, or nothing at all, can hold on to.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
	}
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on")
	lifetime := flag.Duration("lifetime", time.Minute, "of a token, until it is renewed")
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if *lifetime <= 0 {
		log.Error("the lifetime of a token must be positive", "lifetime", *lifetime)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second Ctrl-C ends the program at once
	if err := run(ctx, *addr, *lifetime, log); err != nil {
		log.Error("auth ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, addr string, lifetime time.Duration, log *slog.Logger) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s := newService(log, lifetime)
	server := newServer(s.handler())
	s.tkws.SetHTTPServer(server) // Shutdown ends it after the last client has left
	go s.tkws.Start()
	publishing, stop := context.WithCancel(ctx)
	defer stop()
	go s.publish(publishing, time.Second)

	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Printf("Open http://%s/. Ctrl-C ends the program.\n", listener.Addr())

	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	stop()
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(err, s.tkws.Shutdown(grace))
}
