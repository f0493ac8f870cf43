package wire_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

func subscribe(topic string) wire.Command { return wire.Command{Kind: wire.Subscribe, Topic: topic} }
func unsubscribe(topic string) wire.Command {
	return wire.Command{Kind: wire.Unsubscribe, Topic: topic}
}

func publish(topic, data string) wire.Command {
	return wire.Command{Kind: wire.Publish, Topic: topic, Data: data}
}

var other wire.Command

func withoutProblem(c wire.Command) wire.Command {
	c.Problem = wire.Problem{}
	return c
}

// commands is what each text message means.
var commands = []struct {
	name string
	text string
	want wire.Command
}{
	{"subscribe", "sub:news", subscribe("news")},
	{"subscribe, colons in the name", "sub:a:b:c", subscribe("a:b:c")},
	{"subscribe, the name is a command", "sub:sub:x", subscribe("sub:x")},
	{"subscribe, the name is the other command", "sub:unsub:x", subscribe("unsub:x")},
	{"subscribe, Chinese", "sub:新闻", subscribe("新闻")},
	{"subscribe, spaces belong to the name", "sub: a b ", subscribe(" a b ")},
	{"subscribe, line feeds too", "sub:a\n", subscribe("a\n")},
	{"subscribe, JSON is a name like any", `sub:{"topic":"a","data":"b"}`, subscribe(`{"topic":"a","data":"b"}`)},
	{"subscribe, nothing is unescaped", `sub:\u0061"`, subscribe(`\u0061"`)},
	{"subscribe, no name", "sub:", subscribe("")},
	{"subscribe, not UTF-8", "sub:\xff", subscribe("\xff")},
	{"unsubscribe", "unsub:news", unsubscribe("news")},
	{"unsubscribe, colons in the name", "unsub:a:b", unsubscribe("a:b")},
	{"unsubscribe, no name", "unsub:", unsubscribe("")},

	{"empty", "", other},
	{"text", "hello", other},
	{"no colon", "sub", other},
	{"no colon, a space", "sub news", other},
	{"upper case", "SUB:news", other},
	{"mixed case", "Unsub:news", other},
	{"space in front", " sub:news", other},
	{"space before the colon", "sub :news", other},
	{"prefix in the middle", "xsub:news", other},
	{"byte order mark", "\ufeffsub:news", other},

	{"publish", `{"topic":"t","data":"d"}`, publish("t", "d")},
	{"publish, other order", `{"data":"d","topic":"t"}`, publish("t", "d")},
	{"publish, white space", " \t\r\n{ \"topic\" : \"t\" ,\n\"data\" : \"d\" } \t\r\n", publish("t", "d")},
	{"publish, empty strings", `{"topic":"","data":""}`, publish("", "")},
	{"publish, escapes", `{"topic":"\u65b0\"\\\/","data":"\b\f\n\r\t\u0000"}`, publish(`新"\/`, "\b\f\n\r\t\x00")},
	{"publish, surrogates", `{"topic":"\ud83d\ude00","data":"\ud83d"}`, publish("😀", "\ufffd")},
	{"publish, escapes in the names", `{"\u0074opic":"t","d\u0061ta":"d"}`, publish("t", "d")},
	{"publish, data is JSON in a string", `{"topic":"t","data":"{\"topic\":\"x\"}"}`, publish("t", `{"topic":"x"}`)},
	{"publish, data is a command", `{"topic":"sub:x","data":"unsub:y"}`, publish("sub:x", "unsub:y")},
	{"publish, Chinese", `{"topic":"新闻","data":"你好"}`, publish("新闻", "你好")},

	{"capital T", `{"Topic":"t","data":"d"}`, other},
	{"capital DATA", `{"topic":"t","DATA":"d"}`, other},
	{"long s in place of s", `{"topic":"t","data":"d","ſ":"x"}`, other},
	{"topic twice", `{"topic":"t","topic":"t","data":"d"}`, other},
	{"data twice", `{"topic":"t","data":"d","data":"d"}`, other},
	{"topic twice, no data", `{"topic":"t","topic":"t"}`, other},
	{"topic twice, once escaped", `{"topic":"t","\u0074opic":"t","data":"d"}`, other},
	{"a member more", `{"topic":"t","data":"d","id":"1"}`, other},
	{"a member more, in front", `{"id":1,"topic":"t","data":"d"}`, other},
	{"a member more, empty name", `{"topic":"t","data":"d","":""}`, other},
	{"no data", `{"topic":"t"}`, other},
	{"no topic", `{"data":"d"}`, other},
	{"empty object", `{}`, other},
	{"null data", `{"topic":"t","data":null}`, other},
	{"null topic", `{"topic":null,"data":"d"}`, other},
	{"number", `{"topic":"t","data":1}`, other},
	{"huge number", `{"topic":"t","data":1e999}`, other},
	{"number for a topic", `{"topic":1,"data":"d"}`, other},
	{"true", `{"topic":"t","data":true}`, other},
	{"object", `{"topic":"t","data":{"a":"b"}}`, other},
	{"array", `{"topic":"t","data":["d"]}`, other},
	{"empty object for data", `{"topic":"t","data":{}}`, other},
	{"nested publish", `{"publish":{"topic":"t","data":"d"}}`, other},
	{"array of publishes", `[{"topic":"t","data":"d"}]`, other},
	{"array of strings", `["topic","t","data","d"]`, other},
	{"string", `"topic"`, other},
	{"null", `null`, other},
	{"two objects", `{"topic":"t","data":"d"}{"topic":"t","data":"d"}`, other},
	{"two lines", "{\"topic\":\"t\",\"data\":\"d\"}\n{\"topic\":\"t\",\"data\":\"d\"}", other},
	{"a brace more", `{"topic":"t","data":"d"}}`, other},
	{"a comma behind", `{"topic":"t","data":"d"},`, other},
	{"a word behind", `{"topic":"t","data":"d"} x`, other},
	{"null byte behind", "{\"topic\":\"t\",\"data\":\"d\"}\x00", other},
	{"trailing comma", `{"topic":"t","data":"d",}`, other},
	{"leading comma", `{,"topic":"t","data":"d"}`, other},
	{"no comma", `{"topic":"t" "data":"d"}`, other},
	{"two commas", `{"topic":"t",,"data":"d"}`, other},
	{"no colon", `{"topic" "t","data":"d"}`, other},
	{"two colons", `{"topic"::"t","data":"d"}`, other},
	{"comma for a colon", `{"topic","t","data","d"}`, other},
	{"wrong bracket", `{"topic":"t","data":"d"]`, other},
	{"no bracket", `{"topic":"t","data":"d"`, other},
	{"cut in a string", `{"topic":"t","data":"d`, other},
	{"cut in an escape", `{"topic":"t","data":"\u00`, other},
	{"unknown escape", `{"topic":"t","data":"\x"}`, other},
	{"raw line feed in a string", "{\"topic\":\"t\",\"data\":\"\n\"}", other},
	{"single quotes", `{'topic':'t','data':'d'}`, other},
	{"no quotes", `{topic:"t",data:"d"}`, other},
	{"comment", `{"topic":"t",/**/"data":"d"}`, other},
	{"byte order mark before JSON", "\ufeff{\"topic\":\"t\",\"data\":\"d\"}", other},
	{"no-break space before JSON", "\u00a0{\"topic\":\"t\",\"data\":\"d\"}", other},
	{"vertical tab before JSON", "\v{\"topic\":\"t\",\"data\":\"d\"}", other},
	{"deep nesting", `{"topic":` + strings.Repeat("[", 100_000), other},
	{"deep nesting of objects", strings.Repeat(`{"topic":`, 100_000), other},
	{"only white space", " \n", other},
	{"only a brace", "{", other},
}

func TestParse(t *testing.T) {
	for _, tt := range commands {
		t.Run(tt.name, func(t *testing.T) {
			got := wire.Parse([]byte(tt.text))
			checkProblem(t, tt.text, got)
			if got = withoutProblem(got); got != tt.want {
				t.Errorf("Parse(%.80q) is %+v, want %+v", tt.text, got, tt.want)
			}
			if got := reference([]byte(tt.text)); got != tt.want {
				t.Errorf("the reference takes %.80q for %+v, want %+v", tt.text, got, tt.want)
			}
		})
	}
}

func TestParseKeepsNoReferenceToItsInput(t *testing.T) {
	for _, tt := range commands {
		text := []byte(tt.text)
		got := wire.Parse(text)
		for i := range text {
			text[i] = '#'
		}
		if withoutProblem(got) != tt.want {
			t.Errorf("%s: the command changed with the input, to %+v", tt.name, got)
		}
	}
}

func TestParseUnderstandsWhatWasEncoded(t *testing.T) {
	for _, topic := range awkward {
		for _, data := range awkward {
			checkParsesBack(t, topic, data)
		}
	}
}

// checkParsesBack checks that a message comes back from either encoding.
func checkParsesBack(t tester, topic, data string) {
	t.Helper()
	_, ours := decode(t, wire.NewEnvelope(topic).Append(nil, data))
	theirs, err := json.Marshal(map[string]string{"topic": topic, "data": data})
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, text := range [][]byte{ours, theirs} {
		if got := wire.Parse(text); got != publish(topic, data) {
			t.Errorf("Parse(%q) is %+v, want a publish to %q of %q", text, got, topic, data)
		}
	}
}

// reference is Parse as one would write it without regard to speed.
func reference(text []byte) wire.Command {
	s := string(text)
	switch {
	case strings.HasPrefix(s, "sub:"):
		return subscribe(s[len("sub:"):])
	case strings.HasPrefix(s, "unsub:"):
		return unsubscribe(s[len("unsub:"):])
	}
	var m map[string]any
	if json.Unmarshal(text, &m) != nil || len(m) != 2 || countMembers(text) != 2 {
		return other
	}
	topic, isText := m["topic"].(string)
	data, isTextToo := m["data"].(string)
	if !isText || !isTextToo {
		return other
	}
	return publish(topic, data)
}
