// Package server is the instance under load, in a process of its own: a program runs itself again with Variable set and
// calls Main. It obeys words on its standard input, one a line, and reports in lines of JSON on its standard output. It ends
// with its standard input, so that it cannot outlive the load.
package server

import "time"

// Variable is the environment variable that makes a program a server. It holds a Config as JSON.
const Variable = "TANK_SOAK_SERVER"

// Config is what the load wants of the server.
type Config struct {
	Topics []string      `json:"topics"`
	Seed   uint64        `json:"seed"`
	Rate   int           `json:"rate"`   // messages that all publishers publish per second, about
	Sample time.Duration `json:"sample"` // time between samples
}

// What the server obeys.
const (
	Publish  = "publish"  // begin to publish
	Shutdown = "shutdown" // shut the instance down, report the end, and exit
)

// Line is a line of the server's report: one of its fields.
type Line struct {
	Address string  `json:"address,omitempty"` // where it listens; the first line
	Sample  *Sample `json:"sample,omitempty"`
	End     *End    `json:"end,omitempty"` // the last line
}

// Sample is the server's state at a moment.
type Sample struct {
	Seconds    float64 `json:"seconds"`  // since the server began
	Heap       int64   `json:"heap"`     // bytes that the last garbage collection left
	Resident   int64   `json:"resident"` // bytes
	Goroutines int     `json:"goroutines"`
	Clients    int     `json:"clients"`
	Topics     int     `json:"topics"`
	Evicted    uint64  `json:"evicted"`
}

// End is what the server knows when the instance is shut down.
type End struct {
	Shutdown        string        `json:"shutdown"` // what it returned, empty for nil
	ShutdownTook    time.Duration `json:"shutdown_took"`
	HeapBefore      int64         `json:"heap_before"` // bytes, after a garbage collection before Start
	HeapAfter       int64         `json:"heap_after"`  // the same after Shutdown
	GoroutinesStart int           `json:"goroutines_start"`
	GoroutinesEnd   int           `json:"goroutines_end"`
	Leaked          string        `json:"leaked"` // the goroutines that were not there before Start

	Published      map[string]map[string]uint64 `json:"last_published"` // by topic and publisher, the last that was taken
	PublishedTotal uint64                       `json:"published"`
	Busy           uint64                       `json:"busy"` // publications that were not taken in time

	Evicted         uint64         `json:"evicted"`
	Throttled       uint64         `json:"throttled"` // messages that had to wait
	EventsDropped   uint64         `json:"events_dropped"`
	PanicsProvoked  uint64         `json:"panics_provoked"` // by the callbacks below
	PanicsRecovered uint64         `json:"panics_recovered"`
	Panics          []string       `json:"panics"` // of the library's own, with their stacks
	Connections     uint64         `json:"connections"`
	Errors          map[string]int `json:"errors"`      // by code and text
	Disconnects     map[string]int `json:"disconnects"` // by close code
}
