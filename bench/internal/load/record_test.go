package load

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

const spoken = "Sec-Websocket-Protocol: some.v2\r\n" // the name has no case, RFC 9110 section 5.1

func TestRecord(t *testing.T) {
	for name, test := range map[string]struct {
		frames []byte
		lines  bool
		room   int
	}{
		"frames":          {slices.Concat(frame(0x81, []byte("one")), frame(0x81, []byte("{}")), frame(0x81, []byte("two")), frame(0x81, []byte("three"))), false, 100},
		"without room":    {slices.Concat(frame(0x81, []byte("one")), frame(0x81, []byte("two")), frame(0x81, []byte("three"))), false, 0},
		"lines":           {slices.Concat(frame(0x81, []byte("one\ntwo")), frame(0x81, []byte("three"))), true, 100},
		"in pieces":       {slices.Concat(frame(0x81, []byte("one")), frame(0x81, []byte("two")), frame(0x01, []byte("th")), frame(0x80, []byte("ree"))), false, 100},
		"with a fragment": {slices.Concat(frame(0x01, []byte("one\n")), frame(0x80, []byte("two\nthree"))), true, 100},
	} {
		t.Run(name, func(t *testing.T) {
			greeting := frame(0x81, []byte(`{"hello":{}}`))
			addr := serveGreeted(t, spoken, greeting, test.frames)
			f, err := Dial(t.Context(), Options{Addr: addr, Clients: 3, Lines: test.lines, Beats: true, Subprotocol: "some.v2", Greeted: true})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			f.Record(3, test.room)
			for i := range 3 {
				if err := f.Ask(i, "go"); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := f.Await(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := f.Verify(func(int) int64 { return 3 }); err != nil {
				t.Error(err)
			}
			for i := range 3 {
				got := bytes.Join(slices.Collect(f.Recorded(i)), []byte(" "))
				if string(got) != "one two three" || f.Took(i) <= 0 {
					t.Errorf("client %d: %q in %v", i, got, f.Took(i))
				}
			}
		})
	}
}

func TestDialWantsTheSubprotocol(t *testing.T) {
	for header, want := range map[string]string{
		"":                                     "does not speak some.v2",
		"Sec-WebSocket-Protocol: some.v22\r\n": "does not speak some.v2",
	} {
		_, err := Dial(t.Context(), Options{Addr: serve(t, header, nil), Clients: 2, Subprotocol: "some.v2"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", header, err)
		}
	}
}

func TestDialFailsWhenNoGreetingComes(t *testing.T) {
	addr := serveGreeted(t, "", frame(wstest.Fin|wstest.Close, []byte{3, 232}), nil)
	_, err := Dial(t.Context(), Options{Addr: addr, Clients: 2, Greeted: true})
	if err == nil || !strings.Contains(err.Error(), "closed by the server: 1000") {
		t.Errorf("got %v", err)
	}
}
