// Command single publishes the time once a second to every browser that subscribes to it: the smallest useful program
// with package tank. The process has one instance, and it keeps the times of the last minute for pages that come back.
package main

import (
	"context"
	_ "embed"
	"errors"
	"expvar"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/examples/internal/web"
)

//go:embed page.html
var page []byte

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second Ctrl-C ends the program at once
	tkws := newInstance()
	expvar.Publish("tank", expvar.Func(func() any { return tkws.Stats() }))
	if err := run(ctx, tkws, *addr); err != nil {
		log.Fatal(err)
	}
}

// newInstance is tank.GetSingleInstance for an instance with options: that one has the default options, with which topics keep nothing.
func newInstance() *tank.Manager {
	return tank.NewInstance(tank.WithTopics("time", tank.TopicOptions{History: tank.History{Age: time.Minute}}))
}

func run(ctx context.Context, tkws *tank.Manager, addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	go tkws.Start()
	go publishTime(ctx, tkws, time.Second)

	server := newServer(newHandler(tkws))
	tkws.SetHTTPServer(server) // so that Shutdown ends it after the last client has left
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Printf("Open http://%s/. Ctrl-C ends the program.\n", listener.Addr())

	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(err, tkws.Shutdown(grace))
}

// newServer bounds what a peer that sends its request slowly, or nothing at all, can hold on to. It has no say in a
// connection that has become a WebSocket: there the instance's heartbeat and limits rule.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
	}
}

func newHandler(tkws *tank.Manager) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /ws", tkws)
	mux.Handle("GET /debug/vars", expvar.Handler()) // in a service, only for its operators
	web.Handle(mux)                                 // what page.html asks for
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	return mux
}

// publishTime publishes the time until the context ends, whether or not anyone listens: who comes later gets the latest times, too.
func publishTime(ctx context.Context, tkws *tank.Manager, every time.Duration) {
	clock := time.NewTicker(every)
	defer clock.Stop()
	for {
		select {
		case now := <-clock.C:
			if err := tkws.BroadcastTopicMessage("time", now.Format(time.RFC3339)); err != nil {
				log.Print("time not published: ", err)
			}
		case <-ctx.Done():
			return
		}
	}
}
