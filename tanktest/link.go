package tanktest

import (
	"time"
)

// Freeze makes the client stop reading: not one byte more is taken from its connection, whose buffer (see ReadBuffer) the
// server can still fill up. It answers no pings then and does not notice when the server hangs up. What had been read before
// can be looked at. It can still send.
//
// That is also what a client looks like whose network has gone away without a word: the heartbeat is what ends it.
func (c *peer) Freeze() {
	c.pace(nil)
	c.frozen = true
	c.conn.SetReadBudget(0)
}

// Thaw makes the client read again as fast as it can.
func (c *peer) Thaw() {
	c.pace(nil)
	c.frozen = false
	c.conn.SetReadBudget(-1)
}

// ReadSlowly makes the client read so many bytes per second, evenly: a tenth of it every tenth of a second, or single bytes.
// Freeze and Thaw end it.
func (c *peer) ReadSlowly(bytesPerSecond int) {
	c.t.Helper()
	if bytesPerSecond < 1 {
		c.fail("ReadSlowly(%d): it has to be a byte per second at least; see Freeze", bytesPerSecond)
	}
	c.pace(nil)
	c.frozen = false
	c.conn.SetReadBudget(0)
	portion := max(1, bytesPerSecond/10)
	every := time.Second * time.Duration(portion) / time.Duration(bytesPerSecond)
	c.pace(func(stop <-chan struct{}) {
		clock := time.NewTicker(max(1, every))
		defer clock.Stop()
		for {
			select {
			case <-clock.C:
				c.conn.SetReadBudget(portion)
			case <-stop:
				return
			case <-c.ended:
				return
			}
		}
	})
}

// pace ends the goroutine that paces the reader, if there is one, and runs another, if there is.
func (c *peer) pace(run func(stop <-chan struct{})) {
	if c.stopPace != nil {
		c.stopPace()
		c.stopPace = nil
	}
	if run == nil {
		return
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	c.stopPace = func() {
		close(stop)
		<-stopped
	}
	go func() {
		defer close(stopped)
		run(stop)
	}()
}

// Cut ends the connection without a close frame, as when a process is killed or a cable pulled. What the client has received
// before can be looked at. It does nothing when the connection has ended.
func (c *peer) Cut() {
	c.pace(nil)
	c.cut.Store(true)
	_ = c.conn.Close()
	<-c.ended // at once: everything that the reader may wait for is the connection
}
