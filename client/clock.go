package client

import "time"

// started is when the program began, also as what instant returned then.
var (
	started        = time.Now()
	startedInstant = time.Duration(started.UnixNano())
)

// instant is the time since 1970 by a clock that nobody has set since the program began. It is read faster than time.Now.
func instant() time.Duration { return startedInstant + time.Since(started) }

// instantOf is what instant returned at a time.
func instantOf(at time.Time) time.Duration { return startedInstant + at.Sub(started) }
