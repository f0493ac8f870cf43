// Command echo sends every text and binary message back to whoever sent it. It is a target for tests of WebSocket clients,
// and for conformance suites such as Autobahn's fuzzing client, which finds it at ws://localhost:9001.
//
// Anyone may connect, from any page: there is nothing to protect. That, the limits and the absence of a heartbeat are for
// tests. Do not take them for an example of what a service needs.
//
// Text of a plain socket that starts with "sub:" or "unsub:" is the library's own, and does not come back. The page speaks tank.v2,
// in which a message is marked as one: it sends requests, which are answered with what they were.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"log"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path"
	"syscall"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/examples/internal/web"
)

//go:embed page.html
var page []byte

// limits let suites send what they like, as slowly and as fast as they like.
var limits = tank.Limits{
	MessageBytes:      16 << 20,
	MessageTimeout:    10 * time.Minute,
	MessagesPerSecond: math.MaxInt,
	MessageBurst:      math.MaxInt,
	PingsPerSecond:    math.MaxInt,
	PingBurst:         math.MaxInt,
	OutboxBytes:       64 << 20,
	WriteTimeout:      time.Minute,
}

// noHeartbeat is longer than any test: to a suite, a ping may be something that it did not ask for.
const noHeartbeat = 24 * time.Hour

func newEcho(limits tank.Limits) *tank.Manager {
	return tank.NewInstance(
		tank.WithMessageHandler(func(c *tank.Client, m tank.Message) {
			c.Send(m) // fails only when the connection is about to end
		}),
		tank.WithRequestHandler(func(_ *tank.Client, r tank.Request) (any, error) { return r.Data, nil }),
		tank.WithUpgrader(tank.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}),
		tank.WithCompression(tank.DefaultCompressionLevel, 0), // also of small messages: suites look at those
		tank.WithLimits(limits),
		tank.WithHeartbeat(noHeartbeat, noHeartbeat),
	)
}

// newHandler gives handshakes to the echo, whatever their path and whatever is wrong with them, and answers all others
// with the page or what it asks for.
func newHandler(echo http.Handler) http.Handler {
	pages := http.NewServeMux()
	web.Handle(pages)
	pages.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, header := range []string{"Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version"} {
			if r.Header.Get(header) != "" {
				echo.ServeHTTP(w, r)
				return
			}
		}
		_, name := path.Split(r.URL.Path)
		beside := r.Clone(r.Context())
		beside.URL.Path = "/" + name // the page has its files beside it, wherever it is
		pages.ServeHTTP(w, beside)
	})
}

func main() {
	addr := flag.String("addr", "localhost:9001", "`address` to listen on")
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
	tkws := newEcho(limits)
	go tkws.Start()

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

// newServer bounds what a slow or idle HTTP peer can hold on to. An upgraded connection is out of its hands.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
	}
}
