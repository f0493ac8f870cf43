package natsbroker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

const (
	// maxTails is for how many subjects a server looks up the last message in one request.
	maxTails = 1024
	// pageCount and pageBytes are how much is asked for at once.
	pageCount = 512
	pageBytes = 256 << 10
	// lag is how long a replica of a stream gets to catch up with its leader, and lagTries how often.
	lag      = 20 * time.Millisecond
	lagTries = 100
	// noneTries is how often a stream with replicas has to say that it has no message. That answer does not say who gives it.
	noneTries = 3
)

var (
	errAnswer = errors.New("natsbroker: JetStream gave an answer that cannot be understood")
	errSilent = errors.New("natsbroker: JetStream did not answer")
	errStale  = errors.New("natsbroker: a replica of the stream is behind")
	// errNone says that none of the subjects has a message, errRemoved that one is not there, perhaps because it was removed meanwhile.
	errNone    = errors.New("natsbroker: no message")
	errRemoved = errors.New("natsbroker: a message is not there")
)

// stored is a message of the stream.
type stored struct {
	seq    uint64
	time   time.Time
	data   []byte
	unread bool // it cannot be read, and nothing else is known of it
	last   int  // of the last message of a subject, instead of its data: the index of its last publication; between: it cannot be read
}

// publications returns what a message holds.
func (m stored) publications() ([]broker.Publication, error) {
	if m.unread {
		return nil, fmt.Errorf("%w: its headers are damaged", errPayload)
	}
	return decodePack(m.data)
}

// getRequest is that of the direct-get API, for several messages. Its client in orbit.go takes an answer that ends early for one that is
// complete, and does not return up to where a replica knows the stream.
type getRequest struct {
	Seq       uint64   `json:"seq,omitempty"`
	NextFor   string   `json:"next_by_subj,omitempty"`
	Batch     int      `json:"batch,omitempty"`
	MaxBytes  int      `json:"max_bytes,omitempty"`
	MultiLast []string `json:"multi_last,omitempty"`
}

// getEnd is what the end of an answer says.
type getEnd struct {
	pending uint64 // messages that follow
	upTo    uint64 // all up to this sequence was looked at; only for MultiLast
}

// get calls each for the messages of an answer. An answer that ends early is an error.
func (k *keeper) get(ctx context.Context, s *session, r getRequest, each func(subject string, m stored)) (getEnd, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return getEnd{}, err
	}
	inbox := s.conn.NewRespInbox()
	sub, err := s.conn.SubscribeSync(inbox)
	if err != nil {
		return getEnd{}, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	next, silent := context.WithCancel(ctx) // each message has as long: there may be many, on a slow connection
	defer silent()
	timer := time.AfterFunc(k.answer, silent)
	defer timer.Stop()
	if err := s.conn.PublishMsg(&nats.Msg{Subject: k.api + "DIRECT.GET." + k.name, Reply: inbox, Data: body}); err != nil {
		return getEnd{}, err
	}
	unread := false // the message before has headers that cannot be read: what follows says where it is
	for {
		m, err := sub.NextMsgWithContext(next)
		switch {
		case err != nil && next.Err() != nil && ctx.Err() == nil:
			return getEnd{}, errSilent
		case err != nil:
			return getEnd{}, err
		}
		timer.Reset(k.answer)
		seq := fromServer(m.Header, jetstream.SequenceHeader)
		if unread && m.Header != nil {
			if one, err := parseSeq(fromServer(m.Header, jetstream.LastSequenceHeader)); err == nil {
				each("", stored{seq: one, unread: true})
			}
			unread = false
		}
		switch {
		case m.Header == nil:
			unread = true
			continue
		case seq == "":
			return ended(m.Header)
		}
		one := stored{data: m.Data}
		one.seq, err = parseSeq(seq)
		if err == nil {
			one.time, err = time.Parse(time.RFC3339Nano, fromServer(m.Header, jetstream.TimeStampHeaer))
		}
		if err != nil {
			return getEnd{}, fmt.Errorf("%w: %w", errAnswer, err)
		}
		each(fromServer(m.Header, jetstream.SubjectHeader), one)
	}
}

// fromServer returns a header that the server has set. It adds its own behind those of whoever published the message.
func fromServer(h nats.Header, key string) string {
	if list := h[key]; len(list) > 0 {
		return list[len(list)-1]
	}
	return ""
}

// maxSeq is the highest sequence that makes offsets as they have to be.
const maxSeq = 1<<(53-offsetBits) - 1

func parseSeq(s string) (uint64, error) {
	seq, err := strconv.ParseUint(s, 10, 64)
	if err == nil && seq > maxSeq {
		return 0, fmt.Errorf("the sequence %d is too high", seq)
	}
	return seq, err
}

// ended reads the last message of an answer.
func ended(h nats.Header) (end getEnd, err error) {
	status, what := h.Get("Status"), h.Get("Description")
	switch {
	case status == "204":
		if end.pending, err = strconv.ParseUint(h.Get("Nats-Num-Pending"), 10, 64); err != nil {
			return end, fmt.Errorf("%w: %w", errAnswer, err)
		}
		end.upTo, _ = parseSeq(h.Get("Nats-UpTo-Sequence")) // not in all answers
		return end, nil
	case status == "404" && what == "No Results":
		return end, errNone
	case status == "404":
		return end, errRemoved
	}
	return end, fmt.Errorf("natsbroker: JetStream answered %s %s", status, what)
}

// unanswered says why an answer did not come, or is another error.
func unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fault(ctx, err)
	}
	return err
}

// page is what is stored of a subject from a sequence on. Nothing is missing between its messages.
type page struct {
	list    []stored
	pending uint64 // messages that follow
	whole   bool   // it begins with that sequence
	cut     bool   // its first messages were dropped while it was read, and are not in it
}

// page fetches one. If there are messages behind that sequence, one of them is in it, however large they are.
//
// A server drops what is too old also while it reads. So it is asked again for the first message, after the others: the oldest are dropped first, and
// nothing is missing behind one that is still there.
func (k *keeper) page(ctx context.Context, s *session, subject string, from uint64) (p page, err error) {
	for bytes := pageBytes; ; {
		p.list = nil
		r := getRequest{Seq: max(from, 1), NextFor: subject, Batch: pageCount, MaxBytes: bytes}
		end, err := k.get(ctx, s, r, func(_ string, m stored) { p.list = append(p.list, m) })
		p.pending = end.pending
		switch {
		case len(p.list) == 0 && (err == nil || errors.Is(err, errRemoved)):
			return p, nil
		case err != nil:
			return p, err
		case len(p.list) == 1 && p.list[0].seq == from && p.pending > 0:
			bytes *= 4
			continue
		}
		first, err := k.first(ctx, s, subject, p.list[0].seq)
		if err != nil {
			return p, err
		}
		for len(p.list) > 0 && (first == 0 || p.list[0].seq < first) {
			p.list, p.cut = p.list[1:], true
		}
		if len(p.list) > 0 || first == 0 {
			p.whole = !p.cut && p.list[0].seq == from
			return p, nil
		}
		from = first // all of them have gone meanwhile
	}
}

// first returns the first message of a subject from a sequence on, or 0.
func (k *keeper) first(ctx context.Context, s *session, subject string, from uint64) (seq uint64, err error) {
	_, err = k.get(ctx, s, getRequest{Seq: from, NextFor: subject, Batch: 1}, func(_ string, m stored) { seq = m.seq })
	if errors.Is(err, errRemoved) {
		return 0, nil
	}
	return seq, err
}

// tails returns the last message of each subject that has one behind a sequence. They are from a replica that knows the stream up to
// another sequence, at least.
func (k *keeper) tails(ctx context.Context, s *session, subjects []string, behind, upTo uint64) (map[string]stored, error) {
	all := make(map[string]stored)
	for len(subjects) > 0 {
		n, bytes := 0, 0
		for n < len(subjects) && n < maxTails && (n == 0 || bytes+len(subjects[n]) < int(s.conn.MaxPayload()/2)) {
			bytes += len(subjects[n]) + len(`"",`)
			n++
		}
		if err := k.someTails(ctx, s, all, subjects[:n], behind, upTo); err != nil {
			return nil, err
		}
		subjects = subjects[n:]
	}
	return all, nil
}

func (k *keeper) someTails(ctx context.Context, s *session, all map[string]stored, subjects []string, behind, upTo uint64) error {
	none := 0
	for try, next := 0, behind+1; try < lagTries; {
		begun := next
		end, err := k.get(ctx, s, getRequest{Seq: next, MultiLast: subjects, MaxBytes: pageBytes}, func(subject string, m stored) {
			m.last = between
			if list, err := m.publications(); err == nil {
				m.last = len(list) - 1
			}
			m.data = nil // there may be many
			all[subject] = m
			next = max(next, m.seq+1)
		})
		switch {
		case errors.Is(err, errNone):
			if none++; upTo == 0 || k.replicas.Load() <= 1 || none == noneTries {
				return nil
			}
		case err != nil && !errors.Is(err, errRemoved):
			return err
		case err == nil && end.upTo >= upTo && end.pending == 0:
			return nil
		case err == nil && end.upTo >= upTo:
			continue
		}
		next = begun
		try++
		if err := sleep(ctx, lag); err != nil {
			return err
		}
	}
	return errStale
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
