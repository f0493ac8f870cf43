package tank

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Request is what a client of tank.v2 asks the application with {"id":ID,"msg":JSON}. See WithRequestHandler.
type Request struct {
	Data json.RawMessage // one valid JSON value, as the client wrote it; the handler may keep it
}

// Decode decodes the data as encoding/json does. When that fails, it returns a *RequestError that tells the client so, with the code
// "bad_message".
func (r Request) Decode(v any) error {
	err := json.Unmarshal(r.Data, v)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong) && wrong.Field != "": // whose text is about Go
		return &RequestError{Code: wire.RefusedMessage, Message: fmt.Sprintf("%s cannot be of the type %s", wire.Quote(wrong.Field), wrong.Value)}
	case wrong != nil:
		return &RequestError{Code: wire.RefusedMessage, Message: fmt.Sprintf("the message cannot be of the type %s", wrong.Value)}
	}
	return &RequestError{Code: wire.RefusedMessage, Message: err.Error()}
}

// RequestError is what a request handler returns to tell the client why a request failed. Any other error is not shown to it.
type RequestError struct {
	Code    string // for programs, such as "not_found"; those of the protocol mean what docs/protocol-v2.md says: "busy" sets retry
	Message string // for people
}

// Error returns the code and the message.
func (e *RequestError) Error() string { return e.Code + ": " + e.Message }

// handleRequest has a request answered. It runs in the reader's goroutine.
func (c *Client) handleRequest(id uint64, data string) {
	if c.m.config.handleRequest == nil {
		says := "this server answers no requests"
		if c.m.config.handleMessage != nil {
			says += ": send msg without an id"
		}
		c.unsupported(id, says)
		return
	}
	c.sync()
	var answer string
	began := time.Now()
	err := c.guard("request handler panicked", "", func() error {
		result, err := c.m.config.handleRequest(c, Request{json.RawMessage(data)})
		if err == nil {
			answer, err = encodeResult("the result of the request handler", result)
		}
		return err
	})
	c.m.countRequest(time.Since(began), err)
	switch {
	case err == nil:
		c.session.Client.Send(wire.NewAnswers(c.session.Client.Encoding(), wire.AppendAnswer(nil, id, answer), 1))
	case !isPanic(err):
		c.refuse(c.requestRefusal(id, err))
	}
}

// countRequest counts a call of the request handler, which took so long. Any goroutine may call it.
func (m *Manager) countRequest(took time.Duration, err error) {
	m.histograms.requestLatency.Observe(int64(took))
	m.counters.requests.Add(1)
	if err != nil {
		m.counters.requestsFailed.Add(1)
	}
}

// encodeResult encodes what a callback has returned. It returns ErrInvalidData for what is no JSON; of says what it is.
func encodeResult(of string, result any) (string, error) {
	text, err := wire.EncodeJSON(result)
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: %s cannot be encoded: %w", ErrInvalidData, of, err)
	case !utf8.ValidString(text): // a json.RawMessage is taken as it is
		return "", fmt.Errorf("%w: %s is not valid UTF-8", ErrInvalidData, of)
	}
	return text, nil
}

// requestRefusal makes of a request handler's error what the client is told.
func (c *Client) requestRefusal(id uint64, err error) wire.Refusal {
	refusal := wire.Refusal{ID: id, Code: wire.RefusedInternal, Message: "the request failed"}
	told := false
	_ = actor.Try(func() error { // the error's methods may be anybody's
		var chosen *RequestError
		switch {
		case errors.As(err, &chosen) && chosen != nil && chosen.Code != "":
			told, refusal.Code, refusal.Message = true, chosen.Code, chosen.Message
		case errors.Is(err, ErrBusy):
			told, refusal.Code, refusal.Message = true, wire.RefusedBusy, "the server is busy: try again"
		}
		return nil
	})
	if !told {
		c.report(CodeRequest, "request failed", "", err)
	}
	return refusal
}
