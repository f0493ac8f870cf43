// Package control is how the orchestrator tells a server what to do: publish inside its own process, so that the cost
// of publishing is the server's. It is plain HTTP on a port of its own; the server written in JavaScript has the same.
//
//	POST /publish  template as body; answers when all is published
//	POST /flood    template as body; begins to publish without pause, as far as the credit goes
//	POST /credit   raises the credit
//	POST /unflood  ends it
//	POST /settle   collects garbage and gives memory back to the system
//	GET  /stats    what the server says of itself
//	GET  /position where a topic stands, of a server that keeps what was published
package control

import (
	"fmt"
	"net/url"
	"strconv"
)

// Ready is the line that a server prints when it can be reached.
type Ready struct {
	Subscribers string `json:"subscribers"` // address for WebSocket connections
	Control     string `json:"control"`     // address of this package's endpoints
}

// Stats is the answer to /stats.
type Stats struct {
	Subscriptions int    `json:"subscriptions"`
	Dropped       int    `json:"dropped"`
	Received      int    `json:"received"`    // messages of clients that the application has got
	Allocations   uint64 `json:"allocations"` // on the heap so far; 0: not known
	Heap          uint64 `json:"heap"`        // bytes in use; 0: not known
}

// Published is the answer to /publish and /unflood.
type Published struct {
	Messages int    `json:"messages"`
	Elapsed  int64  `json:"elapsed_ns"` // until the last publish had returned
	Failed   int    `json:"failed"`
	Error    string `json:"error,omitempty"` // of one that failed
}

// Job is what to publish.
type Job struct {
	Topic      string
	Topics     int // 1: Topic itself; more: Name(Topic, 0) and so on, in turn
	Messages   int
	Publishers int // goroutines; message i is number i%Publishers's
	Rate       int // messages a second; 0: as fast as can be
	Window     int // of a flood: how far the publisher may be ahead of the credit
}

// Name is the name of one of several topics.
func Name(topic string, i int) string { return topic + "-" + strconv.Itoa(i) }

// Query encodes a job for a URL.
func (j Job) Query() string {
	v := url.Values{"topic": {j.Topic}}
	for key, n := range j.numbers() {
		v.Set(key, strconv.Itoa(*n))
	}
	return v.Encode()
}

func (j *Job) numbers() map[string]*int {
	return map[string]*int{
		"topics":     &j.Topics,
		"n":          &j.Messages,
		"publishers": &j.Publishers,
		"rate":       &j.Rate,
		"window":     &j.Window,
	}
}

func parseJob(v url.Values) (Job, error) {
	j := Job{Topic: v.Get("topic")}
	for key, n := range j.numbers() {
		parsed, err := strconv.Atoi(v.Get(key))
		if err != nil || parsed < 0 {
			return j, fmt.Errorf("control: %s=%q", key, v.Get(key))
		}
		*n = parsed
	}
	j.Topics, j.Publishers = max(1, j.Topics), max(1, j.Publishers)
	return j, nil
}

// names are the topics of a job, made before the clock runs.
func (j Job) names() []string {
	if j.Topics == 1 {
		return []string{j.Topic}
	}
	names := make([]string, j.Topics)
	for i := range names {
		names[i] = Name(j.Topic, i)
	}
	return names
}
