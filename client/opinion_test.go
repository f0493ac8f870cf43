package client_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/budget"
	"github.com/fanqie/tank-websocket-go-server/internal/poller"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// The frames of a peer, compared with what another implementation makes of them: github.com/coder/websocket, whose reader is not used
// otherwise.

// recorded is a connection on which a peer has sent something in pieces, and hangs up. It takes everything that is sent to the peer.
type recorded struct {
	net.Conn // nil
	sent     []byte
	piece    int   // bytes that a read gets at most
	end      error // what a read gets behind them
}

func (r *recorded) Read(p []byte) (int, error) {
	if len(r.sent) == 0 {
		return 0, r.end
	}
	n := copy(p, r.sent[:min(r.piece, len(r.sent))])
	r.sent = r.sent[n:]
	return n, nil
}

func (r *recorded) Write(p []byte) (int, error)      { return len(p), nil }
func (r *recorded) Close() error                     { return nil }
func (r *recorded) SetDeadline(time.Time) error      { return nil }
func (r *recorded) SetReadDeadline(time.Time) error  { return nil }
func (r *recorded) SetWriteDeadline(time.Time) error { return nil }
func (r *recorded) RemoteAddr() net.Addr             { return nil }

// hijacked is a response writer whose connection is there to be hijacked.
type hijacked struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

func upgradeRequest() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": wstest.Key,
	} {
		r.Header.Set(name, value)
	}
	return r
}

// heard is what was made of a peer's frames.
type heard struct {
	messages []string
	end      string // why there are no more
}

// The ends beside the peer's close frame.
const (
	hungUp      = "hung up"
	badProtocol = "protocol error"
	badText     = "not UTF-8"
	tooBig      = "too big"
)

func closed(code int) string { return fmt.Sprint("closed with ", code) }

func message(binary bool, data []byte) string { return fmt.Sprint(binary, " ", string(data)) }

// listener is the owner of a client.
type listener struct {
	heard
	fault *client.Fault
	gone  chan struct{}
	done  chan struct{}
}

func (l *listener) Received(data []byte, binary bool) {
	l.messages = append(l.messages, message(binary, data))
}
func (l *listener) Failed(kind client.Fault, _ error) { l.fault = &kind }
func (l *listener) CloseBegun()                       {}
func (l *listener) ReaderDone()                       { close(l.done) }
func (l *listener) Paused()                           {}

func (l *listener) Gone(code int, _ string) {
	switch {
	case l.fault == nil:
		l.end = closed(code)
	case code == 1009:
		l.end = tooBig
	case code == 1007:
		l.end = badText
	case code == 1002:
		l.end = badProtocol
	case code == 1006 && *l.fault == client.ReadFault:
		l.end = hungUp
	default:
		l.end = fmt.Sprint("closed with ", code, " after fault ", *l.fault)
	}
	close(l.gone)
}

const opinionLimit = 1 << 20

// ours is what a client makes of frames that come in pieces.
func ours(sent []byte, piece int) heard {
	conn := &recorded{sent: sent, piece: piece, end: io.EOF}
	upgraded, err := client.Upgrade(hijacked{httptest.NewRecorder(), conn}, upgradeRequest(), client.UpgradeOptions{})
	if err != nil {
		panic(err)
	}
	return listen(upgraded, nil)
}

func listen(conn *client.Conn, p *poller.Poller) heard {
	l := &listener{gone: make(chan struct{}), done: make(chan struct{})}
	opts := &client.Options{Poller: p, OutboxBytes: 1 << 20, MessageBytes: opinionLimit, CloseTimeout: time.Minute, Counters: &client.Counters{}, Budget: budget.New(0, nil)}
	client.New(conn, opts, l).Read(nil)
	<-l.gone
	<-l.done
	return l.heard
}

// theirs is what the other implementation makes of frames, and the part of a text that was under way at the end.
func theirs(sent []byte) (h heard, part []byte) {
	conn := &recorded{sent: sent, piece: len(sent), end: io.ErrUnexpectedEOF} // it takes io.EOF for the end of a message
	c, err := websocket.Accept(hijacked{httptest.NewRecorder(), conn}, upgradeRequest(), nil)
	if err != nil {
		panic(err)
	}
	defer c.CloseNow()
	c.SetReadLimit(-1)
	for {
		kind, r, err := c.Reader(context.Background())
		var data []byte
		if err == nil {
			data, err = io.ReadAll(iotest.OneByteReader(r)) // else a part that was read would be lost
		}
		switch text := kind == websocket.MessageText; {
		case err == nil && text && !utf8.Valid(data):
			h.end = badText
		case err == nil:
			h.messages = append(h.messages, message(!text, data))
			continue
		default:
			h.end = theirEnd(err)
			if text {
				part = data
			}
		}
		return h, part
	}
}

func theirEnd(err error) string {
	var peer websocket.CloseError
	switch {
	case errors.As(err, &peer) && !utf8.ValidString(peer.Reason):
		return badText
	case errors.As(err, &peer):
		return closed(int(peer.Code))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return hungUp
	}
	return badProtocol
}

// compare returns in what the opinions differ, or "". A bad frame, text that is not UTF-8, and a message that is too big, may be noticed
// before they end.
func compare(sent []byte, got heard) string {
	want, part := theirs(sent)
	if got.end == badProtocol && want.end == hungUp || got.end == hungUp && want.end == badProtocol { // one has not waited for all of a header
		sent = append(bytes.Clone(sent), make([]byte, 12)...)
		got = ours(bytes.Clone(sent), len(sent))
		want, part = theirs(sent)
	}
	early := got.end == badText && doomed(part) || got.end == tooBig && want.end == hungUp
	if !slices.Equal(got.messages, want.messages) || got.end != want.end && !early {
		return fmt.Sprintf("frames %.200x: got %d messages %.300q, and then %s; want %d messages %.300q, and then %s",
			sent, len(got.messages), got.messages, got.end, len(want.messages), want.messages, want.end)
	}
	return ""
}

// doomed reports whether no text begins so.
func doomed(part []byte) bool {
	for len(part) > 0 && utf8.FullRune(part) {
		r, size := utf8.DecodeRune(part)
		if r == utf8.RuneError && size == 1 {
			return true
		}
		part = part[size:]
	}
	return false
}

// anyFrames draws what a peer may send: mostly what is right, and now and then something that is not.
func anyFrames() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		var sent []byte
		open := false
		for range rapid.IntRange(0, 12).Draw(t, "frames") {
			op := rapid.SampledFrom([]byte{wstest.Text, wstest.Text, wstest.Binary, wstest.Ping, wstest.Pong}).Draw(t, "opcode")
			fin := rapid.IntRange(0, 2).Draw(t, "fin") > 0
			if control := op >= wstest.Close; control {
				fin = true
			} else {
				if open {
					op = wstest.Continuation
				}
				open = !fin
			}
			payload := rapid.OneOf(
				rapid.SampledFrom([]string{"", "hello", "字", "\xe5", "\xad\x97", "\xff", "añ字𝄞"}),
				rapid.Map(rapid.IntRange(0, 300), func(n int) string { return string(bytes.Repeat([]byte("x"), n)) }),
			).Draw(t, "payload")
			if op < wstest.Close && rapid.IntRange(0, 9).Draw(t, "long") == 0 {
				payload = string(bytes.Repeat([]byte("字"), rapid.IntRange(100, 5000).Draw(t, "characters")))
			}
			first := op
			if fin {
				first |= wstest.Fin
			}
			key := [4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "key"))
			sent = append(sent, wstest.AppendFrame(nil, first, key, payload)...)
		}
		switch rapid.IntRange(0, 3).Draw(t, "end") {
		case 0:
			code := rapid.SampledFrom([]int{1000, 1001, 1004, 1005, 1014, 1015, 2999, 3000, 4999, 5000}).Draw(t, "code")
			reason := rapid.SampledFrom([]string{"", "bye", "\xff", "字"}).Draw(t, "reason")
			sent = append(sent, wstest.Masked(wstest.Fin|wstest.Close, wstest.ClosePayload(code, reason))...)
		case 1:
			sent = append(sent, wstest.Masked(rapid.Byte().Draw(t, "first byte"), "hello")...)
		case 2:
			if len(sent) > 0 {
				sent[rapid.IntRange(0, len(sent)-1).Draw(t, "changed")] ^= rapid.Byte().Draw(t, "by")
			}
		}
		return sent
	})
}

func TestFramesAgreeWithASecondOpinion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := anyFrames().Draw(t, "sent")
		piece := rapid.SampledFrom([]int{1, 2, 3, 7, 139, 512, 4096, 1 << 20}).Draw(t, "piece")
		if problem := compare(sent, ours(bytes.Clone(sent), piece)); problem != "" {
			t.Fatal(problem)
		}
	})
}

// idling is a connection of middleware of which some reads return nothing, and no error, as io.Reader allows.
type idling struct {
	*recorded
	idle  int // reads that do before each other one; negative: all
	since int
}

func (i *idling) Read(p []byte) (int, error) {
	if i.since++; i.idle < 0 || i.since <= i.idle {
		return 0, nil
	}
	i.since = 0
	return i.recorded.Read(p)
}

func TestReadsThatReturnNothing(t *testing.T) {
	sent := append(wstest.Masked(wstest.Fin|wstest.Text, "hello"), wstest.Masked(wstest.Fin|wstest.Close, wstest.ClosePayload(1000, ""))...)
	for _, test := range []struct {
		idle     int
		messages []string
		end      string
	}{
		{1, []string{"false hello"}, closed(1000)},
		{99, []string{"false hello"}, closed(1000)},
		{-1, nil, hungUp},
	} {
		conn := &idling{recorded: &recorded{sent: bytes.Clone(sent), piece: 3, end: io.EOF}, idle: test.idle}
		upgraded, err := client.Upgrade(hijacked{httptest.NewRecorder(), conn}, upgradeRequest(), client.UpgradeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := listen(upgraded, nil); !slices.Equal(got.messages, test.messages) || got.end != test.end {
			t.Errorf("%d empty reads before each other: got %q, and then %s; want %q, and then %s", test.idle, got.messages, got.end, test.messages, test.end)
		}
	}
}

// TestFramesOverSocketsAgreeWithASecondOpinion is the same where the connection has no buffer of its own.
func TestFramesOverSocketsAgreeWithASecondOpinion(t *testing.T) {
	eachWay(t, testFramesOverSocketsAgreeWithASecondOpinion)
}

func testFramesOverSocketsAgreeWithASecondOpinion(t *testing.T, p *poller.Poller) {
	addr, upgraded := upgrades(t)
	rapid.Check(t, func(t *rapid.T) {
		sent := anyFrames().Draw(t, "sent")
		piece := rapid.SampledFrom([]int{1, 3, 139, 4095, 4096, 4097, 1 << 20}).Draw(t, "piece")
		piece = max(piece, len(sent)/300)
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() {
			if err := writeHandshake(conn); err != nil {
				return
			}
			for rest := sent; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
				conn.Write(rest[:min(piece, len(rest))])
			}
			conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, conn)
		}()
		if problem := compare(sent, listen(<-upgraded, p)); problem != "" {
			t.Fatal(problem)
		}
	})
}

func writeHandshake(conn net.Conn) error {
	r := upgradeRequest()
	r.URL.Scheme, r.URL.Host, r.RequestURI = "http", "example.test", ""
	return r.Write(conn)
}

func FuzzFrames(f *testing.F) {
	for _, sent := range [][]byte{
		wstest.Masked(wstest.Fin|wstest.Text, "hello"),
		append(wstest.Masked(wstest.Text, "\xe5"), wstest.Masked(wstest.Fin|wstest.Continuation, "\xad\x97")...),
		append(wstest.Masked(wstest.Binary, "a"), wstest.Masked(wstest.Fin|wstest.Ping, "b")...),
		wstest.Masked(wstest.Fin|wstest.Close, wstest.ClosePayload(1000, "bye")),
		{0x89, 0xFE, 0, 5, 1, 2, 3, 4, 'h', 'e', 'l', 'l', 'o'},
		{0x8A, 0xFF, 0, 0, 0, 0, 0, 0, 0, 126, 1, 2, 3, 4},
		{0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4},
		append(wstest.Masked(wstest.Text, "a"), 0xC9, 0x80, 1, 2, 3, 4),
	} {
		f.Add(sent, uint16(1))
		f.Add(sent, uint16(512))
	}
	f.Fuzz(func(t *testing.T, sent []byte, piece uint16) {
		if len(sent) > 64<<10 {
			return
		}
		if problem := compare(sent, ours(bytes.Clone(sent), int(piece)+1)); problem != "" {
			t.Fatal(problem)
		}
	})
}
