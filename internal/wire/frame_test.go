package wire_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

func TestHeaderIsAsShortAsItCanBe(t *testing.T) {
	for _, tt := range []struct {
		n    int
		want string
	}{
		{0, "\x82\x00"},
		{1, "\x82\x01"},
		{125, "\x82\x7d"},
		{126, "\x82\x7e\x00\x7e"},
		{127, "\x82\x7e\x00\x7f"},
		{256, "\x82\x7e\x01\x00"},
		{65535, "\x82\x7e\xff\xff"},
		{65536, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"},
		{1<<30 + 2, "\x82\x7f\x00\x00\x00\x00\x40\x00\x00\x02"},
	} {
		got := appended(t, func(dst []byte) []byte { return wire.AppendHeader(dst, wire.OpBinary, tt.n) })
		if string(got) != tt.want {
			t.Errorf("header of %d bytes is %x, want %x", tt.n, got, tt.want)
		}
	}
}

func TestFrameIsHeaderAndPayload(t *testing.T) {
	for _, op := range []wire.Opcode{wire.OpText, wire.OpBinary, wire.OpClose, wire.OpPing, wire.OpPong} {
		for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
			want := strings.Repeat("x", n)
			frames := map[string][]byte{
				"string": appended(t, func(dst []byte) []byte { return wire.AppendFrame(dst, op, want) }),
				"bytes":  appended(t, func(dst []byte) []byte { return wire.AppendFrame(dst, op, []byte(want)) }),
			}
			for from, frame := range frames {
				if first, payload := decode(t, frame); first != 0x80|byte(op) || string(payload) != want {
					t.Errorf("frame of %s: opcode %d with %d bytes came out as %#x with %d bytes", from, op, n, first, len(payload))
				}
			}
		}
	}
}

func TestMessageIsTextUnlessItIsNotUTF8(t *testing.T) {
	for payload, first := range map[string]byte{
		"": 0x81, "text": 0x81, "世界\x00": 0x81, "\xff": 0x82, "half of 世: \xe4\xb8": 0x82, "\xed\xa0\x80": 0x82,
	} {
		frame := appended(t, func(dst []byte) []byte { return wire.AppendMessage(dst, payload) })
		if got, data := decode(t, frame); got != first || string(data) != payload {
			t.Errorf("message %q came out as %#x %q, want %#x", payload, got, data, first)
		}
	}
}

func TestCloseFrame(t *testing.T) {
	const han = "世" // three bytes
	for _, tt := range []struct {
		name   string
		code   int
		reason string
		want   string // payload
	}{
		{"no reason", 1000, "", "\x03\xe8"},
		{"a reason", 1001, "going away", "\x03\xe9going away"},
		{"an application's code", 4999, "x", "\x13\x87x"},
		{"no code", wire.CloseNoStatus, "and no room for a reason", ""},
		{"as long as fits", 1000, strings.Repeat("x", 123), "\x03\xe8" + strings.Repeat("x", 123)},
		{"a byte too long", 1000, strings.Repeat("x", 124), "\x03\xe8" + strings.Repeat("x", 123)},
		{"far too long", 1000, strings.Repeat("x", 70_000), "\x03\xe8" + strings.Repeat("x", 123)},
		{"Chinese as long as fits", 1000, strings.Repeat(han, 41), "\x03\xe8" + strings.Repeat(han, 41)},
		{"Chinese, a character too long", 1000, strings.Repeat(han, 42), "\x03\xe8" + strings.Repeat(han, 41)},
		{"a character's first byte fits", 1000, "xx" + strings.Repeat(han, 41), "\x03\xe8xx" + strings.Repeat(han, 40)},
		{"a character's second byte fits", 1000, "x" + strings.Repeat(han, 41), "\x03\xe8x" + strings.Repeat(han, 40)},
		{"four bytes a character", 1000, strings.Repeat("😀", 31), "\x03\xe8" + strings.Repeat("😀", 30)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first, payload := decode(t, appended(t, func(dst []byte) []byte { return wire.AppendClose(dst, tt.code, tt.reason) }))
			if first != 0x88 || string(payload) != tt.want {
				t.Errorf("close frame %#x %q, want %q", first, payload, tt.want)
			}
			if len(payload) > 2 && !utf8.Valid(payload[2:]) {
				t.Errorf("reason %q is not UTF-8", payload[2:])
			}
		})
	}
}

// mayBeSent restates RFC 6455 section 7.4 and the IANA registry, for applications.
func mayBeSent(code int) bool {
	switch code {
	case 1000, 1001, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014:
		return true
	}
	return code >= 3000 && code <= 4999
}

func TestCheckCloseAllowsWhatAnApplicationMaySend(t *testing.T) {
	for code := -1; code <= 6000; code++ {
		if err := wire.CheckClose(code, "bye"); (err == nil) != mayBeSent(code) {
			t.Errorf("CheckClose(%d) returned %v, want an error: %t", code, err, !mayBeSent(code))
		}
	}
	for _, code := range []int{-1000, 65536 + 1000, 1 << 30} {
		if wire.CheckClose(code, "") == nil {
			t.Errorf("CheckClose(%d) returned nil", code)
		}
	}
}

func TestCheckCloseChecksTheReason(t *testing.T) {
	for _, tt := range []struct {
		reason string
		ok     bool
	}{
		{"", true},
		{strings.Repeat("x", 123), true},
		{strings.Repeat("x", 124), false},
		{strings.Repeat("世", 41), true},
		{strings.Repeat("世", 41) + "x", false},
		{"\xff", false},
		{"\xed\xa0\x80", false},
	} {
		err := wire.CheckClose(1000, tt.reason)
		if (err == nil) != tt.ok {
			t.Errorf("CheckClose with the reason %.20q of %d bytes returned %v", tt.reason, len(tt.reason), err)
		}
		if err != nil {
			checkLogSafe(t, "error", err.Error())
		}
	}
}

func TestCloseCodesAreTheRegisteredOnes(t *testing.T) {
	got := fmt.Sprint(wire.CloseNormal, wire.CloseGoingAway, wire.CloseProtocolError, wire.CloseNoStatus,
		wire.CloseAbnormal, wire.CloseInvalidPayload, wire.ClosePolicy, wire.CloseTooBig, wire.CloseInternalError,
		wire.CloseTryAgainLater)
	if want := "1000 1001 1002 1005 1006 1007 1008 1009 1011 1013"; got != want {
		t.Errorf("close codes are %s, want %s", got, want)
	}
}
