package wire

import "strconv"

// What tank.v2 tells a client that asked for nothing. Topics and epochs must be valid, see CheckTopic and Position.Check.

// beginNotice begins a frame about a topic: {"topic":"T",.
func beginNotice(dst []byte, topic string) []byte {
	dst = append(beginText(dst), `{"topic":`...)
	return append(appendString(dst, topic), ',')
}

// AppendLost appends {"topic":"T","lost":N,"seq":SEQ}: n publications up to seq were dropped for this client.
func AppendLost(dst []byte, topic string, n, seq uint64) []byte {
	start := len(dst)
	dst = appendMember(beginNotice(dst, topic), `"lost":`, n)
	dst = appendMember(dst, `,"seq":`, seq)
	return endText(append(dst, '}'), start)
}

// AppendGap appends {"topic":"T","gap":{"seq":SEQ}}: publications before seq may be missing.
func AppendGap(dst []byte, topic string, seq uint64) []byte {
	start := len(dst)
	dst = appendMember(beginNotice(dst, topic), `"gap":{"seq":`, seq)
	return endText(append(dst, "}}"...), start)
}

// AppendReset appends {"topic":"T","reset":{"epoch":E,"seq":SEQ}}: the numbering began anew.
func AppendReset(dst []byte, topic string, at Position) []byte {
	start := len(dst)
	dst = append(beginNotice(dst, topic), `"reset":{`...)
	return endText(append(appendPosition(dst, at), "}}"...), start)
}

// AppendEnd appends {"topic":"T","end":{"code":...,"message":...,"retry":...}}: the server ended the subscription. The message is
// escaped like that of AppendRefusal2.
func AppendEnd(dst []byte, topic, code, message string) []byte {
	start := len(dst)
	dst = append(beginNotice(dst, topic), `"end":`...)
	return endText(append(appendReason(dst, code, message), '}'), start)
}

// AppendExpires appends {"expires":N}: the credentials are valid for this many more seconds.
func AppendExpires(dst []byte, seconds uint64) []byte {
	start := len(dst)
	dst = appendMember(beginText(dst), `{"expires":`, seconds)
	return endText(append(dst, '}'), start)
}

// AppendBeat appends the heartbeat that a page can see: {}.
func AppendBeat(dst []byte) []byte { return AppendFrame(dst, OpText, "{}") }

// AppendBye appends {"bye":{"code":N,"within":MS}}: the connection is about to be closed with this code, and the client should
// return at a random time within so many milliseconds.
func AppendBye(dst []byte, code int, milliseconds uint64) []byte {
	start := len(dst)
	dst = append(beginText(dst), `{"bye":{"code":`...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = appendMember(dst, `,"within":`, milliseconds)
	return endText(append(dst, "}}"...), start)
}

// AppendInterrupted appends {"interrupted":BOOL}: whether this node has lost its way to the other nodes.
func AppendInterrupted(dst []byte, interrupted bool) []byte {
	start := len(dst)
	dst = append(beginText(dst), `{"interrupted":`...)
	return endText(append(strconv.AppendBool(dst, interrupted), '}'), start)
}
