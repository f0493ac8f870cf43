package wire

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Envelope encodes the messages of one topic: text frames of the form {"topic":"T","data":"D"}.
type Envelope struct{ prefix []byte }

// NewEnvelope escapes the topic once, for all messages to come.
func NewEnvelope(topic string) Envelope {
	prefix := append([]byte(nil), `{"topic":`...)
	prefix = appendString(prefix, topic)
	return Envelope{prefix: append(prefix, `,"data":`...)}
}

// Append appends data, which must be valid UTF-8, as one complete text frame.
func (e Envelope) Append(dst []byte, data string) []byte {
	dst = AppendHeader(dst, OpText, len(e.prefix)+stringLen(data)+1)
	dst = append(dst, e.prefix...)
	dst = appendString(dst, data)
	return append(dst, '}')
}

// AppendError appends a refusal as one complete text frame: {"error":{"code":...,"message":...,"topic":...}}.
// The code and the message must be valid UTF-8. The topic may be what a client sent: one that is too long to be a topic is
// shortened, what is not UTF-8 replaced, and what could disturb a log or a terminal escaped.
func AppendError(dst []byte, code, message, topic string) []byte {
	payload := append([]byte(nil), `{"error":{"code":`...)
	payload = appendString(payload, code)
	payload = append(payload, `,"message":`...)
	payload = appendString(payload, message)
	payload = append(payload, `,"topic":`...)
	if len(topic) > MaxTopic {
		topic = cut(topic, maxQuoted)
	}
	payload = appendEcho(payload, strings.ToValidUTF8(topic, "\uFFFD"))
	return AppendFrame(dst, OpText, append(payload, "}}"...))
}

const hex = "0123456789abcdef"

// escaped holds the number of bytes each byte takes inside a JSON string, RFC 8259 section 7. Bytes of multi-byte
// characters stand for themselves.
var escaped = func() (t [256]uint8) {
	for b := range t {
		switch {
		case b == '"' || b == '\\' || b == '\n' || b == '\r' || b == '\t':
			t[b] = 2
		case b < 0x20:
			t[b] = 6
		default:
			t[b] = 1
		}
	}
	return t
}()

// stringLen returns how many bytes appendString adds.
func stringLen(s string) int {
	n := 2
	for i := 0; i < len(s); i++ {
		n += int(escaped[s[i]])
	}
	return n
}

// appendString appends s, which must be valid UTF-8, as a JSON string.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		b := s[i]
		if escaped[b] == 1 {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch b {
		case '"', '\\':
			dst = append(dst, '\\', b)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&0xF])
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// appendEcho is appendString for what a stranger wrote: every character that could disturb a log or a terminal is
// escaped, although JSON does not ask for it.
func appendEcho(dst []byte, s string) []byte {
	for _, r := range string(appendString(nil, s)) {
		if r < 0x7F || !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			dst = utf8.AppendRune(dst, r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			dst = fmt.Appendf(dst, `\u%04x`, unit)
		}
	}
	return dst
}
