package load_test

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fanqie/tank-websocket-go-server/soak/internal/load"
	"github.com/fanqie/tank-websocket-go-server/soak/internal/server"
)

func TestMain(m *testing.M) {
	if os.Getenv(server.Variable) != "" {
		os.Exit(server.Main())
	}
	goleak.VerifyTestMain(m)
}

func TestShortSoak(t *testing.T) {
	results, err := load.Run(t.Context(), load.Config{
		For:      3 * time.Second,
		Clients:  40,
		Topics:   20,
		Rate:     500,
		Seed:     1,
		Progress: func(line string) { t.Log(line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range results.Problems {
		t.Error(p)
	}
	if c := results.Counts; c.Faults() != 0 {
		t.Errorf("got %+v, want no faults", c)
	}
	if results.Counts.Deliveries < 1000 {
		t.Errorf("%d deliveries", results.Counts.Deliveries)
	}
}
