package client

import (
	"net/http"
	"strings"
)

// The WebSocket library's own decompression is not used: v1.8.15 puts a connection's decompressor back into a pool that
// all connections share while it is still reading, when a close frame comes inside a compressed message. So compression
// is negotiated here, and messages are inflated here, too.

// negotiateDeflate returns the answer to the client's offers of permessage-deflate, or "" when there is none that can
// be accepted (RFC 7692, section 7.1). There is never context takeover, so that messages can be compressed once for
// everyone.
func negotiateDeflate(r *http.Request) string {
	for _, header := range r.Header.Values("Sec-WebSocket-Extensions") {
		for _, offer := range split(header, ',') {
			if answer := acceptDeflate(offer); answer != "" {
				return answer
			}
		}
	}
	return ""
}

func acceptDeflate(offer string) string {
	parts := split(offer, ';')
	if strings.TrimSpace(parts[0]) != "permessage-deflate" {
		return ""
	}
	answer := "permessage-deflate; client_no_context_takeover; server_no_context_takeover"
	seen := make(map[string]bool)
	for _, param := range parts[1:] {
		key, value, hasValue := strings.Cut(strings.TrimSpace(param), "=")
		if n := len(value); n > 2 && value[0] == '"' && value[n-1] == '"' {
			value = value[1 : n-1]
		}
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

// split splits at separators that are not inside quotation marks (RFC 6455, section 9.1).
func split(s string, separator byte) []string {
	var parts []string
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++ // whatever comes next stands for itself
		case s[i] == separator && !quoted:
			parts, start = append(parts, s[start:i]), i+1
		}
	}
	return append(parts, s[start:])
}

// isWindow reports whether a parameter is a window size: 8 to 15, without leading zeros.
func isWindow(value string) bool {
	switch value {
	case "8", "9", "10", "11", "12", "13", "14", "15":
		return true
	}
	return false
}
