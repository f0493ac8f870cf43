package tank

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// The WebSocket library (v1.8.15) repeats headers of a malformed handshake in full, between quotes, in what it answers and in
// the error that it returns. What follows shortens both.

// shortAnswer shortens what the WebSocket library answers to a malformed handshake: it repeats headers in full.
type shortAnswer struct{ http.ResponseWriter }

func (w shortAnswer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w shortAnswer) Write(p []byte) (int, error) {
	if _, err := w.ResponseWriter.Write([]byte(shorten(string(p)))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// shortError is an error of the WebSocket library that says the same.
type shortError struct{ error }

func (e shortError) Error() string { return shorten(e.error.Error()) }
func (e shortError) Unwrap() error { return e.error }

// shorten shortens what stands between quotes, as strconv.Quote has put it there.
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
