//go:build !linux

package client

import "time"

var processStart = time.Now()

// threadTime returns the time on the wall, in place of the CPU time that the calling thread has used.
func threadTime() time.Duration { return time.Since(processStart) }
