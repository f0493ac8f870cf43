package natsbroker

import (
	"errors"
	"fmt"
	"strings"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

const (
	// maxSubject keeps the lines of the protocol, a subject and less than 64 bytes more, below the 4096 bytes that a server permits. It
	// closes a connection with a longer one for good.
	maxSubject = 4000
	maxGroup   = 128
)

const upperHex = "0123456789ABCDEF"

// plain reports whether a byte stands for itself in a token.
func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// token is a name as one token of a subject. No two names have the same: bytes that do not stand for themselves are =XX, and the empty
// name is "=".
func token(name string) string {
	if name == "" {
		return "="
	}
	escapes := 0
	for i := range len(name) {
		if !plain(name[i]) {
			escapes++
		}
	}
	if escapes == 0 {
		return name
	}
	var b strings.Builder
	b.Grow(len(name) + 2*escapes)
	for i := range len(name) {
		if c := name[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('=')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
	return b.String()
}

// subject is where publications of a name go.
func subject(prefix, name string) (string, error) {
	s := prefix + token(name)
	if len(s) > maxSubject {
		return "", fmt.Errorf("%w: a name of %d bytes needs a subject of %d, and no more than %d are permitted", broker.ErrTooBig, len(name), len(s), maxSubject)
	}
	return s, nil
}

// checkGroup says what is wrong with a group.
func checkGroup(group string) error {
	if len(group) > maxGroup {
		return fmt.Errorf("natsbroker: group has %d bytes, more than %d", len(group), maxGroup)
	}
	for part := range strings.SplitSeq(group, ".") {
		if part == "" {
			return fmt.Errorf("natsbroker: group %q has an empty token", group)
		}
		for i := range len(part) {
			if !plain(part[i]) {
				return errors.New("natsbroker: groups consist of letters, digits, - and _, in tokens with dots between them")
			}
		}
	}
	return nil
}
