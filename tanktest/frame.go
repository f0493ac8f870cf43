package tanktest

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// encode returns a complete frame, masked as those of clients are.
func encode(op byte, payload string) []byte { return wstest.Masked(wstest.Fin|op, payload) }

// encodeClose returns a close frame; one without a code for 1005.
func encodeClose(code int, reason string) []byte {
	if code == wstest.NoStatus {
		return encode(wstest.Close, "")
	}
	return encode(wstest.Close, wstest.ClosePayload(code, reason))
}

// message returns the payload of a data frame, inflated if need be. deflate says whether the server may deflate.
func message(f wstest.Frame, deflate bool) (string, error) {
	data := f.Payload
	if f.Compressed() {
		if !deflate {
			return "", fmt.Errorf("%w: a message is compressed, which was not agreed on", wstest.ErrProtocol)
		}
		var err error
		if data, err = inflate(data); err != nil {
			return "", fmt.Errorf("%w: a compressed message: %w", wstest.ErrProtocol, err)
		}
	}
	if f.Opcode() == wstest.Text && !utf8.Valid(data) {
		return "", fmt.Errorf("%w: a text message is not valid UTF-8: %s", wstest.ErrProtocol, quote(string(data)))
	}
	return string(data), nil
}

// inflate decompresses a message, RFC 7692 section 7.2.2. tank always compresses without context takeover.
func inflate(data []byte) ([]byte, error) {
	const tail = "\x00\x00\xff\xff" + "\x01\x00\x00\xff\xff" // what was left out, and an end
	r := flate.NewReader(io.MultiReader(bytes.NewReader(data), strings.NewReader(tail)))
	out, err := io.ReadAll(io.LimitReader(r, wstest.MaxPayload))
	if err != nil {
		return nil, err
	}
	return out, r.Close()
}
