// Package payload makes the data of a message and recognises it when it comes back. Server and load generator share
// it, so that every contender carries the very same bytes and the receiver can tell what it got.
//
// The data is a template with a mark, behind which the publisher writes its number, the message's number and, when
// there is room, the time:
//
//	~PPSSSSSSSSTTTTTTTTTTTTTTTTabcdef...
package payload

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Mark stands before the digits. Nothing else in a message may contain it.
const Mark = '~'

// The hexadecimal digits behind the mark.
const (
	publisherDigits = 2
	sequenceDigits  = 8
	timeDigits      = 16
	shortHeader     = publisherDigits + sequenceDigits
	longHeader      = shortHeader + timeDigits
)

const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"

// Plain is a template of that many bytes of text. There are at least 11.
func Plain(size int) string {
	digits := shortHeader
	if size > longHeader {
		digits = longHeader
	}
	t := string(Mark) + strings.Repeat("0", digits)
	if rest := size - len(t); rest > 0 {
		t += strings.Repeat(alphabet, rest/len(alphabet)+1)[:rest]
	}
	return t
}

// JSON is a template of that many bytes that is a JSON document of records, much as a feed would send; it compresses
// as such documents do.
func JSON(size int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"id":"%c%s","quotes":[`, Mark, strings.Repeat("0", longHeader))
	const end = `{}]}`
	for i := 0; ; i++ {
		record := fmt.Sprintf(`{"symbol":"%c%c%cX","bid":%d.%02d,"ask":%d.%02d,"venue":"east-%d"},`,
			'A'+i%26, 'A'+i*7%26, 'A'+i*11%26, 100+i*13%900, i*37%100, 101+i*13%900, i*53%100, i%4)
		if b.Len()+len(record)+len(end) > size {
			break
		}
		b.WriteString(record)
	}
	b.WriteString(strings.Repeat(" ", max(0, size-b.Len()-len(end))))
	b.WriteString(end)
	return b.String()
}

// Escape is what JSON makes of a template inside a string. Templates have no control characters.
func Escape(s string) string {
	if !strings.ContainsAny(s, `"\`) {
		return s
	}
	return strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(s)
}

// AppendEnvelope appends the message that tank sends for data, {"topic":T,"data":D}. The other contenders, who leave
// the form of a message to the application, send the same.
func AppendEnvelope(dst []byte, topic, data string) []byte {
	dst = append(dst, `{"topic":"`...)
	dst = append(dst, topic...)
	dst = append(dst, `","data":"`...)
	dst = append(dst, Escape(data)...)
	return append(dst, `"}`...)
}

// split returns what is before the mark, how many digits are behind it, and what is behind those.
func split(template string) (head string, digits int, tail string, err error) {
	at := strings.IndexByte(template, Mark)
	if at < 0 {
		return "", 0, "", errors.New("payload: template without a mark")
	}
	head, rest := template[:at], template[at+1:]
	for _, n := range []int{longHeader, shortHeader} {
		if strings.HasPrefix(rest, strings.Repeat("0", n)) {
			return head, n, rest[n:], nil
		}
	}
	return "", 0, "", errors.New("payload: template without room for numbers")
}

// Header is what stands behind a mark.
type Header struct {
	Publisher int
	Sequence  int
	Time      int64 // Unix nanoseconds, 0 when the template has no room for it
}

// Stamper makes the messages of one publisher. It is for one goroutine.
type Stamper struct {
	buf       []byte
	at        int // where the digits begin
	digits    int
	publisher int
}

// NewStamper returns the stamper of a publisher, who has a number below 256.
func NewStamper(template string, publisher int) (*Stamper, error) {
	head, digits, _, err := split(template)
	if err != nil {
		return nil, err
	}
	return &Stamper{[]byte(template), len(head) + 1, digits, publisher}, nil
}

// Make returns a message's data. now is in Unix nanoseconds.
func (s *Stamper) Make(sequence int, now int64) string {
	digits := s.buf[s.at:]
	putHex(digits[:publisherDigits], uint64(s.publisher))
	putHex(digits[publisherDigits:shortHeader], uint64(sequence))
	if s.digits == longHeader {
		putHex(digits[shortHeader:longHeader], uint64(now))
	}
	return string(s.buf)
}

func putHex(dst []byte, v uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = "0123456789abcdef"[v&0xF]
		v >>= 4
	}
}

// Checker recognises the messages made of a template, in any envelope that carries the data as a JSON string.
type Checker struct {
	head, tail []byte
	digits     int
}

// NewChecker returns the checker of a template.
func NewChecker(template string) (*Checker, error) {
	head, digits, tail, err := split(template)
	if err != nil {
		return nil, err
	}
	return &Checker{[]byte(Escape(head)), []byte(Escape(tail)), digits}, nil
}

var errForeign = errors.New("payload: not a message of this template")

// Check reads a message. It fails when any byte of the data is not what was published.
func (c *Checker) Check(message []byte) (Header, error) {
	var h Header
	at := bytes.IndexByte(message, Mark)
	if at < 0 || len(message) < at+1+c.digits {
		return h, errForeign
	}
	digits, rest := message[at+1:at+1+c.digits], message[at+1+c.digits:]
	if !bytes.HasSuffix(message[:at], c.head) || !bytes.HasPrefix(rest, c.tail) || !bytes.HasPrefix(rest[len(c.tail):], []byte(`"`)) {
		return h, errForeign
	}
	var ok [3]bool
	var p, s, t uint64
	p, ok[0] = hex(digits[:publisherDigits])
	s, ok[1] = hex(digits[publisherDigits:shortHeader])
	t, ok[2] = hex(digits[shortHeader:])
	if !ok[0] || !ok[1] || !ok[2] {
		return h, errForeign
	}
	return Header{int(p), int(s), int64(t)}, nil
}

func hex(digits []byte) (v uint64, ok bool) {
	for _, d := range digits {
		switch {
		case '0' <= d && d <= '9':
			d -= '0'
		case 'a' <= d && d <= 'f':
			d -= 'a' - 10
		default:
			return 0, false
		}
		v = v<<4 | uint64(d)
	}
	return v, true
}
