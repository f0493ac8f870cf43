package test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// none is a context that somebody forgot.
var none context.Context

func TestNilArgumentsPanicNamingThem(t *testing.T) {
	m := tank.NewInstance()
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	for want, call := range map[string]func(){
		"tank: NewInstance: option 1 is nil":             func() { tank.NewInstance(nil) },
		"tank: NewInstance: option 2 is nil":             func() { tank.NewInstance(tank.WithErrorBuffer(1), nil) },
		"tank: WithAuthenticator: function is nil":       func() { tank.WithAuthenticator(nil) },
		"tank: WithMessageHandler: function is nil":      func() { tank.WithMessageHandler(nil) },
		"tank: WithLogger: logger is nil":                func() { tank.WithLogger(nil) },
		"tank: Publish: context is nil":                  func() { m.Publish(none, "news", "x") },
		"tank: Shutdown: context is nil":                 func() { m.Shutdown(none) },
		"tank: HandleConnection: response writer is nil": func() { m.HandleConnection(nil, request) },
		"tank: HandleConnection: request is nil":         func() { m.ServeHTTP(httptest.NewRecorder(), nil) },
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); got != want {
					t.Errorf("panicked with %q, want %q", got, want)
				}
			}()
			call()
		}()
	}
	if got := m.Stats(); got.Refused != 0 || got.State != "new" {
		t.Errorf("%d refused, state %s", got.Refused, got.State)
	}
	m.SetHTTPServer(nil) // means that there is none
}

// TestNilContextsAreSeenFirst: whatever else is wrong, and also when nothing would have to be waited for.
func TestNilContextsAreSeenFirst(t *testing.T) {
	m := tank.NewInstance()
	must(t, m.Shutdown(t.Context()))
	for name, call := range map[string]func(){
		"Publish with an invalid topic": func() { m.Publish(none, "", "x") },
		"Publish after Shutdown":        func() { m.Publish(none, "news", "x") },
		"Shutdown after Shutdown":       func() { m.Shutdown(none) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s did not panic", name)
				}
			}()
			call()
		}()
	}
}

// TestShutdownAfterOneWithoutAContext: the instance is as it was before.
func TestShutdownAfterOneWithoutAContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.dial("ann")
		func() {
			defer func() { recover() }()
			s.Shutdown(none)
		}()
		if !s.IsRunning() {
			t.Fatal("it does not run any more")
		}
		must(t, s.BroadcastMessage([]byte("x")))
		p.expect("x")
		go s.Shutdown(within(t, time.Minute))
		p.expectClose(1001)
	})
}
