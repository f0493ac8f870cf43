package actor_test

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pass lets fake time go by.
func pass(d time.Duration) { <-time.After(d) }

// background runs a call that may block. Its result waits in the channel.
func background(call func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- call() }()
	return result
}

// wantBlocked fails the test when the call has returned.
func wantBlocked(t *testing.T, what string, result <-chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-result:
		t.Fatalf("%s returned %v, want it to wait", what, err)
	default:
	}
}

// returned returns the result of the call, and fails the test when it still blocks.
func returned(t *testing.T, what string, result <-chan error) error {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-result:
		return err
	default:
		t.Fatalf("%s still waits", what)
		return nil
	}
}

// isClosed reports whether the channel is closed, once everything has settled.
func isClosed(c <-chan struct{}) bool {
	synctest.Wait()
	select {
	case <-c:
		return true
	default:
		return false
	}
}
