// Command multi runs two instances in one process, each on a route of its own. They share nothing: a topic called
// "news" exists in both, and a message in one never reaches the clients of the other. It is how a service keeps, say,
// its customers and its staff apart.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/examples/internal/web"
)

//go:embed page.html
var page []byte

const topic = "news" // the same name in both instances

// instances are the two halves of the service.
type instances struct{ public, staff *tank.Manager }

func newInstances() instances {
	keeps := tank.WithTopics(topic, tank.TopicOptions{History: tank.History{Age: time.Minute}}) // for pages that come back
	return instances{
		public: tank.NewInstance(keeps, tank.WithLimits(tank.Limits{MessageBytes: 1 << 10})), // strangers need not say much
		staff:  tank.NewInstance(keeps),
	}
}

func (i instances) start() {
	go i.public.Start()
	go i.staff.Start()
}

// shutdown ends both at the same time, each within the same deadline.
func (i instances) shutdown(ctx context.Context) error {
	var errs [2]error
	var both sync.WaitGroup
	both.Go(func() { errs[0] = i.public.Shutdown(ctx) })
	both.Go(func() { errs[1] = i.staff.Shutdown(ctx) })
	both.Wait()
	return errors.Join(errs[0], errs[1])
}

func (i instances) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /ws/public", i.public)
	mux.Handle("GET /ws/staff", i.staff)
	web.Handle(mux) // what page.html asks for
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	return mux
}

// publish gives each instance news of its own, until the context ends.
func (i instances) publish(ctx context.Context, every time.Duration) {
	clock := time.NewTicker(every)
	defer clock.Stop()
	for n := 1; ; n++ {
		select {
		case <-clock.C:
			err := errors.Join(
				i.public.BroadcastTopicMessage(topic, fmt.Sprintf("public news %d", n)),
				i.staff.BroadcastTopicMessage(topic, fmt.Sprintf("staff news %d", n)),
			)
			if err != nil {
				log.Print("news not published: ", err)
			}
		case <-ctx.Done():
			return
		}
	}
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

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second Ctrl-C ends the program at once
	if err := run(ctx, *addr); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	both := newInstances()
	both.start()
	go both.publish(ctx, time.Second)

	server := newServer(both.handler())
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Printf("Open http://%s/. Ctrl-C ends the program.\n", listener.Addr())

	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// The server belongs to neither instance, so it goes last: http.Server knows nothing of upgraded connections.
	return errors.Join(err, both.shutdown(grace), server.Shutdown(grace))
}
