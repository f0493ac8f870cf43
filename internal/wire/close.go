package wire

import (
	"fmt"
	"unicode/utf8"
)

// Close codes, RFC 6455 section 7.4.1 and the IANA registry.
const (
	CloseNormal         = 1000
	CloseGoingAway      = 1001
	CloseProtocolError  = 1002
	CloseNoStatus       = 1005 // never on the wire: a close frame without a code
	CloseAbnormal       = 1006 // never on the wire: the connection ended without a close frame
	CloseInvalidPayload = 1007
	ClosePolicy         = 1008
	CloseTooBig         = 1009
	CloseInternalError  = 1011
	CloseTryAgainLater  = 1013
	CloseUnauthorized   = 3000
	CloseForbidden      = 3003
)

// Close is why a connection ends: a close code, and its reason (RFC 6455, section 7.1.6).
type Close struct {
	Code   int
	Reason string
}

// What the server itself closes a connection with. docs/protocol.md has the same table.
var (
	ClosedByServer       = Close{CloseNormal, "closed by server"}
	ShuttingDown         = Close{CloseGoingAway, "server is shutting down, please reconnect"}
	ProtocolError        = Close{CloseProtocolError, "protocol error"}
	NotUTF8              = Close{CloseInvalidPayload, "text is not valid UTF-8"}
	ReasonNotUTF8        = Close{CloseInvalidPayload, "close reason is not valid UTF-8"}
	CorruptData          = Close{CloseInvalidPayload, "compressed data is corrupt"}
	SlowMessage          = Close{ClosePolicy, "message took too long"}
	SlowInflate          = Close{ClosePolicy, "message takes too long to inflate"}
	TooManyPings         = Close{ClosePolicy, "too many pings"}
	TooManyPongs         = Close{ClosePolicy, "too many pongs"}
	TooManySubscriptions = Close{ClosePolicy, "too many subscriptions"}
	TooManyConnections   = Close{ClosePolicy, "too many connections"}
	MessageTooBig        = Close{CloseTooBig, "message too big"}
	InternalError        = Close{CloseInternalError, "internal error"}
	SlowClient           = Close{CloseTryAgainLater, "slow client"}
	CredentialsExpired   = Close{CloseUnauthorized, "credentials expired"}
	ConnectionRefused    = Close{CloseForbidden, "refused"}
)

// CheckClose says whether an application may send this code and reason in a close frame: 1000, 1001, 1003, 1007 to
// 1014, or 3000 to 4999, and at most MaxCloseReason bytes of valid UTF-8.
func CheckClose(code int, reason string) error {
	switch {
	case code == 1000, code == 1001, code == 1003, code >= 1007 && code <= 1014, code >= 3000 && code <= 4999:
	default:
		return fmt.Errorf("close code %d may not be sent (RFC 6455, section 7.4)", code)
	}
	if len(reason) > MaxCloseReason {
		return fmt.Errorf("close reason has %d bytes, at most %d fit (RFC 6455, section 5.5)", len(reason), MaxCloseReason)
	}
	if !utf8.ValidString(reason) {
		return fmt.Errorf("close reason %s is not valid UTF-8", Quote(reason))
	}
	return nil
}
