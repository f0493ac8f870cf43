package wire_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// anyCommand2Like draws what is a command of tank.v2, or nearly so: mostly an object of known members with values of all types.
func anyCommand2Like() *rapid.Generator[string] {
	names := append([]string{`s\u0075b`, `x`, ``, `\ud800`, `Sub`}, members2...)
	values := []string{
		`"t"`, `"a\u0041"`, `"\ud83d\ude00"`, `"\ud83d"`, `""`, `1`, `0`, `-1`, `1.0`, `1e3`, `9007199254740991`, `9007199254740992`, `true`, `false`,
		`null`, `{}`, `{"a":["}"]}`, `[]`, `["E",1]`, `[ "E" , 1 , {"a":[]} ]`, `["",1]`, `["E","1"]`, `x`, `"`, `[`,
	}
	member := rapid.Custom(func(t *rapid.T) string {
		space := rapid.SampledFrom([]string{"", "", "", " ", "\n\t"})
		return space.Draw(t, "s") + `"` + rapid.SampledFrom(names).Draw(t, "name") + `"` + space.Draw(t, "s") + ":" +
			space.Draw(t, "s") + rapid.SampledFrom(values).Draw(t, "value") + space.Draw(t, "s")
	})
	return rapid.Map(rapid.SliceOfN(member, 0, 5), func(m []string) string { return "{" + strings.Join(m, ",") + "}" })
}

func TestParseCommand2AgreesWithItsReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkCommand2(t, rapid.OneOf(anyCommand2Like(), anyCommand2Like(), anyJSONLike(), anyBytes()).Draw(t, "text"))
	})
}

func TestParseCommand2AgreesWithItsReferenceOnTheTables(t *testing.T) {
	for _, tt := range commands2 {
		checkCommand2(t, tt.text)
	}
	for _, tt := range refusals2 {
		checkCommand2(t, tt.text)
	}
}

// TestParseCommand2UnderstandsWhatWasEncoded: what encoding/json writes comes back as it went in.
func TestParseCommand2UnderstandsWhatWasEncoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topic, since := anyText().Draw(t, "topic"), anyPosition().Draw(t, "since")
		id, last := rapid.Uint64Range(1, maxNumber).Draw(t, "id"), rapid.Uint64Range(1, maxNumber).Draw(t, "last")
		data := string(must(json.Marshal(anyText().Draw(t, "data"))))
		key := rapid.StringMatching(`[a-z世]{1,40}`).Draw(t, "key")
		for _, c := range []struct {
			members map[string]any
			want    command2
		}{
			{map[string]any{"id": id, "sub": topic, "since": since, "last": last, "presence": true},
				command2{Kind: wire.Subscribe, ID: id, Topic: topic, Since: since, Last: last, Presence: true}},
			{map[string]any{"id": id, "unsub": topic}, command2{Kind: wire.Unsubscribe, ID: id, Topic: topic}},
			{map[string]any{"id": id, "pub": topic, "data": json.RawMessage(data), "key": key},
				command2{Kind: wire.Publish, ID: id, Topic: topic, Data: data, Key: key}},
			{map[string]any{"msg": json.RawMessage(data)}, command2{Kind: wire.Tell, Data: data}},
			{map[string]any{"auth": topic + "x"}, command2{Kind: wire.Authenticate, Token: topic + "x"}},
		} {
			text := must(json.Marshal(c.members))
			if got, refusal := wire.ParseCommand2(text); refusal != nil || got != c.want {
				t.Fatalf("%q is %+v (%+v), want %+v", text, got, refusal, c.want)
			}
		}
	})
}
