package tanktest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// DialOption varies an opening handshake.
type DialOption func(*handshake)

type handshake struct {
	header http.Header
	query  []string // parts that are added to the path's
	remote *string  // the address of RemoteAddr; nil without one
	buffer int
}

// Header adds a header to the request, such as Cookie, Authorization or Origin. Without it, there is no Origin, as from
// programs that are not browsers; compression is offered as browsers do, unless Sec-WebSocket-Extensions is given.
func Header(key, value string) DialOption {
	return func(h *handshake) { h.header.Add(key, value) }
}

// User adds the query parameter user_id to the path, which names the user of an instance without an authenticator.
func User(name string) DialOption {
	return func(h *handshake) { h.query = append(h.query, "user_id="+url.QueryEscape(name)) }
}

// Token adds the header Authorization with a bearer token (RFC 6750, section 2.1), as programs send it that are not browsers. A page
// offers its token as a subprotocol: Subprotocols("bearer." + token).
func Token(token string) DialOption { return Header("Authorization", "Bearer "+token) }

// RemoteAddr is what the handler sees as http.Request.RemoteAddr, such as "198.51.100.7:4711". Several clients can have the same.
// Without it, each client has an address of its own, of those that RFC 5737 keeps free for documentation.
func RemoteAddr(addr string) DialOption {
	return func(h *handshake) { h.remote = &addr }
}

// Subprotocols are what the client offers to speak. What the server has chosen is in the header Sec-WebSocket-Protocol of
// Client.Response.
func Subprotocols(names ...string) DialOption {
	return Header("Sec-WebSocket-Protocol", strings.Join(names, ", "))
}

// ReadBuffer is how many bytes the server can write to the client's connection before the client reads: what a network takes
// of its own accord. It is 64 KiB if it is not given. A client that is frozen fills it up at exactly that byte.
func ReadBuffer(bytes int) DialOption {
	return func(h *handshake) { h.buffer = bytes }
}

// Dial connects a WebSocket client. The path begins with a slash, and may have a query: "/ws?user_id=ann". It returns when
// the instance knows of the connection, and fails the test when the server refuses it. The client is cut when the test ends.
func (s *Server) Dial(path string, opts ...DialOption) *Client {
	s.t.Helper()
	in := newInbox()
	c := &Client{peer{s: s, t: s.t, inbox: in}}
	s.connect(dialing{verb: "Dial", path: path, opts: opts, peer: &c.peer, protocol: plain{in}})
	return c
}

// connect does a handshake that has to succeed.
func (s *Server) connect(d dialing) {
	s.t.Helper()
	if answer, ok := s.handshake(d); !ok {
		s.t.Fatalf("tanktest: %s %s: the server refused with %s: %s", d.verb, quote(d.path), answer.Status, quote(body(answer)))
	}
}

// DialRefused is Dial for a connection that the server has to refuse. It returns the answer, whose body has been read and
// need not be closed, and fails the test when the server takes the connection.
func (s *Server) DialRefused(path string, opts ...DialOption) *http.Response {
	s.t.Helper()
	c := &peer{s: s, t: s.t, inbox: newInbox()}
	answer, ok := s.handshake(dialing{verb: "DialRefused", path: path, opts: opts, peer: c, protocol: plain{c.inbox}})
	if ok {
		s.t.Fatalf("tanktest: DialRefused %s: the server took the connection", quote(path))
	}
	return answer
}

// body returns what a handshake was answered with, and leaves it to be read.
func body(answer *http.Response) string {
	data, _ := io.ReadAll(answer.Body) // which is in memory
	answer.Body = io.NopCloser(bytes.NewReader(data))
	return strings.TrimSpace(string(data))
}

// dialing is an attempt to connect.
type dialing struct {
	verb, path string // in failure messages
	opts       []DialOption
	peer       *peer // whose connection it becomes
	protocol   protocol
}

// handshake does the opening handshake of RFC 6455, section 4.1. It reports false when the server refuses.
func (s *Server) handshake(d dialing) (answer *http.Response, ok bool) {
	s.t.Helper()
	h := handshake{header: http.Header{}, buffer: defaultBuffer}
	fail := func(format string, args ...any) {
		s.t.Helper()
		s.t.Fatalf("tanktest: %s %s: %s", d.verb, quote(d.path), fmt.Sprintf(format, args...))
	}
	for i, opt := range d.opts {
		if opt == nil {
			fail("option %d is nil", i+1)
		}
		opt(&h)
	}
	path := h.target(d.path)
	request, err := h.request(s.URL, path)
	if err != nil {
		fail("%v", err)
	}
	conn, err := s.listener.Dial(h.buffer)
	if err != nil {
		fail("the server has ended")
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(s.Patience))
	r := bufio.NewReader(conn)
	err = request.Write(conn)
	if err == nil {
		answer, err = http.ReadResponse(r, request)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		fail("no answer within %v", s.Patience)
	case err != nil:
		fail("no answer: %v", err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		keepBody(answer)
		_ = conn.Close()
		return answer, false
	}
	if got := answer.Header.Get("Sec-WebSocket-Accept"); got != wstest.Accept {
		fail("this is no WebSocket handshake: the answer has Sec-WebSocket-Accept %s", quote(got))
	}
	_ = conn.SetDeadline(time.Time{})
	s.connected(d, path, conn, r, answer)
	d.peer.handle = s.find(conn.LocalAddr().String(), h.remote)
	return answer, true
}

// target returns the path with what options add to its query.
func (h handshake) target(path string) string {
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	for _, part := range h.query {
		path += separator + part
		separator = "&"
	}
	return path
}

// request returns the request for a handshake.
func (h handshake) request(server, path string) (*http.Request, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, errors.New("a path begins with a slash")
	}
	if h.buffer < 1 {
		return nil, fmt.Errorf("ReadBuffer(%d): it has to have a byte at least", h.buffer)
	}
	if h.remote != nil && *h.remote == "" {
		return nil, errors.New(`RemoteAddr(""): an address is not empty`)
	}
	request, err := http.NewRequest(http.MethodGet, server+path, nil)
	if err != nil {
		return nil, err
	}
	if h.remote != nil {
		h.header.Set(remoteAddrHeader, *h.remote)
	}
	if host := h.header.Get("Host"); host != "" {
		request.Host = host
	}
	request.Header = h.header
	wstest.SetHeader(h.header)
	if len(h.header.Values("Sec-WebSocket-Extensions")) == 0 {
		h.header.Set("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
	}
	return request, nil
}

// keepBody reads the body of an answer, as far as it comes.
func keepBody(answer *http.Response) {
	data, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	answer.Body = io.NopCloser(bytes.NewReader(data))
}

// connected gives the peer its connection.
func (s *Server) connected(d dialing, path string, conn *memnet.Conn, r *bufio.Reader, answer *http.Response) {
	s.t.Helper()
	if d.peer.name == "" {
		s.dialed++
		d.peer.name = fmt.Sprintf("client %d (%s)", s.dialed, path)
	}
	c := &connection{
		conn:     conn,
		answer:   answer,
		deflate:  strings.HasPrefix(answer.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate"),
		protocol: d.protocol,
		writing:  make(chan struct{}, 1),
		ended:    make(chan struct{}),
	}
	d.peer.connection = c
	c.writing <- struct{}{}
	go c.read(r)
	s.t.Cleanup(d.peer.hangUp)
	// The answer comes before the instance knows of the connection. Who reads frames does; this one is not answered, and has
	// no meaning (RFC 6455, section 5.5.3).
	if err := c.write(encode(wstest.Pong, "")); err == nil {
		err = conn.AwaitPeer(s.Patience)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			d.peer.fail("%s: the server answered the handshake, but does not read", d.verb)
		}
	}
}

// find returns the instance's view of the client that has just been dialed; nil when it has left already. It has the address of
// its connection, which no other has; or that of RemoteAddr, and then it is the one that has not been found before.
func (s *Server) find(addr string, remote *string) *tank.Client {
	for _, m := range s.managers {
		for _, c := range m.GetAllClients() {
			if c.RemoteAddr() == addr || remote != nil && c.RemoteAddr() == *remote && !s.found[c] {
				s.found[c] = true
				return c
			}
		}
	}
	return nil
}
