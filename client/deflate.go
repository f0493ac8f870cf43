package client

import (
	"encoding/binary"
	"net/http"
	"strings"
)

// The WebSocket library's own decompression is not used: v1.8.15 puts a connection's decompressor back into a pool that
// all connections share while it is still reading, when a close frame comes inside a compressed message. So compression
// is negotiated here, the library sees frames without the bit that marks them as compressed, and inflates nothing.

// negotiateDeflate returns the answer to the client's offers of permessage-deflate, or "" when there is none that can
// be accepted (RFC 7692, section 7.1). There is never context takeover, so that messages can be compressed once for
// everyone.
func negotiateDeflate(r *http.Request) string {
	for _, header := range r.Header.Values("Sec-WebSocket-Extensions") {
		for offer := range strings.SplitSeq(header, ",") {
			if answer := acceptDeflate(offer); answer != "" {
				return answer
			}
		}
	}
	return ""
}

func acceptDeflate(offer string) string {
	name, params, hasParams := strings.Cut(offer, ";")
	if strings.TrimSpace(name) != "permessage-deflate" {
		return ""
	}
	answer := "permessage-deflate; client_no_context_takeover; server_no_context_takeover"
	if !hasParams {
		return answer
	}
	seen := make(map[string]bool)
	for param := range strings.SplitSeq(params, ";") {
		key, value, hasValue := strings.Cut(strings.TrimSpace(param), "=")
		value = strings.Trim(value, `"`)
		switch {
		case seen[key]:
			return ""
		case key == "client_no_context_takeover" && !hasValue, key == "server_no_context_takeover" && !hasValue:
		case key == "client_max_window_bits" && (!hasValue || isWindow(value)):
		case key == "server_max_window_bits" && value == "15": // compress/flate knows no smaller window
			answer += "; server_max_window_bits=15"
		default:
			return ""
		}
		seen[key] = true
	}
	return answer
}

// isWindow reports whether a parameter is a window size: 8 to 15, without leading zeros.
func isWindow(value string) bool {
	switch value {
	case "8", "9", "10", "11", "12", "13", "14", "15":
		return true
	}
	return false
}

// Bits of a frame's first two bytes, RFC 6455 section 5.2.
const (
	rsv1       = 0x40
	opcodeMask = 0x0F
	maskedBit  = 0x80
	lengthMask = 0x7F
)

// marks follows the frames in a stream of bytes as it is read, takes away the marks of compressed messages, and
// remembers them for the reader, who is behind by what its buffer holds. Owned by the reader edge.
type marks struct {
	header     [14]byte
	have       int    // bytes of header so far
	payload    uint64 // bytes left of the frame's payload
	compressed []bool // of the messages that have begun and were not asked for yet, oldest first
}

// pass looks at the next bytes of the stream and changes them where needed.
func (m *marks) pass(p []byte) {
	for len(p) > 0 {
		if m.payload > 0 {
			n := min(m.payload, uint64(len(p)))
			m.payload -= n
			p = p[n:]
			continue
		}
		if m.have == 0 {
			p[0] = m.begin(p[0])
		}
		m.header[m.have] = p[0]
		m.have++
		p = p[1:]
		if m.have >= 2 && m.have == headerLen(m.header[1]) {
			m.payload = payloadLen(m.header[:m.have])
			m.have = 0
		}
	}
}

// begin sees the first byte of a frame. The bit belongs on the first frame of a data message (RFC 7692, section 6);
// anywhere else it stays, for the library to refuse.
func (m *marks) begin(b byte) byte {
	if op := b & opcodeMask; op != 1 && op != 2 {
		return b
	}
	m.compressed = append(m.compressed, b&rsv1 != 0)
	return b &^ rsv1
}

// next tells whether the next message, which has begun, is compressed.
func (m *marks) next() bool {
	first := m.compressed[0]
	m.compressed = m.compressed[:copy(m.compressed, m.compressed[1:])]
	return first
}

// headerLen returns the length of a frame's header by its second byte.
func headerLen(b byte) int {
	n := 2
	switch b & lengthMask {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if b&maskedBit != 0 {
		n += 4
	}
	return n
}

// payloadLen returns the length of the payload that a header announces.
func payloadLen(header []byte) uint64 {
	switch n := header[1] & lengthMask; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(header[2:]))
	case 127:
		return binary.BigEndian.Uint64(header[2:])
	default:
		return uint64(n)
	}
}
