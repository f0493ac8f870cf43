package client

import (
	"net/http"
	"strings"
)

// negotiateSubprotocol returns the first of the server's subprotocols that the client offers, or "" when there is none. The
// answer is the client's own spelling, RFC 6455 section 4.2.2, and a copy: the library would keep a piece of the header, and
// with it all of the request's headers, for as long as the connection lasts.
func negotiateSubprotocol(r *http.Request, spoken []string) string {
	for _, ours := range spoken {
		for _, header := range r.Header.Values("Sec-WebSocket-Protocol") {
			for theirs := range strings.SplitSeq(header, ",") {
				// Some characters beyond ASCII fold to letters within, but those have more bytes.
				if theirs = strings.TrimSpace(theirs); len(theirs) == len(ours) && strings.EqualFold(theirs, ours) {
					return strings.Clone(theirs)
				}
			}
		}
	}
	return ""
}
