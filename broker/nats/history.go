package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

var _ broker.Historian = (*Broker)(nil)

// errKeepsNothing is that of the methods of a Historian in other modes.
var errKeepsNothing = fmt.Errorf("natsbroker: only the mode JetStream keeps publications: %w", errors.ErrUnsupported)

// Fits implements broker.Historian, by the options: a stream that was made with others may keep less. In other modes than JetStream, its error is
// errors.ErrUnsupported.
func (b *Broker) Fits(messages int, age time.Duration) error {
	o := b.options.Stream
	switch {
	case b.keeper == nil:
		return errKeepsNothing
	case messages <= 0:
		return errors.New("natsbroker: a history needs a limit in messages, as the stream has one: set History.Messages below StreamOptions.Messages")
	case messages >= o.Messages: // a client that has the last one shows with it that the others are all
		return fmt.Errorf("natsbroker: History.Messages is %d, and has to be below StreamOptions.Messages, which is %d", messages, o.Messages)
	case age > o.Age:
		return fmt.Errorf("natsbroker: History.Age is %v, and may not be above StreamOptions.Age, which is %v", age, o.Age)
	}
	return nil
}

// After implements broker.Historian. In other modes than JetStream, its error is errors.ErrUnsupported.
func (b *Broker) After(ctx context.Context, name, epoch string, offset uint64, most int) (broker.Page, error) {
	k := b.keeper
	if k == nil {
		return broker.Page{}, errKeepsNothing
	}
	subject, err := subject(k.from, name)
	if err != nil {
		return broker.Page{}, err
	}
	s := b.session.Load()
	switch {
	case b.closing.Load():
		return broker.Page{}, broker.ErrClosed
	case s == nil:
		return broker.Page{}, b.down()
	}
	limited, cancel := k.request(ctx, s)
	defer cancel()
	page, err := k.after(limited, s, subject, epoch, offset, max(most, 1))
	switch {
	case err == nil || errors.Is(err, broker.ErrEpoch):
		return page, err
	case ctx.Err() != nil:
		return broker.Page{}, ctx.Err()
	case b.closing.Load():
		return broker.Page{}, broker.ErrClosed
	case !s.alive():
		return broker.Page{}, broker.ErrDown
	}
	return broker.Page{}, unanswered(limited, err)
}

// after reads pages of the stream. Each begins with the last message that is known already: if that is still there, nothing between is gone.
func (k *keeper) after(ctx context.Context, s *session, subject, epoch string, offset uint64, most int) (broker.Page, error) {
	h := history{offset: offset, most: most}
	from := offset >> offsetBits
	place, count := keep{known: from}, 0
	if offset&between != between {
		place.last = from // there was a message
	}
	for first := true; ; first = false {
		p, err := k.page(ctx, s, subject, from)
		if err != nil {
			return broker.Page{}, err
		}
		switch {
		case first && !p.cut:
			h.Whole, count = p.whole, len(p.list)+int(p.pending) // #nosec G115 -- a count
		case !p.whole:
			h.again(from)
		}
		for _, m := range p.list {
			if h.add(m); h.More {
				break
			}
			from = m.seq
		}
		if p.pending == 0 || len(p.list) == 0 || h.More {
			break
		}
	}
	info, err := k.info(ctx, s)
	if err != nil {
		return broker.Page{}, err
	}
	if epochOf(info) != epoch {
		return broker.Page{}, broker.ErrEpoch
	}
	h.Whole = !h.broken && (h.Whole || place.proves(limitsOf(info), count))
	if !h.Whole && len(h.Messages) > 0 {
		h.Messages[0].Prev = before(h.Messages[0].Offset >> offsetBits)
	}
	h.End = behind(info.State.LastSeq)
	return h.Page, nil
}

// history is a page that is being filled.
type history struct {
	broker.Page
	offset uint64 // up to which all was looked at
	most   int
	broken bool // what is there does not begin behind what was asked about
}

// again begins the page anew, behind a sequence.
func (h *history) again(seq uint64) {
	h.Messages, h.broken, h.offset = nil, true, max(h.offset, behind(seq))
}

func (h *history) add(m stored) {
	list, err := m.publications()
	if err != nil {
		h.again(m.seq)
		return
	}
	for i, p := range list {
		offset := offsetOf(m.seq, i)
		switch {
		case offset <= h.offset:
			continue
		case p.Reset:
			h.again(m.seq)
			return
		case len(h.Messages) == h.most:
			h.More = true
			return
		}
		h.Messages = append(h.Messages, broker.Message{Publication: p, Offset: offset, Prev: h.offset, At: m.time})
		h.offset = offset
	}
}
