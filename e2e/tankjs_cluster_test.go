package e2e

import (
	"fmt"
	"testing"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/broker/brokertest"
)

// TestTankIsToldOfInterruptions: a page learns that its server has lost its way to the others, that it is there again, and of each topic
// that something may be missing; and it misses and repeats nothing without a word.
func TestTankIsToldOfInterruptions(t *testing.T) {
	t.Parallel()
	w := brokertest.NewNetwork()
	here, elsewhere := w.Node(), w.Node()
	_, s := serveTank(t, tank.WithBroker(here))
	other, _ := serveTank(t, tank.WithBroker(elsewhere))
	p := openTank(t, s, "/ws", `{}`)
	n := 0
	publish := func() {
		t.Helper()
		n++
		if err := other.PublishJSON(t.Context(), "stream", n); err != nil {
			t.Fatal(err)
		}
	}
	publish()
	p.wait(`got_.at(-1) === 1`)
	for round := range 10 {
		here.Cut()
		p.wait(`tank_.interrupted && states_.at(-1).state === 'open'`)
		publish() // which the page cannot get
		here.Heal()
		p.wait(fmt.Sprintf(`!tank_.interrupted && told_.length === %d`, round+2))
		if why := eval[string](p, `told_.at(-1).why`); why != "unknown" {
			t.Errorf("told of a gap because of %q, want unknown", why)
		}
		publish()
		p.wait(fmt.Sprintf(`got_.at(-1) === %d`, n))
	}
	if got, want := eval[string](p, `String(got_)`), "1,3,5,7,9,11,13,15,17,19,21"; got != want {
		t.Errorf("the page has %s, want %s", got, want)
	}
	if got := eval[int](p, `errors_.length`); got != 0 {
		t.Errorf("%d errors: %s", got, eval[string](p, `String(errors_)`))
	}
}
