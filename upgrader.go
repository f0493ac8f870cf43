package tank

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Upgrader configures how requests become connections. The zero value works; the fields are those that users of
// gorilla/websocket know.
type Upgrader struct {
	// ReadBufferSize is the size in bytes of each connection's read buffer. It does not limit messages. Default 512, and 139
	// at least; a plain TCP or Unix socket on Unix has none, and takes one of 4 KiB from a pool when something arrives.
	ReadBufferSize int
	// WriteBufferSize is the size in bytes of one write, where the socket cannot write several buffers at once, as with TLS. It
	// does not limit messages, and uses no memory while nothing is written. Default 16 KiB, one TLS record.
	WriteBufferSize int
	// CheckOrigin decides whether a request may connect, instead of the default: no Origin header (not a browser), or
	// the request's own scheme, host and port. The scheme is https for TLS or when a proxy says https or wss in
	// X-Forwarded-Proto. It runs in the request's goroutine.
	CheckOrigin func(r *http.Request) bool
	// Subprotocols are the subprotocols of the server, in order of preference. Those of WithProtocols come before them.
	Subprotocols []string
	// EnableCompression accepts permessage-deflate (RFC 7692, without context takeover) from clients that offer it, as
	// all browsers do. A topic compresses each message once for all of them. See WithCompression for the level.
	EnableCompression bool
}

// defaultUpgrader is for instances without one of their own.
var defaultUpgrader atomic.Pointer[Upgrader]

// SetCustomUpgrader sets the upgrader of all instances that were made without WithUpgrader, for requests to come.
// It panics when a field makes no sense.
func SetCustomUpgrader(u Upgrader) {
	u.check("SetCustomUpgrader")
	u.Subprotocols = slices.Clone(u.Subprotocols)
	defaultUpgrader.Store(&u)
}

func (u *Upgrader) check(option string) {
	require(u.ReadBufferSize >= 0, option, "ReadBufferSize %d is negative", u.ReadBufferSize)
	require(u.WriteBufferSize >= 0, option, "WriteBufferSize %d is negative", u.WriteBufferSize)
	for _, p := range u.Subprotocols {
		isToken := p != "" && !strings.ContainsAny(p, " \t\r\n,;\"\\/[]?={}()<>@:")
		require(isToken, option, "subprotocol %q is not a token (RFC 6455, section 4.1)", p)
	}
}

// checkOrigin returns why the request's origin is not welcome, or nil. See RFC 6455 section 10.2.
func (u *Upgrader) checkOrigin(r *http.Request) error {
	if u.CheckOrigin != nil {
		if !u.CheckOrigin(r) {
			return fmt.Errorf("%w: CheckOrigin refused origin %s", ErrForbidden, wire.Quote(r.Header.Get("Origin")))
		}
		return nil
	}
	if err := checkSameOrigin(r); err != nil {
		return advise(fmt.Errorf("%w: %w", ErrForbidden, err), adviceOrigin)
	}
	return nil
}

// foreignOrigin is why the default check refuses a request. It says nothing that the client does not know, so the client is told.
type foreignOrigin string

func (e foreignOrigin) Error() string { return string(e) }

// checkSameOrigin is the default check. Its error is a foreignOrigin.
func checkSameOrigin(r *http.Request) error {
	origin := r.Header.Get("Origin")
	switch n := len(r.Header.Values("Origin")); {
	case n == 0:
		return nil
	case n > 1:
		return foreignOrigin(fmt.Sprintf("there are %d origins, the first %s", n, wire.Quote(origin)))
	}
	parsed, err := url.Parse(origin)
	scheme := requestScheme(r)
	switch {
	case err != nil, parsed.Host == "", parsed.User != nil, parsed.Path != "", parsed.RawQuery != "", parsed.Fragment != "":
		return foreignOrigin(fmt.Sprintf("origin %s is not of the form scheme://host", wire.Quote(origin)))
	case !strings.EqualFold(parsed.Scheme, scheme), !strings.EqualFold(hostPort(parsed.Host, scheme), hostPort(r.Host, scheme)):
		return foreignOrigin(fmt.Sprintf("origin %s is not %s", wire.Quote(origin), wire.Quote(scheme+"://"+r.Host)))
	}
	return nil
}

// requestScheme tells how the browser sees this request: as http or https, which some proxies call ws and wss when it is to
// become a WebSocket connection. A browser's page cannot set X-Forwarded-Proto on a WebSocket handshake, so only a proxy can
// have done so; other clients can claim any origin anyway.
func requestScheme(r *http.Request) string {
	outermost, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",") // of several proxies
	outermost = strings.ToLower(strings.TrimSpace(outermost))
	if r.TLS != nil || outermost == "https" || outermost == "wss" {
		return "https"
	}
	return "http"
}

// hostPort adds the scheme's default port, which a browser leaves out and others may not. An empty port stands for it, too
// (RFC 3986, section 3.2.3).
func hostPort(host, scheme string) string {
	if _, port, err := net.SplitHostPort(host); err == nil && port != "" {
		return host
	}
	host = strings.TrimSuffix(host, ":")
	if scheme == "https" {
		return host + ":443"
	}
	return host + ":80"
}
