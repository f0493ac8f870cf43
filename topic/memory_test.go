package topic_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/topic"
)

// TestKeptMemoryIsCounted: however large the messages are, and however many of their characters are escaped.
func TestKeptMemoryIsCounted(t *testing.T) {
	for _, data := range []string{"x", strings.Repeat("x", 300), strings.Repeat("x", 9000), strings.Repeat(`"`, 5000), strings.Repeat("\x01xxx", 5000)} {
		t.Run(fmt.Sprint(len(data), " bytes of ", data[:1]), func(t *testing.T) {
			h := spawn2(t, topic.Options{History: topic.History{Bytes: 1 << 30}})
			h.position()
			before := heap()
			for h.Kept() < 4<<20 {
				for range 1 + 10_000/len(data) {
					h.publish(data)
				}
				h.position()
			}
			if used, kept := heap()-before, h.Kept(); used > kept+kept/6 {
				t.Errorf("%d bytes are kept, and take %d", kept, used)
			}
		})
	}
}

// heap returns how many bytes are in use.
func heap() int64 {
	runtime.GC()
	runtime.GC() // for what the first has let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
