package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxNumber is the largest number in a tank.v2 frame: every whole number up to it is exact in a double (RFC 8259, section 6).
const MaxNumber = 1<<53 - 1

// MaxEpoch is the most bytes an epoch has.
const MaxEpoch = 64

// Position is a place in a topic's numbering. The epoch names the numbering: of one incarnation of the topic, or of a broker's
// stream. A number means nothing without it. The zero Position is none.
type Position struct {
	Epoch string
	Seq   uint64 // of the last message in front of this place; 0: in front of the first
}

// IsZero reports whether p is none.
func (p Position) IsZero() bool { return p == Position{} }

// Check says whether p can be a position: an epoch of 1 to MaxEpoch letters and digits of ASCII, and -._~, and a number of at most
// MaxNumber. These characters stand for themselves in a URL (RFC 3986, section 2.3) and in a JSON string.
func (p Position) Check() error {
	switch {
	case p.Epoch == "":
		return errors.New("epoch is empty")
	case len(p.Epoch) > MaxEpoch:
		return fmt.Errorf("epoch %s has %d bytes, at most %d are allowed", Quote(p.Epoch), len(p.Epoch), MaxEpoch)
	case strings.ContainsFunc(p.Epoch, func(r rune) bool { return !isUnreserved(r) }):
		return fmt.Errorf("epoch %s has other characters than letters, digits and -._~", Quote(p.Epoch))
	case p.Seq > MaxNumber:
		return fmt.Errorf("number %d is over %d", p.Seq, uint64(MaxNumber))
	}
	return nil
}

func isUnreserved(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '.', r == '_', r == '~':
		return true
	}
	return false
}

// MarshalJSON returns ["EPOCH",SEQ], or an error when p cannot be a position.
func (p Position) MarshalJSON() ([]byte, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	b := append([]byte(nil), '[')
	b = append(appendString(b, p.Epoch), ',')
	return append(strconv.AppendUint(b, p.Seq, 10), ']'), nil
}

// UnmarshalJSON accepts ["EPOCH",SEQ] that Check accepts. It ignores further elements.
func (p *Position) UnmarshalJSON(text []byte) error {
	if !json.Valid(text) {
		return errors.New("position is not JSON")
	}
	parsed, err := parsePosition("position", trimSpace(text))
	if err == nil {
		*p = parsed
	}
	return err
}

// parsePosition reads the position of a member from a valid JSON value.
func parsePosition(name string, value []byte) (Position, error) {
	if value[0] != '[' {
		return Position{}, fmt.Errorf(`%s is %s, expected ["EPOCH",SEQ]; got %s`, name, typeOf(value), Quote(string(value)))
	}
	var first [2][]byte
	n := 0
	for element := range elements(value) {
		if n < len(first) {
			first[n] = element
		}
		n++
	}
	if n < len(first) {
		return Position{}, fmt.Errorf(`%s has too few elements, expected ["EPOCH",SEQ]; got %s`, name, Quote(string(value)))
	}
	epoch, err := parseString("epoch", first[0])
	if err != nil {
		return Position{}, fmt.Errorf("%s: %w", name, err)
	}
	seq, err := parseNumber("number", first[1], 0)
	if err != nil {
		return Position{}, fmt.Errorf("%s: %w", name, err)
	}
	p := Position{Epoch: epoch, Seq: seq}
	if err := p.Check(); err != nil {
		return Position{}, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}
