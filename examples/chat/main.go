// Command chat is a small chat for browsers: everybody talks in topics, sees who does what, and which topics are busy.
// It shows how a service embeds package tank: checking what clients publish, feeds made of events and statistics, shutting down. The
// chat itself is package chat below examples/internal, because examples/inspect shows it, too.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/fanqie/tank-websocket-go-server/examples/internal/chat"
	"github.com/fanqie/tank-websocket-go-server/examples/internal/web"
)

// shutdownGrace is how long a shutdown may take before the connections that are left are cut.
const shutdownGrace = 10 * time.Second

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
	app := chat.New(log, time.Second)
	server := web.NewServer(app, log)
	app.Manager.SetHTTPServer(server) // Shutdown ends it after the last client has left
	app.Start()

	serving := make(chan error, 1)
	go func() { serving <- server.Serve(listener) }()
	fmt.Printf("Open %s in two windows, the second with ?name=Ada behind it. Ctrl-C ends the program.\n", web.PageURL(listener.Addr()))

	select {
	case err = <-serving:
	case <-ctx.Done():
	}
	log.Info("shutting down", "clients", app.Manager.GetClientCount())
	grace, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	return errors.Join(err, app.Shutdown(grace))
}
