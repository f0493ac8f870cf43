package wire_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

const maxNumber = 1<<53 - 1

func encode2(t tester, seq, prev uint64, p *wire.Publication) []byte {
	t.Helper()
	return appended(t, func(dst []byte) []byte { return wire.NewEnvelope2(p.Topic).Append(dst, seq, prev, p) })
}

// payload2 returns the payload of a complete text frame of UTF-8.
func payload2(t tester, frame []byte) []byte {
	t.Helper()
	first, payload := decode(t, frame)
	if first != 0x81 || !utf8.Valid(payload) {
		t.Fatalf("frame %q is not a complete text frame of UTF-8", frame)
	}
	return payload
}

// checkPublication2 checks that a frame carries exactly this publication.
func checkPublication2(t tester, frame []byte, seq, prev uint64, p *wire.Publication) {
	t.Helper()
	var array []json.RawMessage
	payload := payload2(t, frame)
	if err := json.Unmarshal(payload, &array); err != nil || len(array) < 3 || len(array) > 4 {
		t.Fatalf("payload %q is not an array of three or four elements (%v)", payload, err)
	}
	if text(t, array[0]) != p.Topic || number(t, array[1]) != seq {
		t.Errorf("payload %q, want topic %q and number %d", payload, p.Topic, seq)
	}
	if p.JSON && string(array[2]) != strings.Trim(p.Data, " \t\r\n") || !p.JSON && text(t, array[2]) != p.Data {
		t.Errorf("payload %q, want data %q", payload, p.Data)
	}
	want := map[string]any{}
	if p.From != "" {
		want["from"] = p.From
	}
	if seq != 0 && prev != seq-1 {
		want["prev"] = prev
	}
	if len(want) == 0 && len(array) == 4 {
		t.Errorf("payload %q has a fourth element, want none", payload)
	}
	if len(want) > 0 {
		if len(array) < 4 {
			t.Fatalf("payload %q has no fourth element, want %v", payload, want)
		}
		checkMembers(t, array[3], want)
	}
}

// checkMembers checks that an object has these members: strings, numbers, booleans or objects, and no others.
func checkMembers(t tester, object []byte, want map[string]any) {
	t.Helper()
	m := members(t, object)
	if len(m) != len(want) {
		t.Errorf("%q has the members %v, want %v", object, m, want)
	}
	for name, value := range want {
		switch value := value.(type) {
		case string:
			if text(t, m[name]) != value {
				t.Errorf("%s of %q is not %q", name, object, value)
			}
		case json.RawMessage:
			if string(m[name]) != string(value) {
				t.Errorf("%s of %q is not %s", name, object, value)
			}
		case map[string]any:
			checkMembers(t, m[name], value)
		default:
			if written, _ := json.Marshal(value); string(m[name]) != string(written) {
				t.Errorf("%s of %q is not %s", name, object, written)
			}
		}
	}
}

func number(t tester, raw json.RawMessage) (n uint64) {
	t.Helper()
	if err := json.Unmarshal(raw, &n); err != nil {
		t.Fatalf("%q is no number: %v", raw, err)
	}
	return n
}

func TestPublication2Bytes(t *testing.T) {
	for _, tt := range []struct {
		seq, prev uint64
		p         wire.Publication
		want      string
	}{
		{1235, 1234, wire.Publication{Topic: "chat:42", Data: "hello, world 16!"}, `["chat:42",1235,"hello, world 16!"]`},
		{1, 0, wire.Publication{Topic: "t", Data: `{"a":[1]}`, JSON: true}, `["t",1,{"a":[1]}]`},
		{1, 0, wire.Publication{Topic: `"\`, Data: "\n世\x00", Key: "k"}, `["\"\\",1,"\n世\u0000"]`},
		{1235, 1200, wire.Publication{Topic: "t", Data: "d", From: "alice"}, `["t",1235,"d",{"from":"alice","prev":1200}]`},
		{1235, 1234, wire.Publication{Topic: "t", Data: "d", From: `a"b`}, `["t",1235,"d",{"from":"a\"b"}]`},
		{1235, 0, wire.Publication{Topic: "t", Data: "d"}, `["t",1235,"d",{"prev":0}]`},
		{0, 0, wire.Publication{Topic: "t", Data: "d"}, `["t",0,"d"]`},
		{0, 1234, wire.Publication{Topic: "t", Data: "1", JSON: true, From: "bob"}, `["t",0,1,{"from":"bob"}]`},
		{maxNumber, maxNumber - 1, wire.Publication{Topic: "t"}, `["t",9007199254740991,""]`},
	} {
		frame := encode2(t, tt.seq, tt.prev, &tt.p)
		if got := payload2(t, frame); string(got) != tt.want {
			t.Errorf("payload %s, want %s", got, tt.want)
		}
		checkPublication2(t, frame, tt.seq, tt.prev, &tt.p)
	}
}

func TestPublication2CarriesAnyText(t *testing.T) {
	for _, topic := range awkward {
		for _, data := range awkward {
			p := wire.Publication{Topic: topic, Data: data, From: data}
			checkPublication2(t, encode2(t, 2, 0, &p), 2, 0, &p)
			quoted, _ := json.Marshal(data)
			p = wire.Publication{Topic: topic, Data: string(quoted), JSON: true}
			checkPublication2(t, encode2(t, 2, 1, &p), 2, 1, &p)
		}
	}
}

func TestPublication2HeaderFitsAtEveryLength(t *testing.T) {
	const rest = len(`["t",1,""]`)
	for _, payload := range []int{rest, 125, 126, 127, 65535, 65536, 65537} {
		for _, filler := range []string{"x", "\n", "\x01", "世"} {
			per := map[string]int{"x": 1, "\n": 2, "\x01": 6, "世": 3}[filler]
			n := (payload - rest) / per
			data := strings.Repeat(filler, n) + strings.Repeat("x", payload-rest-n*per)
			p := wire.Publication{Topic: "t", Data: data}
			frame := encode2(t, 1, 0, &p)
			checkPublication2(t, frame, 1, 0, &p)
			if want := headerLen(uint64(payload)) + payload; len(frame) != want {
				t.Errorf("frame of %q has %d bytes, want %d", filler, len(frame), want)
			}
			p = wire.Publication{Topic: "t", Data: `"` + strings.Repeat("x", payload-rest) + `"`, JSON: true}
			checkPublication2(t, encode2(t, 1, 0, &p), 1, 0, &p)
		}
	}
}

func TestAnEnvelope2IsNotChangedByUse(t *testing.T) {
	e := wire.NewEnvelope2("t")
	var frames []byte
	for i, data := range awkward {
		frames = e.Append(frames, uint64(i), 0, &wire.Publication{Topic: "t", Data: data})
	}
	for i, data := range awkward {
		p := wire.Publication{Topic: "t", Data: data}
		n := len(e.Append(nil, uint64(i), 0, &p))
		checkPublication2(t, frames[:n], uint64(i), 0, &p)
		frames = frames[n:]
	}
}

func TestAppend2DoesNotAllocateWhenThereIsRoom(t *testing.T) {
	e, dst := wire.NewEnvelope2("t"), make([]byte, 0, 1<<10)
	for _, p := range []wire.Publication{{Data: "a\"b\n世"}, {Data: `{"a":1}`, JSON: true}, {Data: "d", From: "alice"}} {
		if n := testing.AllocsPerRun(100, func() { e.Append(dst, 1235, 1200, &p) }); n != 0 {
			t.Errorf("%+v: %v allocations, want none", p, n)
		}
	}
}

func TestMessage2(t *testing.T) {
	for _, data := range awkward {
		frame := appended(t, func(dst []byte) []byte { return wire.AppendMessage2(dst, data, false) })
		checkMembers(t, payload2(t, frame), map[string]any{"msg": data})
	}
	frame := appended(t, func(dst []byte) []byte { return wire.AppendMessage2(dst, `{"a":[1,2]}`, true) })
	if got := payload2(t, frame); string(got) != `{"msg":{"a":[1,2]}}` {
		t.Errorf("payload %s", got)
	}
	for _, data := range notUTF8 {
		frame := appended(t, func(dst []byte) []byte { return wire.AppendMessage2(dst, data, false) })
		if first, payload := decode(t, frame); first != 0x82 || string(payload) != data {
			t.Errorf("%q is sent as %q, want a binary frame", data, frame)
		}
	}
}

// anyNumber draws numbers of every length.
func anyNumber() *rapid.Generator[uint64] {
	return rapid.OneOf(rapid.Uint64Range(0, maxNumber), rapid.Uint64Range(0, 3), rapid.Just[uint64](maxNumber))
}

func TestPublication2IsWhatJSONSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := wire.Publication{Topic: anyText().Draw(t, "topic"), Data: anyText().Draw(t, "data"), From: anyText().Draw(t, "from")}
		if p.JSON = rapid.Bool().Draw(t, "JSON"); p.JSON {
			p.Data = string(must(json.Marshal(map[string]string{p.Data: p.Data})))
		}
		seq, prev := anyNumber().Draw(t, "seq"), anyNumber().Draw(t, "prev")
		checkPublication2(t, encode2(t, seq, prev, &p), seq, prev, &p)
		checkPublication2(t, encode2(t, seq, seq-1, &p), seq, seq-1, &p)
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
