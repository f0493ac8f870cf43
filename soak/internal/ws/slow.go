package ws

import (
	"net"
	"time"
)

// Slow makes the connection read no more than size bytes at a time, and no more often than every pause. It must be called
// before anything is read.
func (c *Conn) Slow(size int, pause time.Duration) {
	c.r.Reset(slowReader{c.Conn, size, pause})
}

type slowReader struct {
	net.Conn
	size  int
	pause time.Duration
}

func (r slowReader) Read(b []byte) (int, error) {
	time.Sleep(r.pause)
	return r.Conn.Read(b[:min(len(b), r.size)])
}
