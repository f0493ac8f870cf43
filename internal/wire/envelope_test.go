package wire_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// awkward holds strings that have to come through unharmed.
var awkward = []string{
	"", "x", "news", "新闻:上海", `"`, `\`, `\"`, `"}`, `","data":"`, `\u0022`, "/", "<script>&amp;</script>",
	"a\nb\rc\td\be\ff", "\x00\x01\x1f", "\x7f\u0080\u009f", "\u2028\u2029", "\ufeff", "\ufffd", "\U0010ffff", "😀",
	"e\u0301", "\u202eabc", strings.Repeat(`"`, 125), strings.Repeat("世", 300),
}

func encode(t tester, topic, data string) []byte {
	t.Helper()
	return appended(t, func(dst []byte) []byte { return wire.NewEnvelope(topic).Append(dst, data) })
}

func TestEnvelopeCarriesAnyText(t *testing.T) {
	for _, topic := range awkward {
		for _, data := range awkward {
			checkEnvelope(t, encode(t, topic, data), topic, data)
		}
	}
}

func TestEnvelopeEscapesEveryCharacterAsNeeded(t *testing.T) {
	for r := rune(0); r < 0x3000; r++ {
		checkEnvelope(t, encode(t, string(r), string(r)), string(r), string(r))
	}
}

func TestEnvelopeBytes(t *testing.T) {
	for _, tt := range []struct{ topic, data, want string }{
		{"t", "d", `{"topic":"t","data":"d"}`},
		{"新闻", "你好", `{"topic":"新闻","data":"你好"}`},
		{`"\`, "\n\r\t", `{"topic":"\"\\","data":"\n\r\t"}`},
		{"<&>", "/\x00\x1f", `{"topic":"<&>","data":"/\u0000\u001f"}`},
	} {
		if _, payload := decode(t, encode(t, tt.topic, tt.data)); string(payload) != tt.want {
			t.Errorf("payload %s, want %s", payload, tt.want)
		}
	}
}

func TestEnvelopeHeaderFitsAtEveryLength(t *testing.T) {
	const rest = len(`{"topic":"t","data":""}`)
	for _, payload := range []int{125, 126, 127, 65535, 65536, 65537} {
		for _, filler := range []string{"x", "\n", "\x01", "世"} {
			per := map[string]int{"x": 1, "\n": 2, "\x01": 6, "世": 3}[filler]
			n := (payload - rest) / per
			data := strings.Repeat(filler, n) + strings.Repeat("x", payload-rest-n*per)
			frame := encode(t, "t", data)
			checkEnvelope(t, frame, "t", data)
			if want := headerLen(uint64(payload)) + payload; len(frame) != want {
				t.Errorf("frame of %q has %d bytes, want %d", filler, len(frame), want)
			}
		}
	}
}

func TestAnEnvelopeIsNotChangedByUse(t *testing.T) {
	e := wire.NewEnvelope("t")
	var frames []byte
	for _, data := range awkward {
		frames = e.Append(frames, data)
	}
	for _, data := range awkward {
		n := len(e.Append(nil, data))
		checkEnvelope(t, frames[:n], "t", data)
		frames = frames[n:]
	}
}

func TestAppendDoesNotAllocateWhenThereIsRoom(t *testing.T) {
	e, dst := wire.NewEnvelope("t"), make([]byte, 0, 1<<10)
	if n := testing.AllocsPerRun(100, func() { e.Append(dst, "a\"b\n世") }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

var notUTF8 = []string{
	"\xff", "x\x80", "\xe4\xb8", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", strings.Repeat("\x80", 300),
	"世" + strings.Repeat("\xff", 300),
}

func TestRefusalSaysWhatAndWhy(t *testing.T) {
	frame := appended(t, func(dst []byte) []byte { return wire.AppendError(dst, "forbidden", "not for you", "新闻") })
	const want = `{"error":{"code":"forbidden","message":"not for you","topic":"新闻"}}`
	if _, payload := decode(t, frame); string(payload) != want {
		t.Errorf("payload %s, want %s", payload, want)
	}
}

func TestRefusalEchoesAnyTopic(t *testing.T) {
	for _, topic := range append(notUTF8, awkward...) {
		frame := appended(t, func(dst []byte) []byte { return wire.AppendError(dst, "c", "m", topic) })
		got := checkRefusal(t, frame, "c", "m")
		checkEcho(t, got, topic)
		_, payload := decode(t, frame)
		checkLogSafe(t, "refusal", string(payload))
	}
}

// checkEcho checks that got is the topic as far as it goes.
func checkEcho(t tester, got, topic string) {
	t.Helper()
	if utf8.ValidString(topic) && len(topic) <= wire.MaxTopic && got != topic {
		t.Errorf("topic %q is echoed as %q", topic, got)
	}
	if utf8.ValidString(topic) && !strings.HasPrefix(topic, got) {
		t.Errorf("%q is no part of the topic %q", got, topic)
	}
	if n := utf8.RuneCountInString(got); n > wire.MaxTopic {
		t.Errorf("a topic of %d bytes is echoed with %d characters", len(topic), n)
	}
}

func TestRefusalEscapesAnyMessage(t *testing.T) {
	for _, s := range awkward {
		checkRefusal(t, wire.AppendError(nil, s, s, "t"), s, s)
	}
	for _, s := range notUTF8 {
		if _, payload := decode(t, wire.AppendError(nil, s, s, s)); !json.Valid(payload) {
			t.Errorf("payload is not JSON: %q", payload)
		}
	}
}
