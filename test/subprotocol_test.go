package test

import (
	"net/http"
	"slices"
	"testing"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// TestSubprotocolIsTheServersChoiceInTheClientsSpelling: RFC 6455, section 4.2.2.
func TestSubprotocolIsTheServersChoiceInTheClientsSpelling(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithUpgrader(tank.Upgrader{Subprotocols: []string{"kiosk.v2", "Kiosk"}}))
		for _, c := range []struct{ offered, want []string }{
			{nil, nil},
			{[]string{"kiosk"}, []string{"kiosk"}},
			{[]string{"KIOSK"}, []string{"KIOSK"}},
			{[]string{"Kiosk, kiosk.v2"}, []string{"kiosk.v2"}},
			{[]string{"Kiosk", "kiosk.V2"}, []string{"kiosk.V2"}},
			{[]string{" other ,\tkiosk "}, []string{"kiosk"}},
			{[]string{"kios"}, nil},
			{[]string{"kiosk.v2x"}, nil},
			{[]string{"", ",,"}, nil},
			{[]string{"\u212Aiosk"}, nil}, // the Kelvin sign, which folds to k
			{[]string{"kio\u017Fk"}, nil}, // the long s, which folds to s
		} {
			_, resp := s.request(handshake{path: "/", header: http.Header{"Sec-Websocket-Protocol": c.offered}})
			if got := resp.Header["Sec-Websocket-Protocol"]; resp.StatusCode != 101 || !slices.Equal(got, c.want) {
				t.Errorf("%q is answered with %s and %q, want %q", c.offered, resp.Status, got, c.want)
			}
		}
	})
}
