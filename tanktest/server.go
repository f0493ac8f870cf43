package tanktest

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
)

const (
	// defaultPatience is Server.Patience.
	defaultPatience = 5 * time.Second

	// endPatience is how long the end of a test waits for each part of the server to end.
	endPatience = 10 * time.Second

	// defaultBuffer is ReadBuffer, in bytes.
	defaultBuffer = 64 << 10
)

// Server is an HTTP server in memory, with one or more instances behind it. It ends with the test.
type Server struct {
	// URL is the server's address, without a slash at its end. Every other http address leads to it, too.
	URL string

	// Patience is how long calls wait for what a test expects; then they fail it. It is 5 s at first, of fake time in a
	// bubble, and may be changed between two calls.
	Patience time.Duration

	t        testing.TB
	managers []*tank.Manager
	started  []chan struct{} // closed when the Start of each has returned
	listener *memnet.Listener
	http     *http.Server
	served   chan struct{} // closed when http has ended
	requests requests
	client   *http.Client
	cancel   context.CancelFunc // ends the requests of client
	dialed   int                // how many clients there have been
	found    map[*tank.Client]bool
}

// Serve serves m in memory until the test ends: whatever the path, a request goes to m. It starts m, if that has not been done,
// and shuts it down at the end of the test, unless that has been done. Then it fails the test when something has not ended:
// m, a callback, or a request.
//
// In a synctest bubble, call it inside the bubble, and make m inside, too.
func Serve(t testing.TB, m *tank.Manager) *Server {
	if t == nil {
		panic("tanktest: Serve: t is nil")
	}
	t.Helper()
	return ServeHandler(t, m, m)
}

// ServeHandler is Serve with a handler of your own, such as a mux with your routes and middleware. The managers are those
// that it leads to, at least one.
func ServeHandler(t testing.TB, h http.Handler, managers ...*tank.Manager) *Server {
	if t == nil {
		panic("tanktest: ServeHandler: t is nil")
	}
	t.Helper()
	check(t, h, managers)
	s := &Server{
		URL:      "http://tank.test",
		Patience: defaultPatience,
		t:        t,
		managers: managers,
		listener: memnet.Listen(),
		served:   make(chan struct{}),
		requests: newRequests(),
		found:    make(map[*tank.Client]bool),
	}
	s.http = &http.Server{
		Handler:           s.requests.count(claimAddress(h)),
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(t.Output(), "", 0),
	}
	var ended context.Context
	ended, s.cancel = context.WithCancel(context.Background())
	s.client = &http.Client{Transport: transport{&http.Transport{DialContext: s.DialContext}, ended}}
	t.Cleanup(s.end)
	for _, m := range managers {
		s.started = append(s.started, start(m))
	}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(s.listener) // until end
	}()
	return s
}

// check ends the test when the arguments of ServeHandler make no sense.
func check(t testing.TB, h http.Handler, managers []*tank.Manager) {
	t.Helper()
	if len(managers) == 0 {
		t.Fatalf("tanktest: ServeHandler needs the managers that the handler leads to")
	}
	for i, m := range managers {
		if m == nil {
			t.Fatalf("tanktest: ServeHandler: manager %d is nil", i+1)
		}
	}
	if h == nil {
		t.Fatalf("tanktest: ServeHandler: handler is nil")
	}
}

// start starts an instance, and returns when it runs or has been shut down.
func start(m *tank.Manager) (returned chan struct{}) {
	returned = make(chan struct{})
	go func() {
		defer close(returned)
		m.Start()
	}()
	for !m.IsRunning() {
		select {
		case <-returned:
			return returned
		default:
			runtime.Gosched() // Start does not wait for anything before that
		}
	}
	return returned
}

// Client returns an HTTP client for the server's other routes. All its requests go to this server, whatever their host, and end
// with the test, if the test has left any open.
func (s *Server) Client() *http.Client { return s.client }

// DialContext connects to the server, whatever the address. It is for WebSocket and HTTP clients of your own. What they open
// they have to close.
func (s *Server) DialContext(_ context.Context, _, _ string) (net.Conn, error) {
	conn, err := s.listener.Dial(defaultBuffer)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// end is the end of the test. The clients have been cut by then, so nobody has to be waited for.
func (s *Server) end() {
	s.t.Helper()
	for _, m := range s.managers {
		s.shutdown(m)
	}
	s.cancel()
	_ = s.listener.Close()
	_ = s.http.Close() // which ends the contexts of requests
	for _, request := range s.requests.await(endPatience) {
		s.t.Errorf("tanktest: the test is over, but %s is still being handled", request)
	}
	s.client.CloseIdleConnections()
	for _, returned := range append(s.started, s.served) {
		select {
		case <-returned:
		case <-time.After(endPatience):
			s.t.Errorf("tanktest: the test is over, but an instance or its HTTP server has not ended")
		}
	}
}

// shutdown ends an instance. How it went is the test's business if the test has done so before.
func (s *Server) shutdown(m *tank.Manager) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), endPatience)
	defer cancel()
	mine := m.IsRunning()
	err := m.Shutdown(ctx)
	switch {
	case err == nil || !mine:
	case errors.Is(err, tank.ErrBusy):
		s.t.Errorf("tanktest: the test is over, but one of its callbacks has not returned (Shutdown: %v)", err)
	default:
		s.t.Errorf("tanktest: at the end of the test, Shutdown: %v", err)
	}
}
