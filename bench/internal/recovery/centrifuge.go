package recovery

import (
	"encoding/json"
	"fmt"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
)

// CentrifugeCommand is what a client of centrifuge's JSON protocol says to resume.
func CentrifugeCommand(id int, topic string, since contender.Position) string {
	return fmt.Sprintf(`{"id":%d,"subscribe":{"channel":%q,"recover":true,"epoch":%q,"offset":%d}}`, id, topic, since.Epoch, since.Offset)
}

// Centrifuge is the answer in centrifuge's JSON protocol: one message with all of the publications.
type Centrifuge struct{ progress }

// NewCentrifuge returns the answer to a CentrifugeCommand.
func NewCentrifuge(m Missed) Answer { return &Centrifuge{newProgress(m)} }

// Message implements Answer.
func (c *Centrifuge) Message(data []byte) error {
	var r struct {
		Subscribe *struct {
			Epoch        string
			Offset       uint64
			Recovered    bool
			Publications []struct {
				Data   json.RawMessage
				Offset uint64
			}
		}
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("no answer to the command: %w: %.80q", err, data)
	}
	if r.Subscribe == nil {
		return fmt.Errorf("refused: %.200q", data)
	}
	if err := c.accept(r.Subscribe.Recovered, r.Subscribe.Epoch, r.Subscribe.Offset); err != nil {
		return err
	}
	for _, p := range r.Subscribe.Publications {
		if err := c.publication(p.Offset, p.Data); err != nil {
			return err
		}
	}
	if !c.Done() {
		return fmt.Errorf("the topic stands at %d, but the last message is %d", c.end, c.next-1)
	}
	return nil
}
