package client_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// feed is a topic that sends to one peer of tank.v2.
type feed struct {
	name    string
	seq     uint64
	lost    atomic.Uint64
	answers int // that were sent
}

func (f *feed) batch(sizes []int) *wire.Batch {
	b := &wire.Batch{Topic: f.name, Lost: &f.lost, Messages: len(sizes)}
	envelope := wire.NewEnvelope2(f.name)
	for _, size := range sizes {
		f.seq++
		b.Frames[wire.V2] = envelope.Append(b.Frames[wire.V2], f.seq, f.seq-1, &wire.Publication{Data: strings.Repeat("x", size)})
	}
	b.Seq = f.seq
	return b
}

// answer tells where the feed stands.
func (f *feed) answer() *wire.Batch {
	frame := wire.AppendReset(nil, f.name, wire.Position{Epoch: "epoch", Seq: f.seq})
	return wire.NewAnswers(wire.V2, frame, 1).About(f.name)
}

// v2Frame is what a peer of tank.v2 is told of a topic.
type v2Frame struct {
	topic string
	seq   uint64 // of a publication, a loss, or where the topic stands
	lost  uint64 // not 0: so many up to seq
	stand bool   // the topic stands at seq
}

// readV2 reads the next frame.
func readV2(r *bufio.Reader) (f v2Frame, err error) {
	frame, err := wstest.ReadFrame(r)
	if err != nil {
		return f, err
	}
	var publication []any
	if json.Unmarshal(frame.Payload, &publication) == nil {
		return v2Frame{topic: publication[0].(string), seq: uint64(publication[1].(float64))}, nil
	}
	var notice struct {
		Topic     string
		Lost, Seq uint64
		Reset     *struct{ Seq uint64 }
	}
	if err := json.Unmarshal(frame.Payload, &notice); err != nil {
		return f, fmt.Errorf("%q: %w", frame.Payload, err)
	}
	f = v2Frame{topic: notice.Topic, lost: notice.Lost, seq: notice.Seq}
	if notice.Reset != nil {
		f.stand, f.seq = true, notice.Reset.Seq
	}
	return f, nil
}

// TestDroppedPublicationsAreTold: behind each loss, and before anything else of its topic, a peer of tank.v2 is told how many
// publications it has lost, exactly, and up to which number. So no number ever jumps. Of answers, none is lost.
func TestDroppedPublicationsAreTold(t *testing.T) {
	for name, policy := range map[string]client.Policy{"drop oldest": client.DropOldest, "keep latest": client.KeepLatest} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				program := rapid.SliceOfN(rapid.Custom(drawBatch), 1, 60).Draw(rt, "batches")
				sips := rapid.SliceOfN(rapid.IntRange(0, 2), len(program), len(program)).Draw(rt, "read")
				var failure string
				synctest.Test(t, func(t *testing.T) { failure = runLosses(t, policy, program, sips) })
				if failure != "" {
					rt.Fatal(failure)
				}
			})
		})
	}
}

// runLosses sends batches, or for topic 0 answers, and lets the peer read as often behind each as sips says.
func runLosses(t *testing.T, policy client.Policy, program []batch, sips []int) string {
	p := newPairV2(t, 400, func(o *client.Options) { o.Policy, o.OutboxBytes = policy, 1000 })
	feeds := []*feed{{name: "a"}, {name: "b\""}, {name: "主题"}}
	var stream bytes.Buffer
	read := func(times int) {
		for range times {
			if waiting := p.conn.Conn.(*memnet.Conn).Buffered(); len(waiting) > 0 {
				io.CopyN(&stream, p.conn, int64(len(waiting)))
			}
			synctest.Wait()
		}
	}
	for i, b := range program {
		if b.Topic == 0 {
			f := feeds[i%len(feeds)]
			f.answers++
			p.Send(f.answer())
		} else {
			p.Send(feeds[b.Topic-1].batch(b.Sizes))
		}
		synctest.Wait()
		read(sips[i])
	}
	read(1000)
	if failure := checkLosses(&stream, feeds); failure != "" {
		return failure
	}
	if held := p.opts.Budget.Held(); held != 0 {
		return fmt.Sprintf("%d bytes are held", held)
	}
	p.Cut("end")
	<-p.gone
	return ""
}

// checkLosses compares what the peer has read with what the feeds have sent and lost.
func checkLosses(stream io.Reader, feeds []*feed) string {
	at, lost, answers := map[string]uint64{}, map[string]uint64{}, map[string]int{}
	for r := bufio.NewReader(stream); ; {
		got, err := readV2(r)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err.Error()
		}
		switch before := at[got.topic]; {
		case got.lost > 0 && got.seq-before != got.lost:
			return fmt.Sprintf("at %d, %+v", before, got)
		case got.lost > 0:
			lost[got.topic] += got.lost
		case got.stand:
			if answers[got.topic]++; got.seq != before {
				return fmt.Sprintf("at %d, an answer: %+v", before, got)
			}
		case got.seq != before+1:
			return fmt.Sprintf("behind %d comes %+v", before, got)
		}
		at[got.topic] = got.seq
	}
	for _, f := range feeds {
		if at[f.name] != f.seq || lost[f.name] != f.lost.Load() || answers[f.name] != f.answers {
			return fmt.Sprintf("of %s, it is at %d of %d, and was told of %d losses of %d, with %d answers of %d",
				f.name, at[f.name], f.seq, lost[f.name], f.lost.Load(), answers[f.name], f.answers)
		}
	}
	return ""
}

// TestNoticesMakeRoomBeforeTheyClose: a client is closed over notices that must not be dropped only when no publication is left that may be.
func TestNoticesMakeRoomBeforeTheyClose(t *testing.T) {
	for name, policy := range map[string]client.Policy{"drop oldest": client.DropOldest, "keep latest": client.KeepLatest} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPairV2(t, 1, func(o *client.Options) { o.Policy, o.OutboxBytes = policy, 1000 })
				f := &feed{name: "a"}
				p.Send(f.batch([]int{2000})) // is being written, which is not what the notices are too many for
				synctest.Wait()
				p.Send(f.batch([]int{500})) // waits
				notice := func() *wire.Batch {
					here := &wire.Here{Users: 1, Names: true, Out: []string{strings.Repeat("x", 200)}}
					b := wire.NewAnswers(wire.V2, wire.AppendHere(nil, "a", here), 1).About("a")
					b.Unasked = true
					return b
				}
				p.Send(notice())
				synctest.Wait()
				if p.Closing() || f.lost.Load() != 1 {
					t.Errorf("closing: %v, lost: %d", p.Closing(), f.lost.Load())
				}
				for range 2 {
					p.Send(notice())
				}
				synctest.Wait()
				if p.Closing() {
					t.Error("closed although there is room")
				}
				for range 2 {
					p.Send(notice())
				}
				synctest.Wait()
				if !p.Closing() {
					t.Error("not closed although there is no room, and nothing left to drop")
				}
				p.Cut("end")
				<-p.gone
				if held := p.opts.Budget.Held(); held != 0 {
					t.Errorf("%d bytes are held", held)
				}
			})
		})
	}
}
