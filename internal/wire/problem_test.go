package wire_test

import (
	"strings"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// checkProblem checks that what is not understood, and nothing else, comes with an explanation, and one fit for a frame and a log.
func checkProblem(t tester, text string, c wire.Command) {
	t.Helper()
	if isOther, hasProblem := c.Kind == wire.Other, c.Problem != (wire.Problem{}); isOther != hasProblem {
		t.Errorf("%.80q is of kind %d, and its problem %+v", text, c.Kind, c.Problem)
	}
	if c.Kind != wire.Other {
		return
	}
	why := c.Problem.Explain([]byte(text))
	checkLogSafe(t, "Explain", why)
	if len(why) < 20 || len(why) > 400 {
		t.Errorf("%.80q is explained in %d bytes: %q", text, len(why), why)
	}
	checkRefusal(t, wire.AppendError(nil, "bad_message", why, ""), "bad_message", why)
}

func TestExplain(t *testing.T) {
	const expected = `expected sub:TOPIC, unsub:TOPIC or {"topic":"TOPIC","data":"TEXT"}`
	for text, want := range map[string]string{
		`{"topic":"t","data":{"id":1}}`:        `data is an object, not a string: send text, for example JSON.stringify(value); got "{\"id\":1}"`,
		`{"data":{"a":["}"]} ,"topic":"t"}`:    `data is an object, not a string: send text, for example JSON.stringify(value); got "{\"a\":[\"}\"]}"`,
		`{"topic":"t","data":[1,`:              `data is an array, not a string: send text, for example JSON.stringify(value); got "[1,"`,
		`{"topic":"t","data": 1.50 }`:          `data is a number, not a string: send text, for example JSON.stringify(value); got "1.50"`,
		`{"topic":"t","data":[1]}`:             `data is an array, not a string: send text, for example JSON.stringify(value); got "[1]"`,
		`{"topic":"t","data":true}`:            `data is a boolean, not a string: send text, for example JSON.stringify(value); got "true"`,
		`{"data":"d","topic":null}`:            `topic is null, not a string: send text, for example JSON.stringify(value); got "null"`,
		`{"topic":"t","data":"d","id":1}`:      `unexpected member "id": there are topic and data, and no others`,
		`{"Topic":"t","data":"d"}`:             `unexpected member "Topic": did you mean "topic"?`,
		`{"topic":"t","data":"d","topic":"t"}`: `repeated member "topic": send it once`,
		`{"topic":"t"}`:                        `member "data" is missing: ` + expected + `; got "{\"topic\":\"t\"}"`,
		`{"data":"d"}`:                         `member "topic" is missing: ` + expected + `; got "{\"data\":\"d\"}"`,
		`{}`:                                   `member "topic" is missing: ` + expected + `; got "{}"`,
		`{"topic":"t","data":"d"} {}`:          `text behind the object: send one object a message; got "{}"`,
		`{"topic":"t","data":"d",}`:            `malformed JSON (RFC 8259) after byte 24: ` + expected + `; got "{\"topic\":\"t\",\"data\":\"d\",}"`,
		`{topic:"t"}`:                          `malformed JSON (RFC 8259) after byte 1: ` + expected + `; got "{topic:\"t\"}"`,
		`subscribe:t`:                          `did you mean sub:TOPIC? The prefix is in lower case and ends with a colon; got "subscribe:t"`,
		`SUB:t`:                                `did you mean sub:TOPIC? The prefix is in lower case and ends with a colon; got "SUB:t"`,
		` sub:t`:                               `did you mean sub:TOPIC? The prefix is in lower case and ends with a colon; got " sub:t"`,
		`sub t`:                                `did you mean sub:TOPIC? The prefix is in lower case and ends with a colon; got "sub t"`,
		`Unsub:t`:                              `did you mean unsub:TOPIC? The prefix is in lower case and ends with a colon; got "Unsub:t"`,
		`unsubscribe:t`:                        `did you mean unsub:TOPIC? The prefix is in lower case and ends with a colon; got "unsubscribe:t"`,
		`subtle`:                               expected + `; got "subtle"`,
		`hello`:                                expected + `; got "hello"`,
		``:                                     expected + `; got ""`,
		`["topic"]`:                            expected + `; got "[\"topic\"]"`,
		strings.Repeat("x", 100):               expected + `; got "` + strings.Repeat("x", 64) + `"...`,
		`{"topic":"t","data":` + strings.Repeat("9", 100) + `}`: `data is a number, not a string: send text, for example JSON.stringify(value); got "` + strings.Repeat("9", 64) + `"...`,
	} {
		if got := wire.Parse([]byte(text)).Problem.Explain([]byte(text)); got != want {
			t.Errorf("%q is explained by\n%s, want\n%s", text, got, want)
		}
	}
}
