package wire_test

import (
	"strings"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

type command2 = wire.Command2

// commands2 is what each valid text message of tank.v2 means.
var commands2 = []struct {
	text string
	want command2
}{
	{`{"sub":"news"}`, command2{Kind: wire.Subscribe, Topic: "news"}},
	{`{"id":1,"sub":"news"}`, command2{Kind: wire.Subscribe, ID: 1, Topic: "news"}},
	{`{"sub":"news","id":9007199254740991}`, command2{Kind: wire.Subscribe, ID: maxNumber, Topic: "news"}},
	{" \t\r\n{ \"id\" : 1 ,\n\"sub\" : \"news\" } \t\r\n", command2{Kind: wire.Subscribe, ID: 1, Topic: "news"}},
	{"{\"id\":1\n,\"sub\":\"t\",\"last\":2\r\n,\"presence\":true\t}", command2{Kind: wire.Subscribe, ID: 1, Topic: "t", Last: 2, Presence: true}},
	{"{\"sub\":\"t\",\"since\":[\"E\",12\t]}", command2{Kind: wire.Subscribe, Topic: "t", Since: wire.Position{Epoch: "E", Seq: 12}}},
	{`{"sub":"t","since":null}`, command2{Kind: wire.Subscribe, Topic: "t"}},
	{`{"sub":"t","since":["E",0,"more"]}`, command2{Kind: wire.Subscribe, Topic: "t", Since: wire.Position{Epoch: "E"}}},
	{`{"sub":"t","last":20}`, command2{Kind: wire.Subscribe, Topic: "t", Last: 20}},
	{`{"sub":"t","since":["E",12],"last":1,"presence":true}`, command2{Kind: wire.Subscribe, Topic: "t", Since: wire.Position{Epoch: "E", Seq: 12}, Last: 1, Presence: true}},
	{`{"sub":"t","presence":false}`, command2{Kind: wire.Subscribe, Topic: "t"}},
	{`{"sub":""}`, command2{Kind: wire.Subscribe}}, // the caller checks topics
	{`{"sub":"a\nb"}`, command2{Kind: wire.Subscribe, Topic: "a\nb"}},
	{`{"sub":"\u65b0\"\\\/\ud83d\ude00"}`, command2{Kind: wire.Subscribe, Topic: `新"\/😀`}},
	{`{"sub":"\\ud800"}`, command2{Kind: wire.Subscribe, Topic: `\ud800`}},
	{`{"s\u0075b":"t"}`, command2{Kind: wire.Subscribe, Topic: "t"}},
	{`{"unsub":"t"}`, command2{Kind: wire.Unsubscribe, Topic: "t"}},
	{`{"unsub":"t","id":7}`, command2{Kind: wire.Unsubscribe, ID: 7, Topic: "t"}},
	{`{"pub":"t","data":"d"}`, command2{Kind: wire.Publish, Topic: "t", Data: `"d"`}},
	{`{"data": { "a" : [1, "}]"] } ,"pub":"t"}`, command2{Kind: wire.Publish, Topic: "t", Data: `{ "a" : [1, "}]"] }`}},
	{`{"id":3,"pub":"t","data":null,"key":"k7"}`, command2{Kind: wire.Publish, ID: 3, Topic: "t", Data: "null", Key: "k7"}},
	{`{"pub":"t","data":-1.5e+3}`, command2{Kind: wire.Publish, Topic: "t", Data: "-1.5e+3"}},
	{`{"pub":"t","data":"\ud800"}`, command2{Kind: wire.Publish, Topic: "t", Data: `"\ud800"`}},
	{`{"pub":"t","data":1,"key":"` + long("k", 128) + `"}`, command2{Kind: wire.Publish, Topic: "t", Data: "1", Key: long("k", 128)}},
	{`{"msg":"hello"}`, command2{Kind: wire.Tell, Data: `"hello"`}},
	{`{"id":4,"msg":{"type":"ping"}}`, command2{Kind: wire.Tell, ID: 4, Data: `{"type":"ping"}`}},
	{`{"msg":null}`, command2{Kind: wire.Tell, Data: "null"}},
	{`{"msg":[]}`, command2{Kind: wire.Tell, Data: "[]"}},
	{`{"id":5,"auth":"TOKEN"}`, command2{Kind: wire.Authenticate, ID: 5, Token: "TOKEN"}},

	// What is not known is ignored, and so is what belongs to another verb.
	{`{"sub":"t","new":1,"new":2,"":{},"Sub":3,"\ud800":4}`, command2{Kind: wire.Subscribe, Topic: "t"}},
	{`{"unsub":"t","since":1,"last":"x","presence":0,"data":1,"key":2}`, command2{Kind: wire.Unsubscribe, Topic: "t"}},
	{`{"msg":{"sub":"t","sub":"u"},"data":1}`, command2{Kind: wire.Tell, Data: `{"sub":"t","sub":"u"}`}},
}

func TestParseCommand2(t *testing.T) {
	for _, tt := range commands2 {
		text := []byte(tt.text)
		got, refusal := wire.ParseCommand2(text)
		if string(text) != tt.text {
			t.Errorf("the input %s is changed to %s", tt.text, text)
		}
		for i := range text {
			text[i] = '#' // nothing may refer to it
		}
		if refusal != nil || got != tt.want {
			t.Errorf("%.80s is %+v (%+v), want %+v", tt.text, got, refusal, tt.want)
		}
	}
}

const digitsOnly = ` is not a whole number from 1 to 9007199254740991, in digits only; got `

// refusals2 is what is wrong with each text message, and the id that the answer carries.
var refusals2 = []struct {
	text string
	id   uint64
	want string
}{
	{"", 0, expected2 + `; got ""`},
	{"hello", 0, expected2 + `; got "hello"`},
	{`[{"sub":"t"}]`, 0, expected2 + `; got "[{\"sub\":\"t\"}]"`},
	{`"sub"`, 0, expected2 + `; got "\"sub\""`},
	{"null", 0, expected2 + `; got "null"`},
	{long("x", 100), 0, expected2 + `; got "` + long("x", 64) + `"...`},
	{"\ufeff{}", 0, expected2 + `; got "\ufeff{}"`},
	{"{\"sub\":\"\xff\"}", 0, "the text is not valid UTF-8"},
	{"sub:t", 0, `did you mean {"sub":"TOPIC"}? This connection uses tank.v2; got "sub:t"`},
	{"unsub:t", 0, `did you mean {"unsub":"TOPIC"}? This connection uses tank.v2; got "unsub:t"`},

	{`{"id":1,"sub":"t"`, 0, `malformed JSON (RFC 8259) after byte 17: ` + expected2 + `; got "{\"id\":1,\"sub\":\"t\""`},
	{`{"id":1,"sub":"t",}`, 0, `malformed JSON (RFC 8259) after byte 19: ` + expected2 + `; got "{\"id\":1,\"sub\":\"t\",}"`},
	{`{sub:"t"}`, 0, `malformed JSON (RFC 8259) after byte 2: ` + expected2 + `; got "{sub:\"t\"}"`},
	{`{"id":01}`, 0, `malformed JSON (RFC 8259) after byte 8: ` + expected2 + `; got "{\"id\":01}"`},
	{"{\"sub\":\"\n\"}", 0, `malformed JSON (RFC 8259) after byte 9: ` + expected2 + `; got "{\"sub\":\"\n\"}"`},
	{`{"auth":"SECRET"`, 0, `malformed JSON (RFC 8259) after byte 16: ` + expected2 + `; got 16 bytes`},
	{`{"id":1,"sub":"t"} {}`, 0, `text behind the object: send one object a message; got "{}"`},
	{`{"id":1,"sub":"t"}}`, 0, `text behind the object: send one object a message; got "}"`},

	{`{"id":0,"sub":"t"}`, 0, "id" + digitsOnly + `"0"`},
	{`{"id":-1,"sub":"t"}`, 0, "id" + digitsOnly + `"-1"`},
	{`{"id":1.0,"sub":"t"}`, 0, "id" + digitsOnly + `"1.0"`},
	{`{"id":1e3,"sub":"t"}`, 0, "id" + digitsOnly + `"1e3"`},
	{`{"id":9007199254740992,"sub":"t"}`, 0, "id" + digitsOnly + `"9007199254740992"`},
	{`{"id":10000000000000000,"sub":"t"}`, 0, "id" + digitsOnly + `"10000000000000000"`},
	{`{"id":18446744073709551617,"sub":"t"}`, 0, "id" + digitsOnly + `"18446744073709551617"`}, // 1 modulo 2^64
	{`{"id":` + long("9", 100) + `,"sub":"t"}`, 0, "id" + digitsOnly + `"` + long("9", 64) + `"...`},
	{`{"id":"1","sub":"t"}`, 0, "id" + digitsOnly + `"\"1\""`},
	{`{"id":null,"sub":"t"}`, 0, "id" + digitsOnly + `"null"`},
	{`{"id":1,"id":2,"sub":"t"}`, 0, `repeated member "id": send it once`},
	{`{"id":1,"\u0069d":1,"sub":"t"}`, 0, `repeated member "id": send it once`},

	{`{"sub":"t","sub":"t","id":1}`, 1, `repeated member "sub": send it once`},
	{`{"pub":"t","data":1,"data":1,"id":1}`, 1, `repeated member "data": send it once`},
	{`{"unsub":"t","last":1,"last":1,"last":1,"id":1}`, 1, `repeated member "last": send it once`},
	{`{}`, 0, noVerb},
	{`{"id":1}`, 1, noVerb},
	{`{"x":1,"Sub":"t","id":1}`, 1, noVerb + `; got the member "x"`},
	{`{"topic":"t","data":"d","id":1}`, 1, noVerb + `; did you mean {"pub":"TOPIC","data":JSON}?`},
	{`{"id":1,"auth":"SECRET","sub":"t"}`, 1, `sub and auth in one message: send one verb a message`},

	{`{"id":1,"sub":1}`, 1, `sub is a number, not a string; got "1"`},
	{`{"id":1,"sub":["a","b"]}`, 1, `sub is an array, not a string; got "[\"a\",\"b\"]"`},
	{`{"id":1,"sub":null}`, 1, `sub is null, not a string; got "null"`},
	{`{"id":1,"sub":"a\udc00"}`, 1, `sub is not valid: ` + halfPair + `; got "\"a\\udc00\""`},
	{`{"id":1,"unsub":true}`, 1, `unsub is a boolean, not a string; got "true"`},
	{`{"id":1,"pub":{},"data":1}`, 1, `pub is an object, not a string; got "{}"`},
	{`{"id":1,"sub":"t","since":"E"}`, 1, `since is a string, expected ["EPOCH",SEQ]; got "\"E\""`},
	{`{"id":1,"sub":"t","since":["",0]}`, 1, `since: epoch is empty`},
	{`{"id":1,"sub":"t","since":["E",9007199254740992]}`, 1, `since: number is not a whole number from 0 to 9007199254740991, in digits only; got "9007199254740992"`},
	{`{"id":1,"sub":"t","last":0}`, 1, "last" + digitsOnly + `"0"`},
	{`{"id":1,"sub":"t","last":"20"}`, 1, "last" + digitsOnly + `"\"20\""`},
	{`{"id":1,"sub":"t","presence":1}`, 1, `presence is a number, not true or false; got "1"`},
	{`{"id":1,"sub":"t","presence":null}`, 1, `presence is null, not true or false; got "null"`},
	{`{"id":1,"pub":"t"}`, 1, `member "data" is missing: expected {"pub":"TOPIC","data":JSON}`},
	{`{"id":1,"pub":"t","data":1,"key":7}`, 1, `key is a number, not a string; got "7"`},
	{`{"id":1,"pub":"t","data":1,"key":""}`, 1, `key is empty`},
	{`{"id":1,"pub":"t","data":1,"key":"a\nb"}`, 1, `key "a\nb" contains the control character U+000A`},
	{`{"id":1,"pub":"t","data":1,"key":"` + long("k", 129) + `"}`, 1, `key "` + long("k", 64) + `"... has 129 bytes, at most 128 are allowed`},
	{`{"id":1,"auth":{"token":"SECRET"}}`, 1, `auth is an object, not a string`},
	{`{"id":1,"auth":"SECRET\ud800"}`, 1, `auth is not valid: ` + halfPair},
	{`{"id":1,"auth":""}`, 1, `auth is empty`},
}

const (
	expected2 = `expected one JSON object with sub, unsub, pub, msg or auth, such as {"id":1,"sub":"TOPIC"}`
	noVerb    = "no verb: expected one of sub, unsub, pub, msg and auth"
	halfPair  = "it has half of a surrogate pair, which is no character (RFC 8259, section 8.2)"
)

func TestParseCommand2SaysWhatIsWrong(t *testing.T) {
	for _, tt := range refusals2 {
		got, refusal := wire.ParseCommand2([]byte(tt.text))
		want := wire.Refusal{ID: tt.id, Code: "bad_message", Message: tt.want}
		if refusal == nil || *refusal != want || got != (command2{}) {
			t.Errorf("%.80s is %+v, with\n%+v, want\n%+v", tt.text, got, refusal, want)
			continue
		}
		checkRefused2(t, tt.text, *refusal)
	}
}

// checkRefused2 checks that a refusal is fit for a frame and for a log.
func checkRefused2(t tester, text string, r wire.Refusal) {
	t.Helper()
	checkLogSafe(t, "refusal", r.Message)
	if len(r.Message) < 10 || len(r.Message) > 400 {
		t.Errorf("%.80q is explained in %d bytes: %s", text, len(r.Message), r.Message)
	}
	if strings.Contains(r.Message, "SECRET") {
		t.Errorf("%.80q is explained by repeating credentials: %s", text, r.Message)
	}
	checkError2(t, wire.AppendRefusal2(nil, r), r, false)
}

func TestParseCommand2RefusesHalvesOfSurrogatePairs(t *testing.T) {
	for escapes, whole := range map[string]bool{
		`\ud83d\ude00`: true, `\\ud83d`: true, `\ud7ff`: true, `\ue000`: true, `\ufffd`: true, `\\\ud83d\ude00`: true, `\uD83D\uDE00x\n`: true,
		`\ud83d`: false, `\ude00`: false, `\ud83dx`: false, `\ud83d\n`: false, `\ud83d\ud83d\ude00`: false, `\ude00\ud83d`: false, `\ud83d\ude00\ude00`: false,
		`\ud83d\\ude00`: false, `\ud83du1234`: false, `\ud83d\u0041`: false, `\\\ud83d`: false,
	} {
		text := `{"sub":"` + escapes + `"}`
		if _, refusal := wire.ParseCommand2([]byte(text)); (refusal == nil) != whole {
			t.Errorf("%s gives %+v", text, refusal)
		}
	}
}

// What is long or deep is accepted or rejected in linear time. In quadratic time, this test would not come to its end.
func TestParseCommand2ComesToAnEnd(t *testing.T) {
	const n = 1 << 20
	for name, text := range map[string]string{
		"brackets":           `{"pub":"t","data":` + long("[", n),
		"closed brackets":    `{"pub":"t","data":` + long("[", n) + long("]", n) + "}",
		"objects":            long(`{"pub":`, n/8),
		"digits of an id":    `{"sub":"t","id":` + long("9", n) + "}",
		"digits of data":     `{"pub":"t","data":` + long("9", n) + "e" + long("9", n) + "}",
		"a long name":        `{"` + long(`\u0041`, n/6) + `":1}`,
		"many names":         `{"sub":"t"` + long(`,"\u0041":1`, n/11) + "}",
		"repeated members":   `{"sub":"t"` + long(`,"last":1`, n/9) + "}",
		"halves":             `{"sub":"` + long(`\ud800\udc00`, n/12) + `\ud800"}`,
		"elements of since":  `{"sub":"t","since":["E"` + long(`,1`, n/2) + "]}",
		"backslashes":        `{"sub":"` + long(`\\`, n/2) + `"}`,
		"space":              `{"sub":"t"` + long(" ", n) + "}",
		"text behind":        `{"sub":"t"}` + long("{", n),
		"brackets in a text": `{"pub":"t","data":"` + long("[", n) + `"}`,
	} {
		if _, refusal := wire.ParseCommand2([]byte(text)); refusal != nil && len(refusal.Message) > 1000 {
			t.Errorf("%s: the refusal has %d bytes", name, len(refusal.Message))
		}
	}
}

func TestParseCommand2AcceptsNestingThatJSONParsersAccept(t *testing.T) {
	for depth, accepted := range map[int]bool{500: true, 9_999: true, 10_001: false} {
		data := long("[", depth) + long("]", depth)
		got, refusal := wire.ParseCommand2([]byte(`{"pub":"t","data":` + data + `}`))
		if (refusal == nil) != accepted || accepted && got.Data != data {
			t.Errorf("%d levels: %+v", depth, refusal)
		}
	}
}

func TestTextOf(t *testing.T) {
	for data, want := range map[string]string{`"d"`: "d", `""`: "", `"a\"b\n世"`: "a\"b\n世", `"\ud800"`: "\ufffd"} {
		if got, isText := wire.TextOf(data); !isText || got != want {
			t.Errorf("the text of %s is %q, %v, want %q", data, got, isText, want)
		}
	}
	for _, data := range []string{"", "1", "null", `{"a":"b"}`, `["a"]`} {
		if got, isText := wire.TextOf(data); isText || got != "" {
			t.Errorf("the text of %s is %q, want none", data, got)
		}
	}
}
