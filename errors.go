package tank

import (
	"errors"
	"fmt"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/hub"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Errors to test for with errors.Is. An error may have more text, such as the rejected name.
var (
	// ErrClosed says that the instance, or the client, is shut down or about to be.
	ErrClosed = hub.ErrClosed
	// ErrBusy says that a wait ended too early: for room in a topic's queue, for the return of a callback, or for Start.
	ErrBusy = hub.ErrBusy
	// ErrInvalidTopic says that a name cannot be a topic: not 1 to 255 bytes of UTF-8 without control characters.
	ErrInvalidTopic = errors.New("tank: invalid topic")
	// ErrInvalidData says that the text to send is not valid UTF-8, or that a value cannot be JSON.
	ErrInvalidData = errors.New("tank: data is not valid")
	// ErrInvalidClose says that a close code or reason may not be sent (RFC 6455, section 7.4).
	ErrInvalidClose = errors.New("tank: invalid close code or reason")
	// ErrInvalidUserID, in the Err of an ErrorEvent, says that a user id is not up to 128 bytes of UTF-8 without control
	// characters. No method returns it.
	ErrInvalidUserID = errors.New("tank: invalid user id")
	// ErrInvalidIdentity says that an Identity cannot renew that of a client, see Client.Renew.
	ErrInvalidIdentity = errors.New("tank: invalid identity")
	// ErrForbidden, in the Err of an ErrorEvent, says that the authenticator, an authorizer, the connect handler or the origin
	// check rejected a request. No method returns it.
	ErrForbidden = errors.New("tank: forbidden")
	// ErrLimit says that a limit is reached; see Limits.
	ErrLimit = hub.ErrLimit
	// ErrBroker says that the broker has not accepted a publication, mostly because there is no connection to it; see WithBroker.
	ErrBroker = hub.ErrBroker
	// ErrNotFound says that a client is not subscribed to the topic.
	ErrNotFound = hub.ErrNotFound
)

// ErrorCode says what kind of fault an ErrorEvent reports. A code below 2000 is the WebSocket close code that the client gets
// (RFC 6455, section 7.4.1). The others are no close codes.
type ErrorCode int

// The codes of an ErrorEvent.
const (
	CodeProtocol   ErrorCode = 1002 // a client violated RFC 6455, or sent text that is not UTF-8; it is closed with 1002 or 1007
	CodeTooBig     ErrorCode = 1009 // a client sent a message over the limit
	CodeInternal   ErrorCode = 1011 // a callback, middleware or an actor panicked; Err is an *actor.PanicError with the stack
	CodeSlowClient ErrorCode = 1013 // a client's outbox, or all outboxes together, exceeded the limit; it is closed, or loses messages

	CodeSerialization ErrorCode = 2001 // a message could not be encoded; Err is ErrInvalidData, or ErrInvalidUserID for a From
	CodeUpgrade       ErrorCode = 2002 // a request was rejected before the upgrade, or the handshake failed
	CodeRead          ErrorCode = 2003 // a connection ended without a close frame
	CodeWrite         ErrorCode = 2004 // a socket write failed; the client is disconnected
	CodeHeartbeat     ErrorCode = 2005 // no byte arrived from a client since the last ping; it is disconnected
	CodeAuth          ErrorCode = 2006 // the authenticator rejected a request: 401; or the token handler a token: error frame
	CodeForbidden     ErrorCode = 2007 // an authorizer rejected a subscription or publication: error frame; or the connect handler a connection
	CodeLimit         ErrorCode = 2008 // a client exceeded a limit: of time, pings, subscriptions or connections; Err says which
	CodeRequest       ErrorCode = 2009 // a request handler failed with an error that is no *RequestError; the client gets an error frame "internal"
	CodeBroker        ErrorCode = 2010 // the connection to the broker is lost, or publications from there may be missing; see WithBroker
)

// CloseCode is a WebSocket close code, RFC 6455 section 7.4.
type CloseCode int

// The close codes of the protocol, which docs/protocol.md explains. The application's own begin at 4000.
const (
	CloseNormal         CloseCode = wire.CloseNormal
	CloseGoingAway      CloseCode = wire.CloseGoingAway // by Shutdown: reconnect
	CloseProtocolError  CloseCode = wire.CloseProtocolError
	CloseNoStatus       CloseCode = wire.CloseNoStatus // the peer's close frame had no code; it cannot be sent
	CloseAbnormal       CloseCode = wire.CloseAbnormal // the connection ended without a close frame; it cannot be sent
	CloseInvalidPayload CloseCode = wire.CloseInvalidPayload
	ClosePolicy         CloseCode = wire.ClosePolicy // a limit was exceeded
	CloseTooBig         CloseCode = wire.CloseTooBig
	CloseInternalError  CloseCode = wire.CloseInternalError // a callback panicked
	CloseTryAgainLater  CloseCode = wire.CloseTryAgainLater // the client was too slow
	CloseUnauthorized   CloseCode = wire.CloseUnauthorized  // the credentials have expired: get new ones, then reconnect
	CloseForbidden      CloseCode = wire.CloseForbidden     // the client is refused: do not reconnect
)

// ErrorEvent is one fault that the instance has dealt with. It never carries a message's data.
type ErrorEvent struct {
	Code     ErrorCode
	Message  string // what happened, in a few words
	Err      error  // the cause; may be nil
	ClientID string // empty when the fault is not of one client
	UserID   string
	Topic    string
	Time     time.Time
}

// Error returns the message and its cause.
func (e *ErrorEvent) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *ErrorEvent) Unwrap() error { return e.Err }

// isPanic reports whether err is a recovered panic, maybe with advice. It calls no method of err, which may be a callback's.
func isPanic(err error) bool {
	if a, ok := err.(advised); ok {
		err = a.error
	}
	_, ok := err.(*actor.PanicError)
	return ok
}

// forbidden marks what a callback refused with, unless it panicked.
func forbidden(err error) error {
	if isPanic(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrForbidden, err)
}

// checkTopic returns ErrInvalidTopic, with the reason, for a name that cannot be a topic.
func checkTopic(topic string) error {
	if err := wire.CheckTopic(topic); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidTopic, err)
	}
	return nil
}
