package topic

import (
	"testing"
	"testing/synctest"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// tally is a Subscriber that counts.
type tally struct{ messages int }

func (s *tally) Deliver(b *wire.Batch) (taken, idle bool) {
	s.messages += b.Messages
	return true, false
}
func (*tally) Flush()                  {}
func (*tally) Encoding() wire.Encoding { return wire.V1 }

// Encoding panics only over a bug in this library, so this test has to put one in.
func TestAPanicOverTheLastMessageCostsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := Spawn("news", Options{})
		encode := topic.encode
		topic.encode = func(dst []byte, data string) []byte {
			if data == "bad" {
				panic(data)
			}
			return encode(dst, data)
		}
		s := &tally{}
		topic.Join(&Member{Subscriber: s})
		synctest.Wait()
		topic.ref.Claim() // so that both come in one go
		topic.TryPut(NewPublish(&wire.Publication{Data: "good"}))
		topic.TryPut(NewPublish(&wire.Publication{Data: "bad"}))
		topic.ref.Run()
		synctest.Wait()
		if s.messages != 1 {
			t.Errorf("%d messages were delivered, want the one before the panic", s.messages)
		}
		topic.Stop()
	})
}
