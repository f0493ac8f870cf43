package tank

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/hub"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// startWait is how long a request that comes before Start waits for it.
const startWait = 2 * time.Second

// ServeHTTP is HandleConnection, so that a Manager is an http.Handler.
func (m *Manager) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.HandleConnection(w, r) }

// HandleConnection upgrades a request to a WebSocket connection (RFC 6455, section 4.2) and returns; the connection
// goes on by itself. A request that comes before Start waits up to 2 s for it.
//
// The connection is hijacked first, and then the 101 is written to it: w.WriteHeader is not called, so middleware may compress
// or buffer, and logs what it logs for any hijacked request. What is in w.Header() becomes part of the answer, but for headers
// about a body or the connection. It blocks while the client does not take the answer, for Limits.WriteTimeout at most.
//
// Otherwise it answers 503 with Retry-After when the instance is not running or has as many connections as it may have,
// 403 when the origin is not welcome, 401 when the authenticator refuses or its Identity has expired, 400 when the user id is
// invalid, the handshake malformed or without a permitted protocol, or the request has a body, 405 or 426 when it is not a WebSocket
// handshake of version 13, 500 when a callback panics or a Hijack method of middleware fails or panics, and 501 when middleware hides
// the http.Hijacker without offering Unwrap (see http.ResponseController). Each is reported on Errors. It panics when w or r is nil.
func (m *Manager) HandleConnection(w http.ResponseWriter, r *http.Request) {
	require(w != nil, "HandleConnection", "response writer is nil")
	require(r != nil, "HandleConnection", "request is nil")
	reserved, connected := false, false
	defer func() { // also when a callback ends the goroutine, or middleware panics
		if !connected {
			m.counters.refused.Add(1)
		}
		if reserved && !connected {
			m.counters.connections.Add(-1)
		}
	}()
	reserved = m.admit(w, r) && m.reserve(w)
	connected = reserved && m.connect(w, r)
}

// reserve takes one of the connections that the instance may have, or refuses the request.
func (m *Manager) reserve(w http.ResponseWriter) bool {
	most := m.config.limits.Connections
	if m.counters.connections.Add(1) <= int64(most) {
		return true
	}
	m.counters.connections.Add(-1)
	err := advise(fmt.Errorf("%w: there are %d connections", ErrLimit, most), adviceConnections)
	m.refuse(w, http.StatusServiceUnavailable, &ErrorEvent{Code: CodeUpgrade, Message: "request refused", Err: err})
	return false
}

// connect makes a connection of a request, whose place is given back by owner.Gone. It reports false when it has answered the
// request otherwise.
func (m *Manager) connect(w http.ResponseWriter, r *http.Request) bool {
	u := m.currentUpgrader()
	if err := actor.Try(func() error { return u.checkOrigin(r) }); err != nil {
		m.refuse(w, http.StatusForbidden, &ErrorEvent{Code: CodeUpgrade, Message: "origin refused", Err: err})
		return false
	}
	c, expires, ok := m.identify(w, r)
	if !ok || !m.admit(w, r) { // again: while the callbacks were busy, Shutdown may have come
		return false
	}
	conn, err := client.Upgrade(w, r, client.UpgradeOptions{
		Subprotocols: u.Subprotocols,
		ReadBuffer:   u.ReadBufferSize,
		WriteBuffer:  u.WriteBufferSize,
		WriteTimeout: m.config.limits.WriteTimeout,
		Compression:  u.EnableCompression || m.config.compress,
		V2:           m.config.v2Use(),
	})
	if err != nil {
		m.reportUpgrade(r, c.session.UserID, err)
		return false
	}
	c.session.Client, c.session.ConnectedAt = client.New(conn, m.clientOptions, (*owner)(c)), time.Now().UnixNano()
	address := c.session.Client.RemoteAddr()
	if r.RemoteAddr != "" && r.RemoteAddr != address {
		address = strings.Clone(wire.Clean(r.RemoteAddr))
		c.address = address
	}
	greet := c.prepareHooks(r)
	how := hub.Registration{Address: address, Expires: expires, Hook: greet != nil, Hello: c.hello()}
	if m.hub.Register(&c.session, how) != nil {
		m.counters.refused.Add(1)
		c.session.Client.Cut("rejected")
		return true // owner.Gone gives the place back
	}
	go c.session.Client.Read(greet)
	return true
}

// admit refuses a request while the instance does not take connections.
func (m *Manager) admit(w http.ResponseWriter, r *http.Request) bool {
	err := m.hub.Admit(r.Context(), startWait)
	if errors.Is(err, hub.ErrNotStarted) {
		err = advise(err, adviceStart)
	}
	if err != nil {
		m.refuse(w, http.StatusServiceUnavailable, &ErrorEvent{Code: CodeUpgrade, Message: "request refused", Err: err})
	}
	return err == nil
}

func (m *Manager) currentUpgrader() *Upgrader {
	if m.config.upgrader != nil {
		return m.config.upgrader
	}
	if u := defaultUpgrader.Load(); u != nil {
		return u
	}
	return &Upgrader{}
}

// reportUpgrade reports why an upgrade failed.
func (m *Manager) reportUpgrade(r *http.Request, userID string, err error) {
	e := &ErrorEvent{Code: CodeUpgrade, Message: "upgrade failed", Err: adviseUpgrade(r, err), UserID: userID}
	if isPanic(err) {
		e.Code, e.Message = CodeInternal, "middleware panicked"
	}
	m.report(e)
}

// adviseUpgrade adds to the reason of a failed upgrade what is likely to be missing.
func adviseUpgrade(r *http.Request, err error) error {
	switch {
	case errors.Is(err, http.ErrNotSupported), isPanic(err):
		return advise(err, adviceHijack)
	case r.Header.Get("Upgrade") == "":
		return advise(err, adviceHandshake)
	}
	return err
}

// refuse answers a request that does not become a connection, and reports why. What the error says is for the server's
// side, with two exceptions, which tell the client nothing new: what is wrong with a user id, and what the default check
// compares an origin with.
func (m *Manager) refuse(w http.ResponseWriter, status int, e *ErrorEvent) {
	text := http.StatusText(status)
	var foreign foreignOrigin
	switch {
	case isPanic(e.Err):
		status, e.Code, e.Message = http.StatusInternalServerError, CodeInternal, "callback panicked"
		text = http.StatusText(status)
	case status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case status == http.StatusBadRequest:
		text = e.Err.Error()
	case status == http.StatusForbidden && errors.As(e.Err, &foreign): // no other error is looked into: its methods may be a callback's
		text += ": " + foreign.Error()
	}
	m.report(e)
	http.Error(w, text, status)
}
