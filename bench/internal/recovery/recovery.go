// Package recovery reads what servers answer to a client that resumes a topic, and checks that it is exactly what the
// client has missed: each message once, in order, byte for byte.
package recovery

import (
	"fmt"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
)

// Missed is what a client asks for, and what was published.
type Missed struct {
	Topic   string
	Since   contender.Position // what came behind it is missing
	Start   uint64             // the offset of the publisher's message 0
	Payload *payload.Checker
}

// Answer follows one resumption.
type Answer interface {
	// Message takes the next message of the connection, from the answer on. It is not called after Done.
	Message(data []byte) error
	// Done reports whether all that was missing has come.
	Done() bool
	// Messages is how many of the missing ones have come.
	Messages() int
}

// progress is what both protocols have in common.
type progress struct {
	Missed
	answered bool
	next     uint64 // offset that must come next
	end      uint64 // offset of the last that is missing
	came     int
}

func newProgress(m Missed) progress { return progress{Missed: m, next: m.Since.Offset + 1} }

func (p *progress) Done() bool { return p.answered && p.next > p.end }

func (p *progress) Messages() int { return p.came }

// accept takes the answer to the command.
func (p *progress) accept(recovered bool, epoch string, end uint64) error {
	switch {
	case !recovered:
		return fmt.Errorf("not recovered since %d", p.Since.Offset)
	case epoch != p.Since.Epoch:
		return fmt.Errorf("epoch %q, asked for %q", epoch, p.Since.Epoch)
	case end < p.Since.Offset:
		return fmt.Errorf("the topic stands at %d, asked for what came behind %d", end, p.Since.Offset)
	}
	p.answered, p.end = true, end
	return nil
}

// publication takes the data of one, which is a JSON string and may have something behind it.
func (p *progress) publication(offset uint64, data []byte) error {
	if offset != p.next {
		return fmt.Errorf("message %d came, and not %d", offset, p.next)
	}
	h, err := p.Payload.Check(data)
	if err != nil {
		return fmt.Errorf("message %d: %w: %.80q", offset, err, data)
	}
	if want := offset - p.Start; h.Publisher != 0 || uint64(h.Sequence) != want {
		return fmt.Errorf("message %d is number %d of publisher %d, and not number %d of publisher 0", offset, h.Sequence, h.Publisher, want)
	}
	p.next++
	p.came++
	return nil
}
