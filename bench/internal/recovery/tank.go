package recovery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
)

// TankCommand is what a client of tank.v2 says to resume.
func TankCommand(id int, topic string, since contender.Position) string {
	return fmt.Sprintf(`{"id":%d,"sub":%q,"since":[%q,%d]}`, id, topic, since.Epoch, since.Offset)
}

// Tank is the answer in tank.v2: a reply, and behind it the publications, a message each.
type Tank struct{ progress }

// NewTank returns the answer to a TankCommand.
func NewTank(m Missed) Answer { return &Tank{newProgress(m)} }

// Message implements Answer.
func (t *Tank) Message(data []byte) error {
	if !t.answered {
		return t.reply(data)
	}
	head := strconv.AppendUint([]byte(`["`+t.Topic+`",`), t.next, 10)
	rest, ok := bytes.CutPrefix(data, append(head, `,"`...))
	if !ok {
		return fmt.Errorf("not message %d of %s: %.80q", t.next, t.Topic, data)
	}
	quoted, ok := bytes.CutSuffix(rest, []byte(`]`))
	if !ok || !bytes.HasSuffix(quoted, []byte(`"`)) || bytes.Count(quoted, []byte(`"`)) != 1 {
		return fmt.Errorf("message %d has another form: %.80q", t.next, data)
	}
	return t.publication(t.next, quoted)
}

func (t *Tank) reply(data []byte) error {
	var r struct {
		Ok *struct {
			Epoch     string
			Seq       uint64
			From      uint64
			Recovered bool
			Why       string
		}
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("no answer to the command: %w: %.80q", err, data)
	}
	if r.Ok == nil || r.Ok.Why != "" || r.Ok.From != t.Since.Offset {
		return fmt.Errorf("refused: %.200q", data)
	}
	return t.accept(r.Ok.Recovered, r.Ok.Epoch, r.Ok.Seq)
}
