package natsbroker

import (
	"strings"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// FuzzToken: names have one token each, no two the same, without wildcards.
func FuzzToken(f *testing.F) {
	for _, name := range []string{"", "=", "=3D", "x=41", "xA", "a.b", "*", ">", "a b", "日本", "\x00close", "A", "a", "$SYS.x", "127\xe9", " ", "\r\n"} {
		f.Add(name, "x"+name)
	}
	f.Fuzz(func(t *testing.T, one, other string) {
		a, b := token(one), token(other)
		if (a == b) != (one == other) {
			t.Errorf("%q and %q have the tokens %q and %q", one, other, a, b)
		}
		if a == "" || strings.Trim(a, "=-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			t.Errorf("%q has the token %q", one, a)
		}
		if len(a) > max(1, 3*len(one)) {
			t.Errorf("%q has a token of %d bytes", one, len(a))
		}
		if back := untoken(a); back != one {
			t.Errorf("%q has the token %q, which is that of %q", one, a, back)
		}
		br := &Broker{prefix: "tank.c."}
		if subject, err := subject(br.prefix, one); err == nil && len("SUB ")+len(subject)+len("  18446744073709551615\r\n") > 4096 {
			t.Errorf("a name of %d bytes has a subject of %d", len(one), len(subject))
		} else if err != nil && len(one) <= 1024 {
			t.Errorf("a name of %d bytes: %v", len(one), err)
		}
	})
}

// untoken reads a token.
func untoken(token string) string {
	if token == "=" {
		return ""
	}
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		if token[i] != '=' {
			b.WriteByte(token[i])
			continue
		}
		b.WriteByte(byte(strings.IndexByte(upperHex, token[i+1])<<4 | strings.IndexByte(upperHex, token[i+2])))
		i += 2
	}
	return b.String()
}

// FuzzGroup: what is accepted cannot leave the group.
func FuzzGroup(f *testing.F) {
	for _, group := range []string{"tank", "a.b", "", ".", "a..b", "a.*", ">", "a b", "日", strings.Repeat("x", 129)} {
		f.Add(group)
	}
	f.Fuzz(func(t *testing.T, group string) {
		if checkGroup(group) != nil {
			return
		}
		if len(group) > 128 || strings.ContainsAny(group, "*> \t\r\n\x00$") || strings.Contains("."+group+".", "..") {
			t.Errorf("the group %q was accepted", group)
		}
	})
}

// FuzzPayload: publications come back as they were, and nothing from NATS is fatal.
func FuzzPayload(f *testing.F) {
	f.Add("", "", "", false)
	f.Add("\xff", "", "", false)
	f.Add("\xff\x01\x00\x00\x00", "", "", false)
	f.Add("\xff\x02", "key", "from", true)
	f.Add("{}", "", "", true)
	f.Add("\xff\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "k", "", false)
	f.Fuzz(func(t *testing.T, data, key, from string, json bool) {
		p := broker.Publication{Data: data, Key: key, From: from, JSON: json}
		b := encode(p)
		if got, err := decode(b); err != nil || got != p {
			t.Errorf("%+v came back as %+v, %v", p, got, err)
		}
		text := key == "" && from == "" && !json && !strings.HasPrefix(data, "\xff")
		if text != (string(b) == data) {
			t.Errorf("%+v is the payload %q", p, b)
		}
		if got, err := decode([]byte(data)); err != nil && got.Data != "" {
			t.Errorf("%q was decoded as %+v, and %v", data, got, err)
		}
	})
}
