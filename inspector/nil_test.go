package inspector_test

import (
	"fmt"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/inspector"
)

func TestHandlerOfNothingPanics(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); got != "inspector: Handler: instance is nil" {
			t.Errorf("panicked with %q", got)
		}
	}()
	inspector.Handler(nil)
}
