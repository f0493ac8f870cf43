package wire_test

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

var here = wire.Position{Epoch: "E", Seq: 1240}

// frames2 is the payload of each frame of tank.v2 that is no publication; "": nothing is sent.
var frames2 = []struct {
	write func(dst []byte) []byte
	want  string
}{
	{func(dst []byte) []byte {
		return wire.AppendHello(dst, wire.Hello{Client: "UUID", User: "alice", Ping: 25})
	},
		`{"hello":{"v":2,"client":"UUID","user":"alice","ping":25}}`},

	{func(dst []byte) []byte { return wire.AppendSubscribed(dst, 1, wire.Subscribed{At: here, From: 7}) },
		`{"id":1,"ok":{"epoch":"E","seq":1240}}`},
	{func(dst []byte) []byte {
		return wire.AppendSubscribed(dst, 1, wire.Subscribed{At: here, Replay: wire.BehindSince, From: 1234})
	}, `{"id":1,"ok":{"epoch":"E","seq":1240,"from":1234,"recovered":true}}`},
	{func(dst []byte) []byte {
		return wire.AppendSubscribed(dst, 1, wire.Subscribed{At: here, Replay: wire.BehindSince, From: 1240, Missed: wire.MissedEvicted})
	}, `{"id":1,"ok":{"epoch":"E","seq":1240,"from":1240,"recovered":false,"why":"evicted"}}`},
	{func(dst []byte) []byte {
		return wire.AppendSubscribed(dst, 1, wire.Subscribed{At: here, Replay: wire.LastOnes, From: 1220})
	}, `{"id":1,"ok":{"epoch":"E","seq":1240,"from":1220}}`},
	{func(dst []byte) []byte { return wire.AppendSubscribed(dst, 0, wire.Subscribed{At: here}) }, ""},

	{func(dst []byte) []byte { return wire.AppendOK(dst, 2) }, `{"id":2,"ok":{}}`},
	{func(dst []byte) []byte { return wire.AppendOK(dst, 0) }, ""},
	{func(dst []byte) []byte { return wire.AppendPublished(dst, 3, 1241, false) }, `{"id":3,"ok":{"seq":1241}}`},
	{func(dst []byte) []byte { return wire.AppendPublished(dst, 3, 1241, true) }, `{"id":3,"ok":{"seq":1241,"duplicate":true}}`},
	{func(dst []byte) []byte { return wire.AppendPublished(dst, 3, 0, true) }, `{"id":3,"ok":{"duplicate":true}}`},
	{func(dst []byte) []byte { return wire.AppendPublished(dst, maxNumber, 0, false) }, `{"id":9007199254740991,"ok":{}}`},
	{func(dst []byte) []byte { return wire.AppendPublished(dst, 0, 1241, false) }, ""},
	{func(dst []byte) []byte { return wire.AppendAnswer(dst, 4, `[1, null]`) }, `{"id":4,"ok":[1, null]}`},
	{func(dst []byte) []byte { return wire.AppendAnswer(dst, 0, `1`) }, ""},

	{func(dst []byte) []byte { return wire.AppendLost(dst, "chat:42", 12, 1260) }, `{"topic":"chat:42","lost":12,"seq":1260}`},
	{func(dst []byte) []byte { return wire.AppendGap(dst, "chat:42", 1300) }, `{"topic":"chat:42","gap":{"seq":1300}}`},
	{func(dst []byte) []byte { return wire.AppendReset(dst, "chat:42", wire.Position{Epoch: "E2"}) },
		`{"topic":"chat:42","reset":{"epoch":"E2","seq":0}}`},
	{func(dst []byte) []byte {
		return wire.AppendEnd(dst, "chat:42", wire.RefusedUnsubscribed, "by the server")
	},
		`{"topic":"chat:42","end":{"code":"unsubscribed","message":"by the server","retry":false}}`},
	{func(dst []byte) []byte { return wire.AppendExpires(dst, 60) }, `{"expires":60}`},
	{func(dst []byte) []byte { return wire.AppendBeat(dst) }, `{}`},
	{func(dst []byte) []byte { return wire.AppendBye(dst, 1001, 8000) }, `{"bye":{"code":1001,"within":8000}}`},
	{func(dst []byte) []byte { return wire.AppendInterrupted(dst, true) }, `{"interrupted":true}`},
	{func(dst []byte) []byte { return wire.AppendInterrupted(dst, false) }, `{"interrupted":false}`},

	{func(dst []byte) []byte {
		return wire.AppendRefusal2(dst, wire.Refusal{ID: 1, Code: wire.RefusedForbidden, Message: "not for you"})
	}, `{"id":1,"error":{"code":"forbidden","message":"not for you","retry":false}}`},
	{func(dst []byte) []byte { return wire.AppendRefusal2(dst, wire.Refusal{Code: wire.RefusedBusy}) },
		`{"error":{"code":"busy","message":"","retry":true}}`},
	{func(dst []byte) []byte {
		return wire.AppendRefusal2(dst, wire.Refusal{Code: "c", Message: "\u202e\x7f\u2028\xff\""})
	}, `{"error":{"code":"c","message":"\u202e\u007f\u2028` + "\ufffd" + `\"","retry":false}}`},
}

func TestFrames2Bytes(t *testing.T) {
	for _, tt := range frames2 {
		frame := appended(t, tt.write)
		if tt.want == "" {
			if len(frame) != 0 {
				t.Errorf("%q is sent, want nothing", frame)
			}
			continue
		}
		payload := payload2(t, frame)
		if string(payload) != tt.want || !json.Valid(payload) {
			t.Errorf("payload %s, want %s", payload, tt.want)
		}
	}
}

func TestRetryIsDecidedByTheCode(t *testing.T) {
	for code, retry := range map[string]bool{
		"busy": true, "shutting_down": true, "unavailable": true,
		"invalid_topic": false, "bad_message": false, "forbidden": false, "limit": false, "internal": false, "unsupported": false,
		"expired": false, "unsubscribed": false, "the application's": false, "": false,
	} {
		r := wire.Refusal{ID: 1, Code: code, Message: "m"}
		checkError2(t, wire.AppendRefusal2(nil, r), r, retry)
		want := map[string]any{"topic": "t", "end": map[string]any{"code": code, "message": "m", "retry": retry}}
		checkMembers(t, payload2(t, wire.AppendEnd(nil, "t", code, "m")), want)
	}
}

// TestFrames2AreWhatJSONSays: what is told with any values is read as exactly these.
func TestFrames2AreWhatJSONSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, at, n := anyText().Draw(t, "text"), anyPosition().Draw(t, "at"), anyNumber().Draw(t, "number")
		id := rapid.Uint64Range(1, maxNumber).Draw(t, "id")
		check := func(frame []byte, want map[string]any) {
			t.Helper()
			checkMembers(t, payload2(t, frame), want)
		}
		type object = map[string]any
		check(wire.AppendHello(nil, wire.Hello{Client: s, User: s, Ping: n}), object{"hello": object{"v": 2, "client": s, "user": s, "ping": n}})
		check(wire.AppendLost(nil, s, n, at.Seq), object{"topic": s, "lost": n, "seq": at.Seq})
		check(wire.AppendGap(nil, s, n), object{"topic": s, "gap": object{"seq": n}})
		check(wire.AppendReset(nil, s, at), object{"topic": s, "reset": object{"epoch": at.Epoch, "seq": at.Seq}})
		check(wire.AppendEnd(nil, s, "forbidden", s), object{"topic": s, "end": object{"code": "forbidden", "message": s, "retry": false}})
		check(wire.AppendExpires(nil, n), object{"expires": n})
		check(wire.AppendBye(nil, 1012, n), object{"bye": object{"code": 1012, "within": n}})
		check(wire.AppendAnswer(nil, id, string(must(json.Marshal(s)))), object{"id": id, "ok": s})
		check(wire.AppendMessage2(nil, s, false), object{"msg": s})
		check(wire.AppendSubscribed(nil, id, wire.Subscribed{At: at, Replay: wire.BehindSince, From: n}),
			object{"id": id, "ok": object{"epoch": at.Epoch, "seq": at.Seq, "from": n, "recovered": true}})
		r := wire.Refusal{ID: rapid.Uint64Range(0, maxNumber).Draw(t, "id of an error"), Code: "busy", Message: anyBytes().Draw(t, "message")}
		checkError2(t, wire.AppendRefusal2(nil, r), r, true)
	})
}

func TestFramesThatAnswerEveryCommandDoNotAllocate(t *testing.T) {
	dst := make([]byte, 0, 1<<10)
	for name, write := range map[string]func(){
		"ok":         func() { wire.AppendOK(dst, 1) },
		"published":  func() { wire.AppendPublished(dst, 1, 1235, true) },
		"subscribed": func() { wire.AppendSubscribed(dst, 1, wire.Subscribed{At: here, Replay: wire.BehindSince}) },
		"lost":       func() { wire.AppendLost(dst, "t", 12, 1235) },
		"beat":       func() { wire.AppendBeat(dst) },
	} {
		if n := testing.AllocsPerRun(100, write); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}
