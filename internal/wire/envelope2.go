package wire

import (
	"iter"
	"strconv"
	"unicode/utf8"
)

// Envelope2 encodes the publications of one topic for tank.v2: text frames of the form ["T",SEQ,DATA].
type Envelope2 struct{ prefix []byte }

// NewEnvelope2 escapes the topic, which must be valid UTF-8, once, for all messages to come.
func NewEnvelope2(topic string) Envelope2 {
	prefix := appendString([]byte{'['}, topic)
	return Envelope2{prefix: append(prefix, ',')}
}

// Append appends a publication as one complete text frame. Its strings must be valid UTF-8, and its data JSON if it says so; JSON is
// embedded as it is. A publication whose predecessor in the topic is not seq-1 tells prev, the number of this predecessor, in a
// fourth element, and one that has a From tells that. Number 0 is for a message to one client alone, which has no predecessor.
func (e Envelope2) Append(dst []byte, seq, prev uint64, p *Publication) []byte {
	start := len(dst)
	dst = append(beginText(dst), e.prefix...)
	dst = append(strconv.AppendUint(dst, seq, 10), ',')
	if p.JSON {
		dst = append(dst, p.Data...)
	} else {
		dst = appendString(dst, p.Data)
	}
	jumps := seq != 0 && prev != seq-1
	if p.From != "" || jumps {
		dst = appendDetails(dst, p.From, prev, jumps)
	}
	return endText(append(dst, ']'), start)
}

// Publications yields the publications in frames that Append has made, without topic and key. JSON that is a string is text.
func Publications(frames []byte) iter.Seq[Publication] {
	return func(yield func(Publication) bool) {
		for len(frames) > 0 {
			n := frameLen(frames)
			if !yield(parsePublication(frames[HeaderLen(frames[1]):n])) {
				return
			}
			frames = frames[n:]
		}
	}
}

// parsePublication reads ["T",SEQ,DATA,{"from":...}].
func parsePublication(payload []byte) (p Publication) {
	n := 0
	for element := range elements(payload) {
		switch n {
		case 2:
			p.Data, p.JSON = string(element), true
			if text, isText := TextOf(p.Data); isText {
				p.Data, p.JSON = text, false
			}
		case 3:
			for name, value := range members(element) {
				if string(name) == `"from"` {
					p.From, _ = parseString("from", value) // which Append has encoded
				}
			}
		}
		n++
	}
	return p
}

// appendDetails appends the fourth element of a publication.
func appendDetails(dst []byte, from string, prev uint64, jumps bool) []byte {
	dst = append(dst, ",{"...)
	if from != "" {
		dst = append(dst, `"from":`...)
		dst = appendString(dst, from)
	}
	if from != "" && jumps {
		dst = append(dst, ',')
	}
	if jumps {
		dst = appendMember(dst, `"prev":`, prev)
	}
	return append(dst, '}')
}

// AppendMessage2 appends what the server sends outside of a topic: {"msg":"TEXT"}, {"msg":JSON} for valid JSON, or a binary frame
// for text that is not valid UTF-8, as AppendMessage does.
func AppendMessage2(dst []byte, data string, isJSON bool) []byte {
	if !utf8.ValidString(data) {
		return AppendFrame(dst, OpBinary, data)
	}
	start := len(dst)
	dst = append(beginText(dst), `{"msg":`...)
	if isJSON {
		dst = append(dst, data...)
	} else {
		dst = appendString(dst, data)
	}
	return endText(append(dst, '}'), start)
}

// maxHeader is the length of the longest header of a server's frame.
const maxHeader = 10

// beginText leaves room for the header of a text frame whose payload is about to be appended; endText fills it in. A payload
// is mostly short, and moving it over the rest of the room takes less time than finding out its length beforehand.
func beginText(dst []byte) []byte {
	return append(dst, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
}

// endText completes the frame that begins at start: it writes the header and moves the payload to it.
func endText(dst []byte, start int) []byte {
	payload := dst[start+maxHeader:]
	header := len(AppendHeader(dst[:start], OpText, len(payload)))
	return dst[:header+copy(dst[header:], payload)]
}

// appendMember appends the name of a member, in quotes and with its colon, and a number.
func appendMember(dst []byte, name string, n uint64) []byte {
	return strconv.AppendUint(append(dst, name...), n, 10)
}
