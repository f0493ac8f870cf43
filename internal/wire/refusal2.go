package wire

import (
	"strconv"
	"strings"
)

// Codes of an error or end frame that only tank.v2 has, see refusal.go for those that v1 has, too.
const (
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

// Refusal2 is why a command of tank.v2 was not carried out.
type Refusal2 struct {
	ID      uint64 // of the command; 0: it has none, or none that could be read
	Code    string
	Message string
}

// AppendRefusal2 appends {"id":ID,"error":{"code":...,"message":...,"retry":...}}, without the id if there is none. The message may
// repeat what a client sent: what is not UTF-8 is replaced, and what could disturb a log or a terminal is escaped.
func AppendRefusal2(dst []byte, r Refusal2) []byte {
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

// appendReason appends the object that error and end frames have in common.
func appendReason(dst []byte, code, message string) []byte {
	dst = append(dst, `{"code":`...)
	dst = appendEcho(dst, strings.ToValidUTF8(code, "\uFFFD"))
	dst = append(dst, `,"message":`...)
	dst = appendEcho(dst, strings.ToValidUTF8(message, "\uFFFD"))
	dst = append(dst, `,"retry":`...)
	return append(strconv.AppendBool(dst, passing[code]), '}')
}
