package hub

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/client"
)

// The time at which credentials expire is one of the wall clock, such as that in a token. The timer is of the monotonic clock. When the
// wall clock is set back, the timer comes before the time. That must not be the end of all expiry.
//
// A bubble's clock cannot be set back, so the timer is made to come that much early.
func TestCredentialsExpireAfterTheClockWasSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, func(_ *Config, o *client.Options) { o.CloseTimeout = time.Second })
		l := serveHTTP(t, x)
		dial(t, l, "ann", 1<<16)
		dial(t, l, "bob", 1<<16)
		for _, s := range x.all() {
			if err := x.Renew(s, time.Now().Add(time.Minute).Round(0), nil); err != nil {
				t.Fatal(err)
			}
		}
		const back = time.Millisecond
		see(x, func(s *supervisor) bool { return s.clock.timer.Reset(time.Until(s.clock.next) - back) })
		time.Sleep(time.Hour)
		for range 2 { // these are not closed either: the clock is taken to tick in the past
			dial(t, l, "eve", 1<<16)
		}
		for _, s := range x.all() {
			if s.UserID == "eve" {
				if err := x.Renew(s, time.Now().Add(time.Minute).Round(0), nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(time.Hour)
		if n := x.Sessions(); n != 0 {
			t.Errorf("%d sessions are left, want none an hour after their credentials have expired", n)
		}
	})
}

// A timer does not see that the wall clock is set forward, or that the machine sleeps. So the clock looks once a minute.
func TestClockLooksOnceAMinuteWhileSomethingIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, nil)
		l := serveHTTP(t, x)
		dial(t, l, "ann", 1<<16)
		ticked := func() time.Time { return see(x, func(s *supervisor) time.Time { return s.clock.ticked }) }
		time.Sleep(10 * time.Minute)
		if at := ticked(); !at.IsZero() {
			t.Errorf("it ticked at %v although nothing was due", at)
		}
		if err := x.Renew(x.all()[0], time.Now().Add(time.Hour), nil); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			time.Sleep(time.Minute + time.Second)
			if ago := time.Since(ticked()); ago > time.Minute {
				t.Errorf("it ticked %v ago", ago)
			}
		}
	})
}
