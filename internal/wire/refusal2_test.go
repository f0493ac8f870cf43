package wire_test

import (
	"strings"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// checkError2 checks that a frame is an error frame with this in it.
func checkError2(t tester, frame []byte, r wire.Refusal, retry bool) {
	t.Helper()
	payload := payload2(t, frame)
	checkLogSafe(t, "error frame", string(payload))
	valid := func(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
	want := map[string]any{"error": map[string]any{"code": valid(r.Code), "message": valid(r.Message), "retry": retry}}
	if r.ID != 0 {
		want["id"] = r.ID
	}
	checkMembers(t, payload, want)
}

func TestRefusal2EscapesAnyMessage(t *testing.T) {
	for _, s := range append(notUTF8, awkward...) {
		r := wire.Refusal{ID: 7, Code: s, Message: s}
		checkError2(t, appended(t, func(dst []byte) []byte { return wire.AppendRefusal2(dst, r) }), r, false)
	}
}
