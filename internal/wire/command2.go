package wire

import (
	"bytes"
	"errors"
	"fmt"
)

// The kinds of commands that only tank.v2 has. Subscribe, Unsubscribe and Publish are sub, unsub and pub.
const (
	Tell         Kind = Publish + 1 + iota // msg: for the application
	Authenticate                           // auth: new credentials
)

// Subprotocol2 is the name of tank.v2 in a handshake.
const Subprotocol2 = "tank.v2"

// MaxKey is the most bytes the key of a publication has.
const MaxKey = 128

// Command2 is a command of tank.v2, understood. The topic is as the client sent it: not checked.
type Command2 struct {
	Kind     Kind
	ID       uint64   // 1 to MaxNumber, or 0: the command has none
	Topic    string   // of Subscribe, Unsubscribe and Publish
	Since    Position // of Subscribe: replay what came behind it; the zero Position: no replay
	Last     uint64   // of Subscribe: replay up to this number of messages; 0: no replay
	Presence bool     // of Subscribe
	Data     string   // of Publish and Tell: one valid JSON value, as the client wrote it; see TextOf
	Key      string   // of Publish; may be empty
	Token    string   // of Authenticate
}

// Members that a command can have, the verbs first.
const (
	memberSub = iota
	memberUnsub
	memberPub
	memberMsg
	memberAuth
	memberID
	memberSince
	memberLast
	memberPresence
	memberData
	memberKey
	memberCount

	verbs = memberAuth + 1 // how many there are
)

var memberNames = [memberCount]string{
	memberSub: "sub", memberUnsub: "unsub", memberPub: "pub", memberMsg: "msg", memberAuth: "auth", memberID: "id",
	memberSince: "since", memberLast: "last", memberPresence: "presence", memberData: "data", memberKey: "key",
}

// ParseCommand2 understands a text message of tank.v2, or says why it rejects it. It keeps no reference to text.
//
// A command is one object with exactly one verb. Members that it does not know are ignored, and so are members that belong to
// another verb. A repeated member is an error, because JSON parsers disagree about which one counts (RFC 8259, section 4).
// The refusal has the command's id if that could be read: if the text is an object, and the id valid and not repeated.
func ParseCommand2(text []byte) (Command2, *Refusal) {
	var c Command2
	if err := c.parse(text); err != nil {
		return Command2{}, &Refusal{ID: c.ID, Code: RefusedMessage, Message: err.Error()}
	}
	return c, nil
}

func (c *Command2) parse(text []byte) error {
	if err := checkObject(text); err != nil {
		return err
	}
	var f fields
	f.collect(trimSpace(text))
	if err := c.parseID(&f); err != nil {
		return err
	}
	for m, repeated := range f.repeated {
		if repeated {
			return fmt.Errorf("repeated member %q: send it once", memberNames[m])
		}
	}
	verb, err := f.verb()
	if err != nil {
		return err
	}
	return c.parseVerb(verb, &f)
}

// parseID reads the id before anything else is checked, so that every later error carries it.
func (c *Command2) parseID(f *fields) (err error) {
	if f.values[memberID] != nil && !f.repeated[memberID] {
		c.ID, err = parseNumber("id", f.values[memberID], 1)
	}
	return err
}

func (c *Command2) parseVerb(verb int, f *fields) (err error) {
	value := f.values[verb]
	switch verb {
	case memberSub:
		c.Kind = Subscribe
		if c.Topic, err = parseString("sub", value); err == nil {
			err = c.parseReplay(f)
		}
	case memberUnsub:
		c.Kind = Unsubscribe
		c.Topic, err = parseString("unsub", value)
	case memberPub:
		c.Kind = Publish
		if c.Topic, err = parseString("pub", value); err == nil {
			err = c.parsePublication(f)
		}
	case memberMsg:
		c.Kind, c.Data = Tell, string(value)
	case memberAuth:
		c.Kind = Authenticate
		err = c.parseToken(value)
	}
	return err
}

// parseReplay reads what a subscription asks for beside the topic.
func (c *Command2) parseReplay(f *fields) (err error) {
	if value := f.values[memberSince]; value != nil && string(value) != "null" {
		if c.Since, err = parsePosition("since", value); err != nil {
			return err
		}
	}
	if value := f.values[memberLast]; value != nil {
		if c.Last, err = parseNumber("last", value, 1); err != nil {
			return err
		}
	}
	if value := f.values[memberPresence]; value != nil {
		c.Presence, err = parseBool("presence", value)
	}
	return err
}

// parsePublication reads what a publication has beside the topic.
func (c *Command2) parsePublication(f *fields) (err error) {
	data := f.values[memberData]
	if data == nil {
		return errors.New(`member "data" is missing: expected {"pub":"TOPIC","data":JSON}`)
	}
	if value := f.values[memberKey]; value != nil {
		if c.Key, err = parseString("key", value); err != nil {
			return err
		}
		if err := CheckKey(c.Key); err != nil {
			return err
		}
	}
	c.Data = string(data)
	return nil
}

// parseToken reads new credentials. They are secret, so no error repeats them.
func (c *Command2) parseToken(value []byte) (err error) {
	if value[0] != '"' {
		return fmt.Errorf("auth is %s, not a string", typeOf(value))
	}
	if c.Token, err = parseString("auth", value); err != nil {
		return fmt.Errorf("auth is not valid: %w", errSurrogate)
	}
	if c.Token == "" {
		return errors.New("auth is empty")
	}
	return nil
}

// fields holds the values of the known members of an object; nil: the object does not have it.
type fields struct {
	values   [memberCount][]byte
	repeated [memberCount]bool
	unknown  []byte // the name of the first member that is not known, as it is written
}

func (f *fields) collect(object []byte) {
	for name, value := range members(object) {
		name = name[1 : len(name)-1]
		m := knownMember(name)
		if m < 0 {
			if f.unknown == nil {
				f.unknown = name
			}
			continue
		}
		f.repeated[m] = f.values[m] != nil
		f.values[m] = value
	}
}

// knownMember returns which member has a name, or -1. Names are compared by their characters, RFC 8259 section 8.3.
func knownMember(name []byte) int {
	if bytes.IndexByte(name, '\\') >= 0 {
		unescaped, err := parseString("name", append(append([]byte{'"'}, name...), '"'))
		if err != nil {
			return -1
		}
		name = []byte(unescaped)
	}
	for m, known := range memberNames {
		if string(name) == known {
			return m
		}
	}
	return -1
}

// verb returns the one verb there is.
func (f *fields) verb() (int, error) {
	found := -1
	for m := range verbs {
		switch {
		case f.values[m] == nil:
		case found < 0:
			found = m
		default:
			return 0, fmt.Errorf("%s and %s in one message: send one verb a message", memberNames[found], memberNames[m])
		}
	}
	if found < 0 {
		return 0, noVerb(f.unknown, f.values[memberData] != nil)
	}
	return found, nil
}
