package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// Functions on JSON that json.Valid has accepted. They look for the ends of values and do not check them again. Each takes time
// that is linear in the length of the text, however deep it is nested and however long its numbers are.

// trimSpace returns text without the white space around it.
func trimSpace(text []byte) []byte { return bytes.Trim(text, jsonSpace) }

// members yields the members of an object: each name in its quotes, and its value.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for i := skipSpace(object, 1); object[i] != '}'; {
			nameEnd := skipValue(object, i)
			start := skipSpace(object, skipSpace(object, nameEnd)+1) // behind the colon
			end := skipValue(object, start)
			if !yield(object[i:nameEnd], object[start:end]) {
				return
			}
			i = nextItem(object, end)
		}
	}
}

// elements yields the elements of an array.
func elements(array []byte) iter.Seq[[]byte] {
	return func(yield func(element []byte) bool) {
		for i := skipSpace(array, 1); array[i] != ']'; {
			end := skipValue(array, i)
			if !yield(array[i:end]) {
				return
			}
			i = nextItem(array, end)
		}
	}
}

// nextItem returns where the next member or element begins, or where the bracket is that closes the object or array. The value
// before it ends at i.
func nextItem(text []byte, i int) int {
	i = skipSpace(text, i)
	if text[i] == ',' {
		i = skipSpace(text, i+1)
	}
	return i
}

func skipSpace(text []byte, i int) int {
	for text[i] == ' ' || text[i] == '\t' || text[i] == '\r' || text[i] == '\n' {
		i++
	}
	return i
}

// skipValue returns where the value ends that begins at i.
func skipValue(text []byte, i int) int {
	switch text[i] {
	case '"':
		return skipString(text, i)
	case '{', '[':
		return skipNested(text, i)
	}
	for i < len(text) && !isDelimiter(text[i]) {
		i++
	}
	return i
}

func isDelimiter(b byte) bool {
	switch b {
	case ',', '}', ']', ' ', '\t', '\r', '\n':
		return true
	}
	return false
}

func skipString(text []byte, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skipNested counts brackets in place of recursion, so that a deep value takes no stack.
func skipNested(text []byte, i int) int {
	for depth := 0; ; {
		switch text[i] {
		case '"':
			i = skipString(text, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
}

// typeOf names the type of a value.
func typeOf(value []byte) string {
	switch value[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

var errSurrogate = errors.New("it has half of a surrogate pair, which is no character (RFC 8259, section 8.2)")

// parseString returns the characters of the member name, which has to be a string. It rejects half of a surrogate pair: replaced
// by U+FFFD, different names would become one.
func parseString(name string, value []byte) (string, error) {
	if value[0] != '"' {
		return "", fmt.Errorf("%s is %s, not a string; got %s", name, typeOf(value), Quote(string(value)))
	}
	inner := value[1 : len(value)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), nil
	}
	if hasHalfPair(inner) {
		return "", fmt.Errorf("%s is not valid: %w; got %s", name, errSurrogate, Quote(string(value)))
	}
	var s string
	err := json.Unmarshal(value, &s)
	return s, err
}

// hasHalfPair reports whether a string has an escaped surrogate that is not part of a pair.
func hasHalfPair(s []byte) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		i++ // to the character that is escaped
		switch u := unit(s[i:]); {
		case 0xDC00 <= u && u <= 0xDFFF:
			return true
		case 0xD800 <= u && u <= 0xDBFF:
			const digits = len("uXXXX")
			if len(s) <= i+digits || s[i+digits] != '\\' {
				return true
			}
			i += digits + 1
			if low := unit(s[i:]); low < 0xDC00 || low > 0xDFFF {
				return true
			}
		}
	}
	return false
}

// unit returns the UTF-16 code unit that an escape stands for, or 0 for one that has no digits. The text begins behind the
// backslash.
func unit(escape []byte) uint64 {
	if escape[0] != 'u' {
		return 0
	}
	u, _ := strconv.ParseUint(string(escape[1:5]), 16, 16) // they are digits, because it is valid JSON
	return u
}

// parseNumber returns the whole number of the member name, from least to MaxNumber. It accepts digits and nothing else: JSON allows
// 1.0 and 1e3, but no program writes a counter like that.
func parseNumber(name string, value []byte, least uint64) (uint64, error) {
	n, err := strconv.ParseUint(string(value), 10, 64)
	if err != nil || n > MaxNumber || n < least {
		return 0, fmt.Errorf("%s is not a whole number from %d to %d, in digits only; got %s", name, least, uint64(MaxNumber), Quote(string(value)))
	}
	return n, nil
}

// parseBool returns the boolean of the member name.
func parseBool(name string, value []byte) (bool, error) {
	switch value[0] {
	case 't':
		return true, nil
	case 'f':
		return false, nil
	}
	return false, fmt.Errorf("%s is %s, not true or false; got %s", name, typeOf(value), Quote(string(value)))
}

// TextOf returns the characters of data, which must be valid JSON, if it is a string. Half of a surrogate pair becomes U+FFFD, as
// in a v1 publication.
func TextOf(data string) (text string, isText bool) {
	if data == "" || data[0] != '"' {
		return "", false
	}
	if strings.IndexByte(data, '\\') < 0 {
		return data[1 : len(data)-1], true
	}
	err := json.Unmarshal([]byte(data), &text)
	return text, err == nil
}
