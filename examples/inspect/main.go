// Command inspect is the chat of examples/chat with everything that its operators look at: the inspector, metrics for
// Prometheus, and expvar. It is a module of its own, because the client library of Prometheus is nobody's but its.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"expvar"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/fanqie/tank-websocket-go-server/examples/internal/chat"
	"github.com/fanqie/tank-websocket-go-server/examples/internal/web"
	"github.com/fanqie/tank-websocket-go-server/inspector"
	tankprometheus "github.com/fanqie/tank-websocket-go-server/metrics/prometheus"
)

// shutdownGrace is how long a shutdown may take before the connections that are left are cut.
const shutdownGrace = 10 * time.Second

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on")
	password := flag.String("password", "", "of operators; one is made up if there is none")
	crowd := flag.Int("crowd", 0, "so many simulated `visitors` chat, up to 1000; one of them hardly reads")
	var level slog.Level
	flag.TextVar(&level, "log-level", slog.LevelInfo, "least important `level` to log: debug, info, warn or error")
	flag.Parse()
	if *password == "" {
		*password = rand.Text()
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second Ctrl-C ends the program at once
	if err := run(ctx, *addr, *password, min(*crowd, maxCrowd), log); err != nil {
		log.Error("inspect ended", "error", err)
		os.Exit(1)
	}
}

// newHandler puts what operators look at behind their password, beside the chat.
func newHandler(app *chat.Chat, password string) (http.Handler, error) {
	collector := tankprometheus.NewCollector()
	if err := collector.Add("chat", app.Manager); err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	if err := registry.Register(collector); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", app)
	mux.Handle("/inspector/", operatorsOnly(password, http.StripPrefix("/inspector/", inspector.Handler(app.Manager))))
	mux.Handle("GET /metrics", operatorsOnly(password, promhttp.HandlerFor(registry, promhttp.HandlerOpts{})))
	mux.Handle("GET /debug/vars", operatorsOnly(password, expvar.Handler()))
	return mux, nil
}

func run(ctx context.Context, addr, password string, crowd int, log *slog.Logger) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	app := chat.New(log, time.Second)
	handler, err := newHandler(app, password)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	expvar.Publish("tank", expvar.Func(func() any { return app.Manager.Stats() }))
	server := web.NewServer(handler, log)
	app.Manager.SetHTTPServer(server) // Shutdown ends it after the last client has left
	app.Start()

	nearby := newPipes()
	serving := make(chan error, 2)
	go func() { serving <- server.Serve(listener) }()
	go func() { serving <- server.Serve(nearby) }()
	page := web.PageURL(listener.Addr())
	fmt.Printf("The chat is at %s\n", page)
	fmt.Printf("For operators, any name and the password %s:\n  %sinspector/\n  %smetrics\n  %sdebug/vars\nCtrl-C ends the program.\n", password, page, page, page)
	visiting, goHome := context.WithCancel(ctx)
	home := visit(visiting, listener.Addr().String(), nearby, crowd, log)

	select {
	case err = <-serving:
	case <-ctx.Done():
	}
	goHome()
	<-home
	log.Info("shutting down", "clients", app.Manager.GetClientCount())
	grace, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	return errors.Join(err, app.Shutdown(grace))
}
