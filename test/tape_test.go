package test

import (
	"encoding/json"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
)

// tape is a peer that takes note of each text frame when it comes, for models that look at them later. It answers pings and close frames.
type tape struct {
	*peer
	mu     sync.Mutex
	frames []taped
	code   int // of the server's close frame; 0: none has come
	end    time.Time
}

type taped struct {
	text string
	at   time.Time
}

// record begins a tape.
func record(p *peer) *tape {
	r := &tape{peer: p}
	go r.listen()
	return r
}

func (r *tape) listen() {
	defer r.conn.Close()
	for {
		op, payload, err := r.receive()
		r.mu.Lock()
		switch {
		case err != nil && r.end.IsZero():
			r.end = time.Now()
		case op == opText && payload != "{}":
			r.frames = append(r.frames, taped{payload, time.Now()})
		case op == opClose && len(payload) > 1:
			r.code, r.end = int(payload[0])<<8|int(payload[1]), time.Now()
		}
		r.mu.Unlock()
		switch {
		case err != nil:
			return
		case op == opPing:
			r.write(frame(opPong, payload))
		case op == opClose:
			r.write(frame(opClose, payload))
		}
	}
}

// freeze has the peer read no more.
func (r *tape) freeze() { r.conn.Conn.(*memnet.Conn).SetReadBudget(0) }

// sip has a frozen peer read so many bytes.
func (r *tape) sip(bytes int) {
	r.conn.Conn.(*memnet.Conn).SetReadBudget(bytes)
	synctest.Wait()
	r.freeze()
}

// thaw has the peer read again.
func (r *tape) thaw() { r.conn.Conn.(*memnet.Conn).SetReadBudget(-1) }

// take returns the frames that have come and were not taken, when everything has come to rest.
func (r *tape) take() []taped {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	frames := r.frames
	r.frames = nil
	return frames
}

// ended returns when the connection ended, or the zero time, and with which code.
func (r *tape) ended() (at time.Time, code int) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.end, r.code
}

// said is a frame of tank.v2 that is no publication.
type said struct {
	ID uint64
	OK *struct {
		Epoch     string
		Seq, From *uint64
		Recovered *bool
		Here      *present
	}
	Error *struct{ Code string }
	Topic string
	Lost  uint64
	Seq   uint64
	Reset *struct {
		Epoch string
		Seq   uint64
	}
	End     *struct{ Code string }
	Here    *present
	Expires *int
	Msg     any
}

// present is who is there, or has come and gone.
type present struct {
	N   int
	In  map[string]json.RawMessage
	Out []string
}

// names reports whether names are told.
func (h *present) names() bool { return h.In != nil || h.Out != nil }

// without returns a list without one value.
func without[T comparable](list []T, value T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(v T) bool { return v == value })
}
