package wire_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// anyText draws valid UTF-8, short or long, often with something to escape.
func anyText() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.String(),
		rapid.SampledFrom(awkward),
		rapid.StringOf(rapid.SampledFrom([]rune("\"\\\n\r\t\x00\x1f\x7f/a世😀\u2028\ufffd"))),
		rapid.Map(rapid.IntRange(0, 70_000), func(n int) string { return strings.Repeat("x", n) }),
	)
}

// anyBytes draws what may be no text at all.
func anyBytes() *rapid.Generator[string] {
	return rapid.OneOf(
		anyText(),
		rapid.SampledFrom(notUTF8),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
	)
}

func TestEnvelopeIsWhatJSONSaysForAnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topic, data := anyText().Draw(t, "topic"), anyText().Draw(t, "data")
		checkEnvelope(t, encode(t, topic, data), topic, data)
		checkParsesBack(t, topic, data)
	})
}

func TestRefusalIsJSONForAnyTopic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topic, message := anyBytes().Draw(t, "topic"), anyText().Draw(t, "message")
		checkEcho(t, checkRefusal(t, wire.AppendError(nil, "c", message, topic), "c", message), topic)
	})
}

// anyJSONLike draws what is a publish, or nearly so.
func anyJSONLike() *rapid.Generator[string] {
	parts := []string{
		"{", "}", "[", "]", ":", ",", `"topic"`, `"data"`, `"t"`, `"d"`, `"Topic"`, "null", "1", " ", "\n", "x", `"`,
		`\`, `"topic":`, `"data":`, `"topic":"t"`, `"data":"d"`, `{"topic":"t",`, `"data":"d"}`, "sub:", "unsub:",
	}
	return rapid.Map(rapid.SliceOfN(rapid.SampledFrom(parts), 0, 9), func(p []string) string { return strings.Join(p, "") })
}

func TestParseAgreesWithItsReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := []byte(rapid.OneOf(anyJSONLike(), anyBytes()).Draw(t, "text"))
		if got, want := withoutProblem(wire.Parse(text)), reference(text); got != want {
			t.Fatalf("Parse(%q) is %+v, the reference takes it for %+v", text, got, want)
		}
	})
}

func TestNamesAgreeWithASecondOpinion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := anyBytes().Draw(t, "name")
		checkName(t, "CheckTopic", wire.CheckTopic(name), nameProblem(name, 255))
		checkName(t, "CheckUserID", wire.CheckUserID(name), nameProblem(name, 128))
		checkLogSafe(t, "Quote", wire.Quote(name))
		checkLogSafe(t, "Clean", wire.Clean(name))
	})
}
