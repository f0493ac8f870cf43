package tank

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/fanqie/tank-websocket-go-server/internal/hub"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Publication is a message of a topic.
type Publication struct {
	Topic string
	Data  string // valid UTF-8
	JSON  bool   // Data is JSON, such as that of PublishJSON, and not just text
	Key   string // makes a repetition known, see Manager.PublishMessage; may be empty
	From  string // the user id of the authenticated client that has published it, or what the publish authorizer has made of it; empty: the server
}

// All functions in this file run in the goroutines of their callers.

// BroadcastMessage sends the bytes to every connected client, as one text message, or a binary one when they are not
// valid UTF-8. The slice may be reused afterwards. It returns like BroadcastTopicMessage.
func (m *Manager) BroadcastMessage(message []byte) error {
	return m.publishWithin(&wire.Publication{Topic: hub.Broadcast, Data: string(message)})
}

// BroadcastTopicMessage is Publish with the publish timeout (default 5 s, see Limits) as its context.
func (m *Manager) BroadcastTopicMessage(topic, data string) error {
	if err := m.checkMessage(topic, data); err != nil {
		return err
	}
	return m.publishWithin(&wire.Publication{Topic: topic, Data: data})
}

// publishWithin publishes what was checked, with the publish timeout.
func (m *Manager) publishWithin(p *wire.Publication) error {
	return m.hub.PublishWithin(m.config.limits.PublishTimeout, p)
}

// Publish sends {"topic":topic,"data":data} to the topic's subscribers, and [topic,NUMBER,data] to those that speak tank.v2. It
// blocks while the topic's queue is full. Where WithTopics says so, the topic keeps the message.
//
// It returns nil when the topic has accepted the message, also when there are no subscribers, such as before Start;
// ErrInvalidTopic; ErrInvalidData when data is not valid UTF-8; ErrBusy together with the context's error when the context ended
// first; and ErrClosed once Shutdown has begun or, with WithDrain, once the window is over. With WithBroker, nil says that the
// broker has accepted the message; when it has not, the error is ErrBroker or ErrLimit. It panics when the context is nil.
func (m *Manager) Publish(ctx context.Context, topic string, data string) error {
	if ctx == nil { // require would cost a call
		panic("tank: Publish: context is nil")
	}
	return m.publish(ctx, &Publication{Topic: topic, Data: data})
}

func (m *Manager) publish(ctx context.Context, p *Publication) error {
	if err := m.checkMessage(p.Topic, p.Data); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return m.hub.Publish(ctx, (*wire.Publication)(p))
}

// PublishJSON is Publish of a value, encoded once as by encoding/json, but without escaping HTML. A plain socket gets the JSON as the
// text in "data". Methods such as MarshalJSON run in the caller's goroutine, and their panics are the caller's. It returns
// ErrInvalidData with the reason when the value cannot be encoded, and otherwise like Publish. It panics when the context is nil.
func (m *Manager) PublishJSON(ctx context.Context, topic string, v any) error {
	require(ctx != nil, "PublishJSON", "context is nil")
	if err := checkTopic(topic); err != nil {
		return err
	}
	data, err := wire.EncodeJSON(v)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrInvalidData, err)
		m.report(&ErrorEvent{Code: CodeSerialization, Message: "value cannot be encoded", Err: err, Topic: strings.Clone(topic)})
		return err
	}
	return m.publish(ctx, &Publication{Topic: topic, Data: data, JSON: true})
}

// Topic publishes values of one type to one topic. Make it with TopicOf.
type Topic[T any] struct {
	m    *Manager
	name string
}

// TopicOf returns a Topic for values of type T. A name that cannot be a topic's is refused by Publish. It panics when m is nil.
func TopicOf[T any](m *Manager, name string) Topic[T] {
	require(m != nil, "TopicOf", "manager is nil")
	return Topic[T]{m, name}
}

// Name returns the topic's name.
func (t Topic[T]) Name() string { return t.name }

// Publish is Manager.PublishJSON.
func (t Topic[T]) Publish(ctx context.Context, v T) error { return t.m.PublishJSON(ctx, t.name, v) }

func (m *Manager) checkMessage(topic, data string) error {
	if err := checkTopic(topic); err != nil {
		return err
	}
	if !utf8.ValidString(data) {
		m.report(&ErrorEvent{Code: CodeSerialization, Message: "message cannot be encoded", Err: ErrInvalidData, Topic: strings.Clone(topic)})
		return ErrInvalidData
	}
	return nil
}
