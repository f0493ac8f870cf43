package wire

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of names, in bytes.
const (
	MaxTopic  = 255
	MaxUserID = 128
)

// maxQuoted is the maximum number of bytes of foreign text in an error, an event or a log line.
const maxQuoted = 128

// CheckTopic says whether name can be a topic: 1 to MaxTopic bytes of UTF-8 without control characters.
func CheckTopic(name string) error { return checkName("topic", name, MaxTopic) }

// CheckUserID says whether id can be a user id: 1 to MaxUserID bytes of UTF-8 without control characters.
func CheckUserID(id string) error { return checkName("user id", id, MaxUserID) }

// CheckKey says whether key can make a repetition of a publication known: 1 to MaxKey bytes of UTF-8 without control characters.
func CheckKey(key string) error { return checkName("key", key, MaxKey) }

// OwnersKey returns the key of an owner as a broker has it: with the same key, another owner publishes something else.
func OwnersKey(owner, key string) string { return owner + "\x00" + key }

// BareKey returns a key without its owner, if it has one: see OwnersKey. No key contains a control character, see CheckKey.
func BareKey(key string) string { return key[strings.LastIndexByte(key, 0)+1:] }

func checkName(what, s string, most int) error {
	switch {
	case s == "":
		return fmt.Errorf("%s is empty", what)
	case len(s) > most:
		return fmt.Errorf("%s %s has %d bytes, at most %d are allowed", what, Quote(s), len(s), most)
	case !utf8.ValidString(s):
		return fmt.Errorf("%s %s is not valid UTF-8", what, Quote(s))
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return fmt.Errorf("%s %s contains the control character %U", what, Quote(s), r)
		}
	}
	return nil
}

// Quote returns s in double quotes, shortened and with everything escaped that could disturb a log line or a terminal.
func Quote(s string) string {
	short := cut(s, maxQuoted/2)
	q := strconv.QuoteToGraphic(short)
	if len(q) > maxQuoted || hasFormat(short) {
		short = cut(s, (maxQuoted-len(`""`))/len(`\x00`)) // so that it fits when every byte is escaped
		q = strconv.QuoteToASCII(short)
	}
	if len(short) < len(s) {
		q += "..."
	}
	return q
}

// hasFormat reports whether s has format characters, such as those that turn the direction of text around.
func hasFormat(s string) bool {
	for _, r := range s {
		if unicode.Is(unicode.Cf, r) {
			return true
		}
	}
	return false
}

// Clean returns text as it is when it is short and printable, and quoted and shortened otherwise.
func Clean(s string) string {
	if len(s) > maxQuoted || !utf8.ValidString(s) {
		return Quote(s)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return Quote(s)
		}
	}
	return s
}
