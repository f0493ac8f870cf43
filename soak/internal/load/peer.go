package load

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
	"github.com/fanqie/tank-websocket-go-server/soak/internal/ws"
)

// peer is a connection and what it receives.
type peer struct {
	*ws.Conn
	*inbox
	mute bool // answers neither pings nor the close frame, as if the way to the server were cut

	writing sync.Mutex // held by whoever is in the middle of a frame

	forget func() bool // that the connection is to be closed when the server has ended

	over chan struct{} // closed when reading has ended
	code int           // of the close frame that came; 0: none. Read after over.
}

// connect dials as a user.
func (r *run) connect(user string, buffer int) (*peer, error) {
	n := r.connections.Add(1)
	conn, err := ws.Dial(r.until, r.server.Address, "user="+url.QueryEscape(user), buffer)
	if err != nil {
		return nil, err
	}
	p := &peer{Conn: conn, inbox: newInbox(fmt.Sprint("c", n), r.tally), over: make(chan struct{})}
	p.forget = context.AfterFunc(r.until, func() { conn.Close() })
	return p, nil
}

// Close ends the connection without a word.
func (p *peer) Close() error {
	p.forget()
	return p.Conn.Close()
}

// read takes all that comes, until the connection ends. It must be called once.
func (p *peer) read() {
	defer close(p.over)
	defer p.Close()
	for {
		f, err := p.Receive()
		if errors.Is(err, wstest.ErrProtocol) {
			p.tally.Other("%s: %v", p.who, err)
		}
		if err != nil {
			return
		}
		if p.code != 0 {
			p.tally.Other("%s: opcode %d came behind the close frame", p.who, f.Opcode())
		}
		switch f.Opcode() {
		case wstest.Text:
			p.text(f.Payload)
		case wstest.Binary:
			p.binary(f.Payload)
		case wstest.Ping:
			p.answer(wstest.Pong, f.Payload)
		case wstest.Close:
			p.code = f.CloseCode()
			p.answer(wstest.Close, f.Payload)
		}
	}
}

// answer sends a control frame, unless somebody is in the middle of another frame: one that stalls may never end.
func (p *peer) answer(op byte, payload []byte) {
	if !p.mute && p.writing.TryLock() {
		defer p.writing.Unlock()
		p.Send(op, string(payload))
	}
}
