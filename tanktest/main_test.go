package tanktest_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bubble runs a test in a synctest bubble: time is fake, and nothing may outlive the test.
func bubble(t *testing.T, test func(*testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// everywhere runs a test in a bubble, and outside of one.
func everywhere(t *testing.T, test func(*testing.T)) {
	t.Run("in a bubble", func(t *testing.T) { bubble(t, test) })
	t.Run("in real time", test)
}

// serve serves a new instance.
func serve(t testing.TB, opts ...tank.Option) (*tanktest.Server, *tank.Manager) {
	t.Helper()
	m := tank.NewInstance(opts...)
	return tanktest.Serve(t, m), m
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// recorder is a testing.TB that takes notes instead of failing the test.
type recorder struct {
	testing.TB // for the private method, and for what is harmless
	fatal      string
	errors     []string
	cleanups   []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.fatal = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// record runs what is a test in its own right and returns what was noted: why it ended early, if it did, and the errors of
// its clean-up, too.
func record(t testing.TB, test func(testing.TB)) *recorder {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, f := range slices.Backward(r.cleanups) {
				f()
			}
		}()
		test(r)
	}()
	<-done
	return r
}

// wantFatal checks that a test failed, early and for no other reason, with a message that has these parts.
func wantFatal(t testing.TB, r *recorder, parts ...string) {
	t.Helper()
	if r.fatal == "" || len(r.errors) > 0 {
		t.Errorf("failed with %q and %q", r.fatal, r.errors)
	}
	for _, part := range parts {
		if !strings.Contains(r.fatal, part) {
			t.Errorf("failed with\n%s\nwhich does not say %q", r.fatal, part)
		}
	}
}

// wantPass checks that a test did not fail.
func wantPass(t testing.TB, r *recorder) {
	t.Helper()
	if r.fatal != "" || len(r.errors) > 0 {
		t.Errorf("failed with %s %q", r.fatal, r.errors)
	}
}

func within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}
