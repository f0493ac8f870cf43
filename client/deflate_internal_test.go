package client

import (
	"net/http"
	"slices"
	"testing"
)

func TestOffersOfCompression(t *testing.T) {
	const plain = "permessage-deflate; client_no_context_takeover; server_no_context_takeover"
	for offer, want := range map[string]string{
		"":                   "",
		"permessage-deflate": plain,
		"permessage-deflate; client_max_window_bits":                                  plain,
		"permessage-deflate;client_max_window_bits=10":                                plain,
		`permessage-deflate; client_max_window_bits="15"; server_no_context_takeover`: plain,
		"permessage-deflate; client_no_context_takeover":                              plain,
		"permessage-deflate; server_max_window_bits=15":                               plain + "; server_max_window_bits=15",
		"permessage-deflate; server_max_window_bits=10":                               "",
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":           plain,
		"permessage-deflate; server_max_window_bits":                                  "",
		"permessage-deflate; client_max_window_bits=7":                                "",
		"permessage-deflate; client_max_window_bits=08":                               "",
		"permessage-deflate; client_no_context_takeover=1":                            "",
		"permessage-deflate; client_no_context_takeover; client_no_context_takeover":  "",
		"permessage-deflate; unknown":                                                 "",
		"permessage-deflate;":                                                         "",
		"x-webkit-deflate-frame":                                                      "",
		"permessage-bzip2, permessage-deflate; client_max_window_bits":                plain,
	} {
		r := &http.Request{Header: http.Header{"Sec-Websocket-Extensions": {offer}}}
		if got := negotiateDeflate(r); got != want {
			t.Errorf("%q is answered with %q, want %q", offer, got, want)
		}
	}
	several := http.Header{"Sec-Websocket-Extensions": slices.Repeat([]string{"other"}, 3)}
	several.Add("Sec-WebSocket-Extensions", "permessage-deflate")
	if got := negotiateDeflate(&http.Request{Header: several}); got != plain {
		t.Errorf("an offer in a header of its own is answered with %q", got)
	}
}
