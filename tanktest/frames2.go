package tanktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// What the server says in tank.v2. All functions in this file run in the reader, but newTalk and describe, which run in the goroutine
// of the test, and take.

// talk is the protocol tank.v2 on one connection.
type talk struct {
	inbox   inbox
	greeted chan struct{} // closed by the reader when the hello has come
	notes   chan *notes   // holds them while nobody has them
}

// notes are what both the reader and the test have to know. Whoever has taken them from the channel has them to himself.
type notes struct {
	greeted bool                 // the hello has come
	bye     *bye                 // nil: none has come
	id      uint64               // of the last command
	pending map[uint64]*command  // by their ids
	topics  map[string]*standing // that the client is subscribed to
}

// bye is what the server says before it closes.
type bye struct {
	Code   int   `json:"code"`
	Within int64 `json:"within"` // milliseconds
}

// command is a command that is not answered yet.
type command struct {
	topic    string                              // of its refusal
	accepted func(*notes, json.RawMessage) error // is called in the reader when the server has done it; nil: there is nothing to do
	answer   chan answer                         // takes one
}

// answer is what the server says to a command.
type answer struct {
	ok      json.RawMessage
	refusal *Refusal // nil: the server has done it
}

func newTalk(in inbox) talk {
	t := talk{inbox: in, greeted: make(chan struct{}), notes: make(chan *notes, 1)}
	t.notes <- &notes{pending: make(map[uint64]*command), topics: make(map[string]*standing)}
	return t
}

// take returns the notes, and a function that gives them back.
func (t talk) take() (n *notes, giveBack func()) {
	n = <-t.notes
	return n, func() { t.notes <- n }
}

func (t talk) describe(line func(what, format string, args ...any)) {
	n, giveBack := t.take()
	defer giveBack()
	var places []string
	for _, topic := range slices.Sorted(maps.Keys(n.topics)) {
		places = append(places, fmt.Sprintf("%s %v", quote(topic), n.topics[topic]))
	}
	if len(places) > 0 {
		line("stands at", "%s", list(places))
	}
}

// breach is something that no server of tank.v2 does.
func breach(format string, args ...any) error {
	return fmt.Errorf("%w: %w", wstest.ErrProtocol, fmt.Errorf(format, args...))
}

func (t talk) receive(data string, binary bool, at time.Time) error {
	n, giveBack := t.take()
	defer giveBack()
	m := Message{Data: data, Binary: binary, At: at, flight: &flight{}}
	var err error
	switch {
	case !n.greeted:
		return t.greet(n, m)
	case n.bye != nil:
		return breach("%v came behind its bye", m)
	case binary:
		t.inbox.put(m)
		return nil
	}
	news := true
	if strings.HasPrefix(data, "[") {
		err = n.publication(&m)
	} else {
		news, err = n.object(&m, t.inbox)
	}
	if err == nil && news {
		t.inbox.put(m)
	}
	return err
}

// greet understands the first message.
func (t talk) greet(n *notes, m Message) error {
	var first struct {
		Hello *struct {
			V int `json:"v"`
		} `json:"hello"`
	}
	if m.Binary || json.Unmarshal([]byte(m.Data), &first) != nil || first.Hello == nil || first.Hello.V != 2 {
		return breach("its first message is no hello of version 2, but %v", m)
	}
	n.greeted = true
	close(t.greeted)
	return nil
}

// publication understands ["TOPIC",SEQ,DATA] or ["TOPIC",SEQ,DATA,{"from":...,"prev":...}].
func (n *notes) publication(m *Message) error {
	var elements []json.RawMessage
	err := json.Unmarshal([]byte(m.Data), &elements)
	if err == nil && len(elements) < 3 {
		err = errors.New("it has too few elements")
	}
	if err == nil {
		err = errors.Join(json.Unmarshal(elements[0], &m.Topic), json.Unmarshal(elements[1], &m.Seq))
	}
	var more struct {
		From string  `json:"from"`
		Prev *uint64 `json:"prev"`
	}
	if err == nil && len(elements) > 3 {
		err = json.Unmarshal(elements[3], &more)
	}
	if err != nil {
		return breach("a publication is malformed: %w: %s", err, bare(m.Data))
	}
	m.From = more.From
	m.Data, m.JSON = value(elements[2])
	place := n.topics[m.Topic]
	if place == nil {
		return breach("%v, came without a subscription", m)
	}
	m.flight.place = place.copy()
	if wrong := place.take(m.Seq, more.Prev); wrong != "" {
		return breach("%v, came behind number %d: %s", m, place.last, wrong)
	}
	return nil
}

// value returns what stands in JSON: the text of a string, or the JSON of anything else.
func value(raw json.RawMessage) (data string, isJSON bool) {
	if raw[0] == '"' && json.Unmarshal(raw, &data) == nil {
		return data, false
	}
	return string(raw), true
}

// object understands everything else. news is false when it is nothing for the inbox.
func (n *notes) object(m *Message, in inbox) (news bool, err error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(m.Data), &object); err != nil || object == nil {
		return false, breach("%v came, which is neither an object of JSON nor an array", m)
	}
	ok := true
	switch {
	case len(object) == 0: // a heartbeat
		return false, nil
	case object["id"] != nil:
		in.arrive()
		return false, n.answered(object, m.Data)
	case object["bye"] != nil:
		ok = has(object, "bye", &n.bye)
		return false, malformedUnless(ok, m.Data)
	case object["error"] != nil:
		ok = has(object, "error", &m.Refusal) && m.Refusal.Code != ""
	case object["msg"] != nil:
		m.Data, m.JSON = value(object["msg"])
	case object["topic"] != nil:
		ok = n.noticed(object, m)
	default:
		m.Notice = nameOf(object, "interrupted", "expires")
	}
	return true, malformedUnless(ok, m.Data)
}

func malformedUnless(ok bool, data string) error {
	if ok {
		return nil
	}
	return breach("a message is malformed: %s", bare(data))
}

// nameOf returns which of the names an object has.
func nameOf(object map[string]json.RawMessage, names ...string) string {
	for _, name := range names {
		if object[name] != nil {
			return name
		}
	}
	return "unknown"
}

// noticed understands what the server says about a topic. It reports false when that is malformed.
func (n *notes) noticed(object map[string]json.RawMessage, m *Message) (ok bool) {
	if json.Unmarshal(object["topic"], &m.Topic) != nil {
		return false
	}
	place := n.topics[m.Topic]
	m.flight.place = place.copy()
	m.Notice = nameOf(object, "reset", "end", "lost", "gap", "here")
	switch m.Notice {
	case "reset":
		at, ok := positionOf(object["reset"])
		if ok {
			fresh := newStanding(at)
			fresh.watch = place != nil && place.watch
			n.topics[m.Topic] = fresh
		}
		return ok
	case "end":
		delete(n.topics, m.Topic)
		var why *Refusal
		return has(object, "end", &why) && why.Code != ""
	case "lost":
		var messages, seq *uint64
		ok := has(object, "lost", &messages) && has(object, "seq", &seq)
		if ok && place != nil {
			place.move(*seq)
		}
		return ok
	case "gap":
		at := struct{ Seq *uint64 }{}
		ok := json.Unmarshal(object["gap"], &at) == nil && at.Seq != nil
		if ok && place != nil {
			place.gap = *at.Seq
		}
		return ok
	case "here":
		var here *Here
		return has(object, "here", &here)
	}
	return true
}

// positionOf reads {"epoch":...,"seq":...}.
func positionOf(raw json.RawMessage) (at tank.Position, ok bool) {
	var p struct {
		Epoch string  `json:"epoch"`
		Seq   *uint64 `json:"seq"`
	}
	if json.Unmarshal(raw, &p) != nil || p.Epoch == "" || p.Seq == nil {
		return at, false
	}
	return tank.Position{Epoch: p.Epoch, Seq: *p.Seq}, true
}

// answered understands the answer to a command, and gives it to whoever waits for it.
func (n *notes) answered(object map[string]json.RawMessage, data string) error {
	var id *uint64
	if !has(object, "id", &id) {
		return breach("an answer is malformed: %s", bare(data))
	}
	cmd := n.pending[*id]
	if cmd == nil {
		return breach("an answer came to command %d, which waits for none: %s", *id, bare(data))
	}
	delete(n.pending, *id)
	var refusal *Refusal
	switch {
	case has(object, "error", &refusal) && refusal.Code != "":
		refusal.Topic = cmd.topic
		cmd.answer <- answer{refusal: refusal}
		return nil
	case object["ok"] == nil:
		return breach("an answer is malformed: %s", bare(data))
	case cmd.accepted != nil:
		if err := cmd.accepted(n, object["ok"]); err != nil {
			return breach("an answer %w: %s", err, bare(data))
		}
	}
	cmd.answer <- answer{ok: object["ok"]}
	return nil
}
