// Command chat is a small chat for browsers: everybody talks in topics, sees who does what, and which topics are busy.
// It shows how a service embeds package tank: handling messages, feeds made of events and statistics, shutting down.
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

// shutdownGrace is how long a shutdown may take before the connections that are left are cut.
const shutdownGrace = 10 * time.Second

// At a shutdown, so many pages at a time are told to reconnect, spread over the window: a new process, or the one beside
// this one behind a load balancer, does not get them all in the same instant.
const (
	drainWindow = 4 * time.Second
	drainBatch  = 200
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on")
	var level slog.Level
	flag.TextVar(&level, "log-level", slog.LevelInfo, "least important `level` to log: debug, info, warn or error")
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second Ctrl-C ends the program at once
	if err := run(ctx, *addr, log); err != nil {
		log.Error("chat ended", "error", err)
		os.Exit(1)
	}
}

// run serves until the context ends, then shuts down gracefully.
func run(ctx context.Context, addr string, log *slog.Logger) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	app := newChat(log, time.Second)
	server := newServer(app, log)
	app.tkws.SetHTTPServer(server) // Shutdown ends it after the last client has left
	app.start()

	serving := make(chan error, 1)
	go func() { serving <- server.Serve(listener) }()
	fmt.Printf("Open %s in two windows, the second with ?name=Ada behind it. Ctrl-C ends the program.\n", pageURL(listener.Addr()))

	select {
	case err = <-serving:
	case <-ctx.Done():
	}
	log.Info("shutting down", "clients", app.tkws.GetClientCount())
	grace, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	return errors.Join(err, app.shutdown(grace))
}

// newServer bounds what a slow or idle HTTP peer can hold on to. An upgraded connection is out of its hands: there the
// instance's heartbeat and limits rule.
func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// pageURL is where a browser on this machine finds the page, also when the server listens on all addresses.
func pageURL(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("http://localhost:%d/", tcp.Port)
	}
	return fmt.Sprintf("http://%s/", addr)
}
