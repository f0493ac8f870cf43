// A tank for tests of the client, here and in e2e. It prints its URL, and takes orders over HTTP: a server that is to be stopped must
// be a process of its own.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// authenticate takes the token of tank-websocket for the user id. One that ends with .SECONDS expires.
func authenticate(r *http.Request) (tank.Identity, error) {
	for _, offer := range strings.Split(r.Header.Get("Sec-WebSocket-Protocol"), ",") {
		if token, ok := strings.CutPrefix(strings.TrimSpace(offer), "bearer."); ok {
			name, seconds, expires := strings.Cut(token, ".")
			id := tank.Identity{UserID: name}
			if n, err := strconv.Atoi(seconds); expires && err == nil {
				id.Expires = time.Now().Add(time.Duration(n) * time.Second)
			}
			return id, nil
		}
	}
	return tank.Identity{Anonymous: true}, nil
}

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "the address to listen at")
	drain := flag.Duration("drain", 0, "how long the end takes, in which 50 clients are sent away at a time")
	flag.Parse()
	options := []tank.Option{
		tank.WithHeartbeat(time.Second, 30*time.Second), // a client on a busy machine may take its time
		tank.WithTopics("stream*", tank.TopicOptions{History: tank.History{Messages: 10_000}}),
		tank.WithAuthenticator(authenticate),
		tank.WithUpgrader(tank.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}),
		tank.WithPublishAuthorizer(func(*tank.Client, *tank.Publication) error { return nil }),
		tank.WithRequestHandler(func(c *tank.Client, r tank.Request) (any, error) {
			var data any
			if err := r.Decode(&data); err != nil {
				return nil, err
			}
			return map[string]any{"echo": data, "user": c.UserID()}, nil
		}),
	}
	if *drain > 0 {
		options = append(options, tank.WithDrain(*drain, 50))
	}
	m := tank.NewInstance(options...)
	go m.Start()
	mux := http.NewServeMux()
	mux.Handle("/ws", m)
	mux.HandleFunc("POST /publish", func(w http.ResponseWriter, r *http.Request) { // {"topic":..., "from":1, "to":100}
		var order struct {
			Topic    string
			From, To int
		}
		err := json.NewDecoder(r.Body).Decode(&order)
		for n := order.From; n <= order.To && err == nil; n++ {
			err = m.PublishJSON(r.Context(), order.Topic, n)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Print(http.Serve(listener, mux)) }()
	fmt.Printf("http://%v/\n", listener.Addr())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = m.Shutdown(ctx)
}
