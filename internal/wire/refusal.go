package wire

import (
	"strconv"
	"strings"
)

// Codes of an error frame. docs/protocol.md explains those that plain sockets get, docs/protocol-v2.md all of them.
const (
	RefusedTopic     = "invalid_topic"
	RefusedMessage   = "bad_message" // what it was to be is not known, so there is no topic
	RefusedForbidden = "forbidden"
	RefusedBusy      = "busy"
	RefusedLimit     = "limit"
	RefusedClosing   = "shutting_down"

	// Of tank.v2 alone.
	RefusedInternal     = "internal"     // a callback failed
	RefusedUnsupported  = "unsupported"  // switched off, or without a handler
	RefusedUnavailable  = "unavailable"  // the broker could not be reached
	RefusedExpired      = "expired"      // the credentials are not valid any more
	RefusedUnsubscribed = "unsubscribed" // of an end: the server has ended the subscription
)

// passing holds the codes of errors that may pass without a change of the command. All others have retry false.
var passing = map[string]bool{
	RefusedBusy:        true,
	RefusedClosing:     true,
	RefusedUnavailable: true,
}

// Refusal is why a request of a client was not carried out.
type Refusal struct {
	ID      uint64 // of a command of tank.v2; 0: it has none, or none that could be read
	Code    string
	Message string
	Topic   string // for plain sockets, which have no ids; may be empty
}

// Batch makes a batch of the error frame, for a peer with an encoding.
func (r Refusal) Batch(e Encoding) *Batch {
	if e.IsV2() {
		return NewAnswers(e, AppendRefusal2(nil, r), 1)
	}
	return NewBatch(AppendError(nil, r.Code, r.Message, r.Topic), 1)
}

// AppendRefusal2 appends {"id":ID,"error":{"code":...,"message":...,"retry":...}}, without the id if there is none. The message may
// repeat what a client sent: what is not UTF-8 is replaced, and what could disturb a log or a terminal is escaped.
func AppendRefusal2(dst []byte, r Refusal) []byte {
	start := len(dst)
	dst = append(beginText(dst), '{')
	if r.ID != 0 {
		dst = appendMember(dst, `"id":`, r.ID)
		dst = append(dst, ',')
	}
	dst = append(dst, `"error":`...)
	dst = appendReason(dst, r.Code, r.Message)
	return endText(append(dst, '}'), start)
}

// appendReason appends the object that error and end frames of tank.v2 have in common.
func appendReason(dst []byte, code, message string) []byte {
	dst = append(dst, `{"code":`...)
	dst = appendEcho(dst, strings.ToValidUTF8(code, "\uFFFD"))
	dst = append(dst, `,"message":`...)
	dst = appendEcho(dst, strings.ToValidUTF8(message, "\uFFFD"))
	dst = append(dst, `,"retry":`...)
	return append(strconv.AppendBool(dst, passing[code]), '}')
}
