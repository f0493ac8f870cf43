package client

import "net"

// defaultWriteBuffer is how many bytes are joined into one write where the socket cannot gather: TLS, pipes.
const defaultWriteBuffer = 32 << 10

// output gathers what one run of the actor writes. Owned by the actor.
type output struct {
	control  []byte   // control frames, which go before data: a peer that is busy still wants its pong
	data     [][]byte // shared frames, read-only
	size     int64    // bytes of data
	messages int      // of data
}

// add gathers the frames of a batch.
func (o *output) add(frames []byte, messages int) {
	o.data = append(o.data, frames)
	o.size += int64(len(frames))
	o.messages += messages
}

// urgent gathers a control frame. RFC 6455 section 5.5 lets it overtake data.
func (o *output) urgent(frame []byte) { o.control = append(o.control, frame...) }

func (o *output) empty() bool { return len(o.data) == 0 && len(o.control) == 0 }

// keptBuffers is how many slots stay allocated between writes.
const keptBuffers = 4

func (o *output) reset() {
	clear(o.data)
	if cap(o.data) > keptBuffers {
		o.data = nil
	}
	o.control, o.data, o.size, o.messages = nil, o.data[:0], 0, 0
}

// writeTo writes everything, blocking while the peer does not read, and resets the output. A TCP connection gathers
// the pieces in one system call; for others they are copied together, up to most bytes a write.
func (o *output) writeTo(conn net.Conn, most int) (written int64, err error) {
	defer o.reset()
	switch {
	case len(o.data) == 0:
		n, err := conn.Write(o.control)
		return int64(n), err
	case len(o.data) == 1 && len(o.control) == 0:
		n, err := conn.Write(o.data[0])
		return int64(n), err
	}
	if _, ok := conn.(*net.TCPConn); ok {
		pieces := make(net.Buffers, 0, 1+len(o.data))
		pieces = append(append(pieces, o.control), o.data...)
		return pieces.WriteTo(conn)
	}
	return o.writeJoined(conn, most)
}

func (o *output) writeJoined(conn net.Conn, most int) (written int64, err error) {
	joined := o.control
	send := func() error {
		n, err := conn.Write(joined)
		written += int64(n)
		joined = joined[:0]
		return err
	}
	for _, piece := range o.data {
		if len(joined) > 0 && len(joined)+len(piece) > most {
			if err := send(); err != nil {
				return written, err
			}
		}
		joined = append(joined, piece...)
	}
	return written, send()
}
