package suite

import (
	"bytes"
	"fmt"
	"net"
	"time"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/recovery"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// single is one client that reads everything that it gets.
type single struct {
	*wstest.Conn
	dialect dialect
	pending [][]byte // messages of the last frame
}

const (
	singleTime   = 20 * time.Second // bounds what a single client does
	singleBuffer = 64 << 10         // bytes read at once
)

// single connects one client.
func (b *bench) single() (*single, error) {
	conn, err := net.Dial("tcp", b.Subscribers)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(singleTime)); err != nil {
		return nil, err
	}
	header := ""
	if b.dialect.subprotocol != "" {
		header = "Sec-WebSocket-Protocol: " + b.dialect.subprotocol + "\r\n"
	}
	s := &single{Conn: wstest.NewConn(conn, singleBuffer), dialect: b.dialect}
	err = s.Upgrade(wstest.Handshake{Target: "/ws", Host: b.Subscribers, Header: header})
	if err == nil && b.dialect.hello != "" {
		err = s.say(b.dialect.hello)
	}
	if err == nil && (b.dialect.hello != "" || b.dialect.greeted) {
		_, err = s.message()
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *single) say(text string) error {
	_, err := s.Write(wstest.Masked(wstest.Fin|wstest.Text, text))
	return err
}

// message returns the next message.
func (s *single) message() ([]byte, error) {
	for len(s.pending) == 0 {
		f, err := s.ReadFrame()
		switch {
		case err != nil:
			return nil, err
		case f.Opcode() == wstest.Close:
			return nil, fmt.Errorf("closed by the server: %d", f.CloseCode())
		case f.Opcode() != wstest.Text, s.dialect.beats && string(f.Payload) == "{}":
		case s.dialect.lines:
			s.pending = bytes.Split(f.Payload, []byte("\n"))
		default:
			s.pending = [][]byte{f.Payload}
		}
	}
	m := s.pending[0]
	s.pending = s.pending[1:]
	return m, nil
}

// resumeOnce has a new connection resume, and returns how long that took from its command on.
func (b *bench) resumeOnce(missed recovery.Missed, a recovery.Answer, r *resumption) (time.Duration, error) {
	s, err := b.single()
	if err != nil {
		return 0, err
	}
	defer s.Close()
	start := time.Now()
	if err := s.say(r.command(2, missed.Topic, missed.Since)); err != nil {
		return 0, err
	}
	for !a.Done() {
		m, err := s.message()
		if err != nil {
			return 0, err
		}
		if err := a.Message(m); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}
