package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// validUTF8 and invalidUTF8 are the sequences at the edges of RFC 3629, which RFC 6455 section 8.1 refers to.
var validUTF8 = []string{
	"\x00", "\x7F", "\u0080", "\u07FF", "\u0800", "\uD7FF", "\uE000", "\uFFFD", "\uFFFE", "\uFFFF", "\U00010000",
	"\U0001FFFE", "\U0003FFFF", "\U000FFFFF", "\U0010FFFF", // the last of each length, and what is no character but a code point
	"\uFEFFa byte order mark", "e\u0301", "\u200F\u202E", "κόσμε", "Hello-µ@ßöäüàá-UTF-8!!", "世界", "🎈👩‍👩‍👧", "नमस्ते", "水𐍈x",
}

var invalidUTF8 = []string{
	"\x80", "\xBF", "\x80\xBF", "a\x80b", "\xC3\xA9\xA9", // a continuation of nothing
	"\xC0\x80", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF", // longer than they have to be
	"\xED\xA0\x80", "\xED\xAD\xBF", "\xED\xB0\x80", "\xED\xBF\xBF", "\xED\xA0\x80\xED\xB0\x80", // surrogates
	"\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xF7\xBF\xBF\xBF", // above U+10FFFF
	"\xF8\x88\x80\x80\x80", "\xFB\xBF\xBF\xBF\xBF", "\xFC\x84\x80\x80\x80\x80", "\xFD\xBF\xBF\xBF\xBF\xBF", "\xFE", "\xFF", "\xFE\xFE\xFF\xFF",
	"\xC3", "\xE2\x82", "\xE2", "\xF0\x9F\x8E", "\xF0\x9F", "\xF0", "世\xE7\x95", // cut short
	"\xC3(", "\xE2(\xA1", "\xE2\x82(", "\xF0(\x8C\xBC", "\xF0\x90(\xBC", "\xF0\x90\x8C(", // something else in the middle
	"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xED\xA0\x80edited",
}

func TestTextIsUTF8(t *testing.T) {
	t.Parallel()
	_, server := start(t, 1<<20)
	ping := frame(fin|opPing, "ping")
	for _, s := range append(validUTF8, strings.Join(validUTF8, " ")) {
		pinged := append(slices.Repeat(pongs("ping"), len(s)-1), texts(s)...)
		for _, x := range []exchange{
			{"8.1", fmt.Sprintf("valid %+q", s), frame(fin|opText, s), texts(s), 0},
			{"8.1", fmt.Sprintf("valid %+q in fragments", s), fragmented(opText, s, 1, ""), texts(s), 0},
			{"8.1", fmt.Sprintf("valid %+q in fragments, empty ones between", s), fragmented(opText, s, 1, frame(opCont, "")), texts(s), 0},
			{"8.1", fmt.Sprintf("valid %+q in fragments, pings between", s), fragmented(opText, s, 1, ping), pinged, 0},
		} {
			x.run(t, server, "")
		}
	}
	for _, s := range invalidUTF8 {
		for _, x := range []exchange{
			{"8.1", fmt.Sprintf("invalid %+q", s), frame(fin|opText, s), nil, 1007},
			{"8.1", fmt.Sprintf("invalid %+q behind something", s), frame(fin|opText, "first") + frame(fin|opText, "水"+s), texts("first"), 1007},
			{"8.1", fmt.Sprintf("invalid %+q in fragments", s), fragmented(opText, s, 1, ""), nil, 1007},
			{"8.1", fmt.Sprintf("invalid %+q in fragments, empty ones between", s), fragmented(opText, s, 1, frame(opCont, "")), nil, 1007},
			{"5.6", fmt.Sprintf("%+q is binary", s), frame(fin|opBinary, s), messages(opBinary, s), 0},
			{"5.6", fmt.Sprintf("%+q is binary, in fragments", s), fragmented(opBinary, s, 1, ""), messages(opBinary, s), 0},
		} {
			x.run(t, server, "")
		}
	}
}

// TestInvalidTextIsRefusedAtOnce ends each exchange where it becomes certain that the text will not be valid. Nothing
// more comes.
func TestInvalidTextIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	_, server := start(t, 1<<20)
	const good = "κόσμε"
	for _, s := range []string{"\x80", "\xC0", "\xC1", "\xE0\x9F", "\xF0\x8F", "\xED\xA0", "\xF4\x90", "\xF5", "\xFF", "\xC3(", "\xE2\x82(", "\xF0\x9F\x8E("} {
		parts := fragmented(opText, good+s+"x", 1, "")
		unfinished := frame(fin|opText, good+s+strings.Repeat("x", 1000)) // with a header of 8 bytes
		continued := frame(opText, good[:3]) + frame(fin|opCont, good[3:]+s+"more")
		for _, x := range []exchange{
			{"8.1", fmt.Sprintf("%+q in the first fragment", s), frame(opText, good+s), nil, 1007},
			{"8.1", fmt.Sprintf("%+q in the second fragment", s), frame(opText, good) + frame(opCont, s), nil, 1007},
			{"8.1", fmt.Sprintf("%+q in fragments", s), parts[:len(parts)-len(frame(0, "x"))], nil, 1007},
			{"8.1", fmt.Sprintf("%+q in half a frame", s), unfinished[:8+len(good+s)], nil, 1007},
			{"8.1", fmt.Sprintf("%+q in half a last fragment", s), continued[:len(continued)-len("more")], nil, 1007},
		} {
			x.run(t, server, "")
		}
	}
	// What may still become valid is waited for.
	for _, s := range []string{"\xC3", "\xE0\xA0", "\xED\x9F", "\xF0\x90", "\xF4\x8F", "\xF4\x8F\xBF"} {
		rest := map[int]string{1: "\x80", 2: "\x80", 3: "\xBF"}[len(s)]
		if s[0] >= 0xF0 && len(s) == 2 {
			rest = "\xBF\xBF"
		}
		exchange{"8.1", fmt.Sprintf("%+q is not refused", s), frame(opText, s) + frame(fin|opPing, "") + frame(fin|opCont, rest),
			append(pongs(""), texts(s+rest)...), 0}.run(t, server, "")
	}
}
