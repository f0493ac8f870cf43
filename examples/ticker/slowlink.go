package main

import (
	"bufio"
	"net"
	"net/http"
	"slices"
	"time"
)

// A browser always reads: what arrives for a page that is busy goes to the browser's buffers, and those hold ten seconds of
// prices. To show what happens to a page that cannot keep up, its link has to be slow, and so one can be had here.

const (
	slowLink = 4 << 10 // bytes per second that a slow link lets through to the page
	segment  = 256     // bytes that come through at a time
)

// onSlowLink lets a handler believe that the page it upgrades is on a slow link.
func onSlowLink(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(slowWriter{w}, r) })
}

type slowWriter struct{ http.ResponseWriter }

func (w slowWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return slowConn{conn}, buffered, nil
}

// slowConn takes its time to write. Its deadlines, and its end, are those of the connection below: they are noticed at the next
// segment. Package tank has one goroutine at a time that writes to a connection, so segments of two writes do not mix.
type slowConn struct{ net.Conn }

func (c slowConn) Write(p []byte) (written int, err error) {
	for s := range slices.Chunk(p, segment) {
		time.Sleep(time.Duration(len(s)) * time.Second / slowLink)
		n, err := c.Conn.Write(s)
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
