package test

import (
	"testing"
	"testing/synctest"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// A refused request does not recommend what the server refuses as well.
func TestARefusedRequestSaysWhatTheServerTakes(t *testing.T) {
	for _, test := range []struct {
		name string
		opts []tank.Option
		want string
	}{
		{"nothing", nil, "this server answers no requests"},
		{"messages", []tank.Option{tank.WithMessageHandler(func(*tank.Client, tank.Message) {})},
			"this server answers no requests: send msg without an id"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ann := tanktest.Serve(t, tank.NewInstance(test.opts...)).DialV2("/")
				if got := ann.RequestRefused("unsupported", "x").Message; got != test.want {
					t.Errorf("refused with %q, want %q", got, test.want)
				}
			})
		})
	}
}
