package ws

import (
	"net"
	"time"
)

// Slow makes the connection read no more than size bytes at a time, and no more often than every pause, until some time has
// passed. It must be called before anything is read.
func (c *Conn) Slow(size int, pause, until time.Duration) {
	c.R.Reset(slowReader{c.Conn.Conn, size, pause, time.Now().Add(until)})
}

type slowReader struct {
	net.Conn
	size  int
	pause time.Duration
	until time.Time
}

func (r slowReader) Read(b []byte) (int, error) {
	if time.Now().Before(r.until) {
		time.Sleep(r.pause)
		b = b[:min(len(b), r.size)]
	}
	return r.Conn.Read(b)
}
