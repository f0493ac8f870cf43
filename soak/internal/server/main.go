package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	"go.uber.org/goleak"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// shutdownTime is how long Shutdown may take: more than the close timeout, which the clients that do not answer take.
const shutdownTime = 30 * time.Second

// Main runs the server and returns the exit status of the process.
func Main() int {
	var config Config
	err := json.Unmarshal([]byte(os.Getenv(Variable)), &config)
	if err == nil {
		err = run(config)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		return 1
	}
	return 0
}

func run(config Config) error {
	began := time.Now()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	words := make(chan string)
	go obey(words)
	end := End{HeapBefore: collected(), GoroutinesStart: runtime.NumGoroutine()}
	before := goleak.IgnoreCurrent()

	calls := &callbacks{}
	m := tank.NewInstance(calls.options()...)
	started := make(chan struct{})
	go func() {
		defer close(started)
		m.Start()
	}()
	counted := watch(m)
	web := &http.Server{Handler: m, ReadHeaderTimeout: 30 * time.Second}
	m.SetHTTPServer(web)
	go web.Serve(listener)
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(Line{Address: listener.Addr().String()}); err != nil {
		return err
	}

	published := &publication{m: m, config: config, last: make(map[string]map[string]uint64)}
	stopped := make(chan struct{})
	tick := time.NewTicker(config.Sample)
	defer tick.Stop()
	shutDown := make(chan error)
	var from time.Time
	for ended := false; !ended; {
		select {
		case <-tick.C:
			s := sample(m, began)
			if err := out.Encode(Line{Sample: &s}); err != nil {
				return err
			}
		case word := <-words:
			switch word {
			case Publish:
				go func() {
					defer close(stopped)
					published.run()
				}()
			case Shutdown:
				from = time.Now()
				go func() {
					ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
					defer cancel()
					shutDown <- m.Shutdown(ctx)
				}()
			}
		case err := <-shutDown:
			end.ShutdownTook = time.Since(from)
			if err != nil {
				end.Shutdown = err.Error()
			}
			ended = true
		}
	}
	<-started
	<-stopped
	counted.done.Wait()
	if err := goleak.Find(before); err != nil {
		end.Leaked = err.Error()
	}
	end.GoroutinesEnd = runtime.NumGoroutine()
	s := m.Stats()
	end.Evicted, end.Throttled, end.EventsDropped, end.PanicsRecovered = s.Evicted, s.Throttled, s.EventsDropped, s.PanicsRecovered
	end.PanicsProvoked = calls.panics.Load()
	end.Published, end.PublishedTotal, end.Busy = published.last, published.total, published.busy
	end.Errors, end.Disconnects, end.Connections, end.Panics = counted.errors, counted.disconnects, counted.connections, counted.panics
	end.HeapAfter = collected()
	last := sample(m, began)
	if err := out.Encode(Line{Sample: &last}); err != nil {
		return err
	}
	return out.Encode(Line{End: &end})
}

// obey passes on the words of standard input, and ends the process with it.
func obey(words chan<- string) {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		words <- lines.Text()
	}
	os.Exit(1)
}

func sample(m *tank.Manager, began time.Time) Sample {
	s := m.Stats()
	return Sample{
		Seconds:    time.Since(began).Seconds(),
		Heap:       liveHeap(),
		Resident:   resident(),
		Goroutines: runtime.NumGoroutine(),
		Clients:    s.Clients,
		Topics:     s.Topics,
		Evicted:    s.Evicted,
	}
}
