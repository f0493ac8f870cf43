package client

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// What an opening handshake is answered: 101 by accept, everything else by refuse.

// unfit are the headers of middleware that the answer does not take over: what is about a body, what is about the connection,
// and what is the handshake's to say.
var unfit = map[string]bool{
	"Content-Encoding":  true,
	"Content-Length":    true,
	"Content-Range":     true,
	"Content-Type":      true,
	"Trailer":           true,
	"Transfer-Encoding": true,

	"Connection":       true,
	"Keep-Alive":       true,
	"Proxy-Connection": true,
	"Upgrade":          true,

	"Sec-Websocket-Accept":     true,
	"Sec-Websocket-Extensions": true,
	"Sec-Websocket-Protocol":   true,
	"Sec-Websocket-Version":    true,
}

// accept writes the answer that makes the request a connection, RFC 6455 section 4.2.2, as one write. It blocks while the peer
// does not take it, for the write timeout at most.
func (h *hijacker) accept() error {
	p := h.offersV2()
	h.conn.v2 = p != ""
	if p == "" {
		p = negotiateSubprotocol(h.r, h.opts.Subprotocols)
	}
	if p != "" {
		h.header.Set("Sec-WebSocket-Protocol", p)
	}
	if h.opts.Compression {
		if extension := negotiateDeflate(h.r); extension != "" {
			h.header.Set("Sec-WebSocket-Extensions", extension)
			h.conn.deflate = true
		}
	}
	header := make(http.Header)
	for key, values := range h.w.Header() {
		if key = textproto.CanonicalMIMEHeaderKey(key); !unfit[key] {
			header[key] = append(header[key], values...)
		}
	}
	maps.Copy(header, h.header)
	answer := bytes.NewBufferString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = header.Write(answer) // which leaves out what is no header
	answer.WriteString("\r\n")

	raw := h.conn.raw
	if err := raw.SetWriteDeadline(time.Now().Add(cmp.Or(h.opts.WriteTimeout, defaultAnswerTimeout))); err != nil {
		return err
	}
	for answer.Len() > 0 { // middleware may take it in parts
		n, err := raw.Write(answer.Bytes())
		if err == nil && n == 0 {
			err = io.ErrNoProgress
		}
		if err != nil {
			return fmt.Errorf("answering the handshake: %w", err)
		}
		answer.Next(n)
	}
	return raw.SetWriteDeadline(time.Time{})
}

// refuse ends a handshake that the library has returned an error for, and returns why.
func (h *hijacker) refuse() error {
	if h.conn.raw != nil { // the server does not answer on a hijacked connection
		_ = h.conn.raw.Close()
		return h.failed
	}
	status, text, err := h.refusal()
	header := h.w.Header()
	if v := h.header.Get("Sec-WebSocket-Version"); v != "" {
		header.Set("Sec-WebSocket-Version", v)
	}
	switch {
	case status == http.StatusMethodNotAllowed:
		header.Set("Allow", http.MethodGet)
	case status == http.StatusUpgradeRequired && h.r.ProtoMajor == 1: // HTTP/2 has no such headers, RFC 9113 section 8.2.2
		header.Set("Connection", "Upgrade")
		header.Set("Upgrade", "websocket")
	}
	http.Error(h.w, text, status)
	return err
}

// refusal returns the answer to a request that does not become a connection, and why it does not.
func (h *hijacker) refusal() (status int, text string, err error) {
	var bad *badRequest
	switch {
	case errors.As(h.failed, &bad):
		return http.StatusBadRequest, bad.Error(), bad
	case errors.Is(h.failed, http.ErrNotSupported):
		return http.StatusNotImplemented, http.StatusText(http.StatusNotImplemented), h.failed
	case h.failed != nil:
		return http.StatusInternalServerError, http.StatusText(http.StatusInternalServerError), h.failed
	}
	status, text = h.status, shorten(strings.TrimSpace(h.text.String()))
	if v := versions(h.r); status == http.StatusBadRequest && len(v) == 1 && v[0] != version {
		status = http.StatusUpgradeRequired // RFC 6455, section 4.2.2
	}
	return status, text, errors.New(text)
}

// badRequest is something wrong with a handshake that the library lets pass.
type badRequest struct{ what string }

func (e *badRequest) Error() string { return "WebSocket protocol violation: " + e.what }

// version is that of RFC 6455, and the only one.
const version = "13"

// versions returns what the client calls the versions that it speaks. It has to name one, RFC 6455 section 4.1.
func versions(r *http.Request) []string {
	var all []string
	for _, header := range r.Header.Values("Sec-WebSocket-Version") {
		for v := range strings.SplitSeq(header, ",") {
			all = append(all, strings.TrimSpace(v))
		}
	}
	return all
}

// offersV2 returns the client's spelling of tank.v2, if it is to be spoken, or "".
func (h *hijacker) offersV2() string {
	if h.opts.V2 == V2Never {
		return ""
	}
	return negotiateSubprotocol(h.r, []string{wire.Subprotocol2})
}

// check looks for what the library lets pass.
func (h *hijacker) check() error {
	switch {
	case h.opts.V2 == V2Required && h.offersV2() == "":
		return &badRequest{"the handshake does not offer the subprotocol " + wire.Subprotocol2}
	case len(versions(h.r)) > 1:
		h.header.Set("Sec-WebSocket-Version", version)
		return &badRequest{"Sec-WebSocket-Version names several versions"}
	case h.r.ContentLength != 0 || len(h.r.TransferEncoding) > 0: // what follows would be taken for frames
		return &badRequest{"the handshake request has a body"}
	}
	return nil
}

// shorten shortens what stands between quotes in a text of the WebSocket library (v1.8.15), which repeats the headers of a
// malformed handshake in full, quoted by strconv.Quote.
func shorten(text string) string {
	first, last := strings.IndexByte(text, '"'), strings.LastIndexByte(text, '"')
	if first < 0 {
		return text
	}
	quoted, err := strconv.Unquote(text[first : last+1])
	if err != nil { // there are several
		return wire.Clean(text)
	}
	return text[:first] + wire.Quote(quoted) + text[last+1:]
}
