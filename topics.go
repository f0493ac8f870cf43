package tank

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/hub"
)

// TopicOptions are what topics that match a pattern of WithTopics have in common.
type TopicOptions struct {
	History  History
	Presence Presence
}

// History says how much of what was published a topic keeps, for clients of tank.v2 that come back, and for Manager.History. The limits
// hold together. The zero History keeps nothing.
type History struct {
	// Messages is the maximum number of messages. Zero: no limit.
	Messages int
	// Bytes is the maximum memory in bytes. A message takes its size, 20 to 40 bytes more and its topic's name; one that was published
	// long before or after others, or has to be kept for itself, up to 700 bytes more. Zero: a sixteenth of Limits.TotalHistoryBytes.
	Bytes int
	// Age is how long a message is kept, if the other limits allow it; at most an eighth longer. A topic without subscribers ends with
	// its last message. Zero: no limit.
	Age time.Duration
}

// historyShare is how much of all that topics keep one may keep by default: one part in so many.
const historyShare = 16

// topicTable is the options of topics by pattern. It does not change after NewInstance, so any goroutine may look a topic up.
type topicTable struct {
	exact    map[string]TopicOptions
	prefixes []topicPrefix // the longest first
}

type topicPrefix struct {
	prefix  string
	options TopicOptions
}

func (t *topicTable) set(pattern string, o TopicOptions) {
	prefix, isPrefix := strings.CutSuffix(pattern, "*")
	if !isPrefix {
		if t.exact == nil {
			t.exact = make(map[string]TopicOptions)
		}
		t.exact[pattern] = o
		return
	}
	t.prefixes = slices.DeleteFunc(t.prefixes, func(p topicPrefix) bool { return p.prefix == prefix })
	t.prefixes = append(t.prefixes, topicPrefix{prefix, o})
	slices.SortFunc(t.prefixes, func(a, b topicPrefix) int { return cmp.Compare(len(b.prefix), len(a.prefix)) })
}

// all yields the options with their patterns.
func (t *topicTable) all() iter.Seq2[string, TopicOptions] {
	return func(yield func(string, TopicOptions) bool) {
		for name, o := range t.exact {
			if !yield(name, o) {
				return
			}
		}
		for _, p := range t.prefixes {
			if !yield(p.prefix+"*", p.options) {
				return
			}
		}
	}
}

// setDefaults completes the options, when topics may keep so many bytes altogether.
func (t *topicTable) setDefaults(total int) {
	complete := func(o *TopicOptions) {
		if o.History != (History{}) && o.History.Bytes == 0 {
			o.History.Bytes = max(1, total/historyShare)
		}
		o.Presence.setDefaults()
	}
	for name, o := range t.exact {
		complete(&o)
		t.exact[name] = o
	}
	for i := range t.prefixes {
		complete(&t.prefixes[i].options)
	}
}

// of returns the options of a topic.
func (t *topicTable) of(name string) (none TopicOptions) {
	if o, ok := t.exact[name]; ok {
		return o
	}
	for _, p := range t.prefixes {
		if strings.HasPrefix(name, p.prefix) {
			return p.options
		}
	}
	return none
}

// history says what a topic keeps.
func (t *topicTable) history(name string) hub.History { return hub.History(t.of(name).History) }
