package tank_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// Start returns when Shutdown is complete, so it usually gets a goroutine.
func ExampleManager_Start() {
	tkws := tank.NewInstance()
	go func() {
		tkws.Shutdown(context.Background()) // on a signal, see SetHTTPServer
	}()
	tkws.Start()
	fmt.Println("nothing is left running")
	// Output: nothing is left running
}

func ExampleManager_IsRunning() {
	tkws := tank.NewInstance()
	fmt.Println(tkws.IsRunning())
	server, stop := run(tkws)
	open(server, "ann").CloseNow() // a request waits for Start
	fmt.Println(tkws.IsRunning())
	stop()
	fmt.Println(tkws.IsRunning())
	// Output:
	// false
	// true
	// false
}

// A readiness probe that tells a load balancer to send nobody here before Start, nor once Shutdown is called.
func ExampleManager_Ready() {
	tkws := tank.NewInstance()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := tkws.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})

	ready := func() int {
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequest("GET", "/readyz", nil))
		return answer.Code
	}
	fmt.Println(ready())
	server, stop := run(tkws)
	open(server, "ann").CloseNow() // a request waits for Start
	fmt.Println(ready())
	stop()
	fmt.Println(ready())
	// Output:
	// 503
	// 200
	// 503
}

// An instance is an http.Handler.
func ExampleManager_ServeHTTP() {
	tkws := tank.NewInstance()
	go tkws.Start()
	defer tkws.Shutdown(context.Background())

	mux := http.NewServeMux()
	mux.Handle("GET /ws", tkws)
	server := httptest.NewServer(mux)
	defer server.Close()
	resp, err := http.Get(server.URL + "/ws")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status) // of a request that is not for a WebSocket
	// Output: 426 Upgrade Required
}

// HandleConnection can be called from a handler that has looked at the request before, here to choose an instance.
func ExampleManager_HandleConnection() {
	staff, public := tank.NewInstance(), tank.NewInstance()
	go staff.Start()
	go public.Start()
	defer staff.Shutdown(context.Background())
	defer public.Shutdown(context.Background())

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("user_id") == "ann" {
			staff.HandleConnection(w, r)
		} else {
			public.HandleConnection(w, r)
		}
	}))
	defer server.Close()
	for _, user := range []string{"ann", "bob", "eve"} {
		defer open(server, user).CloseNow()
	}
	await(staff, tank.EventConnect)
	await(public, tank.EventConnect, tank.EventConnect)
	fmt.Println(staff.GetClientCount(), public.GetClientCount())
	// Output: 1 2
}

// Shutdown sends every browser its queued messages, and tells it to reconnect later.
func ExampleManager_Shutdown() {
	tkws := tank.NewInstance()
	go tkws.Start()
	server := httptest.NewServer(tkws)
	defer server.Close()
	page := open(server, "ann")
	defer page.CloseNow()
	await(tkws, tank.EventConnect)
	tkws.BroadcastMessage([]byte("last words"))

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	done := make(chan error)
	go func() { done <- tkws.Shutdown(ctx) }()
	fmt.Println(page.receive())
	fmt.Println(page.receive())
	fmt.Println(<-done)
	// Output:
	// last words
	// closed with 1001 server is shutting down, please reconnect
	// <nil>
}

// Shutdown ends the HTTP server, too, after the last client has left.
func ExampleManager_SetHTTPServer() {
	tkws := tank.NewInstance()
	go tkws.Start()
	server := &http.Server{Handler: tkws, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	tkws.SetHTTPServer(server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()

	// A program waits here, for the context of signal.NotifyContext.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(tkws.Shutdown(ctx))
	fmt.Println(errors.Is(<-served, http.ErrServerClosed))
	// Output:
	// <nil>
	// true
}
