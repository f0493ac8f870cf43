package load

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// serve is a server that sends the same bytes to every client once that has said something.
func serve(t *testing.T, header string, frames []byte) string {
	t.Helper()
	return serveGreeted(t, header, nil, frames)
}

// serveGreeted is serve with a greeting behind the handshake.
func serveGreeted(t *testing.T, header string, greeting, frames []byte) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				r := bufio.NewReader(conn)
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
				fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: %s\r\n%s\r\n%s", wstest.Accept, header, greeting)
				go func() { // as if published once the client has said something
					head := make([]byte, 6)
					if _, err := r.Read(head); err == nil {
						_, _ = conn.Write(frames)
					}
				}()
			}()
		}
	}()
	return listener.Addr().String()
}

// run has three clients get the frames and verifies that each has that many messages.
func run(t *testing.T, extension string, frames []byte, messages int64) error {
	t.Helper()
	opts := Options{Addr: serve(t, extension, frames), Clients: 3, Compress: extension != ""}
	f, err := Dial(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	checker, err := payload.NewChecker(payload.Plain(64))
	if err != nil {
		t.Fatal(err)
	}
	f.Arm(3*messages, &Sample{Every: 2, Payload: checker, Topic: func(int) string { return "news" }})
	for i := range 3 {
		if err := f.Send(i, "go"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f.Verify(func(int) int64 { return messages })
}

func message(t *testing.T, topic string, sequence int) []byte {
	t.Helper()
	s, err := payload.NewStamper(payload.Plain(64), 0)
	if err != nil {
		t.Fatal(err)
	}
	return payload.AppendEnvelope(nil, topic, s.Make(sequence, 1))
}

func TestFleetCounts(t *testing.T) {
	var frames []byte
	for i := range 100 {
		frames = append(frames, frame(0x81, message(t, "news", i))...)
	}
	if err := run(t, "", frames, 100); err != nil {
		t.Error(err)
	}
}

func TestFleetInflates(t *testing.T) {
	var packed bytes.Buffer
	w, _ := flate.NewWriter(&packed, flate.BestSpeed)
	_, _ = w.Write(message(t, "news", 1))
	w.Flush()
	frames := frame(0xC1, bytes.TrimSuffix(packed.Bytes(), []byte{0, 0, 0xff, 0xff}))
	if err := run(t, "Sec-WebSocket-Extensions: permessage-deflate\r\n", frames, 1); err != nil {
		t.Error(err)
	}
}

func TestFleetFindsFaults(t *testing.T) {
	good := frame(0x81, message(t, "news", 5))
	for name, test := range map[string]struct {
		frames   []byte
		messages int64 // that come
		fault    string
	}{
		"surplus":     {append(good, frame(0x81, message(t, "news", 6))...), 1, "too many"},
		"repeated":    {append(good, good...), 2, "comes after"},
		"other topic": {frame(0x81, message(t, "olds", 5)), 1, "another topic"},
		"other bytes": {frame(0x81, []byte("hello")), 1, "not a message"},
		"closed":      {append(good, frame(0x88, []byte{3, 232})...), 1, "closed by the server: 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := run(t, "", test.frames, test.messages); err == nil || !strings.Contains(err.Error(), test.fault) {
				t.Errorf("got %v, want %q", err, test.fault)
			}
		})
	}
}

func TestFleetIsPatientOnlyWithinItsContext(t *testing.T) {
	f, err := Dial(t.Context(), Options{Addr: serve(t, "", nil), Clients: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Arm(1, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Await(ctx); err == nil {
		t.Error("a message came out of nothing")
	}
}
