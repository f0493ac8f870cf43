package natsbroker

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// subscriber is a client of an instance, and its diary: each publication, "lost" where it was told that some may be missing,
// "interrupted" and "restored".
type subscriber struct {
	*diary
	t    testing.TB
	kind string // plain, v2, or returning: a v2 client that goes and comes back with its position, again and again, for what is kept
	at   string // address of the instance
	wg   sync.WaitGroup

	ended atomic.Bool

	mu     sync.Mutex
	conn   *wstest.Conn
	names  []string // of its topics; the ids of commands begin at 1
	topics map[string]*place

	numbers []numbered // what it has got, unless it is plain
}

// place is where a subscriber of v2 stands in a topic.
type place struct {
	epoch string
	seq   uint64
	is    bool  // it has subscribed
	first since // where it stood then
}

type since struct {
	epoch string
	seq   uint64
}

// returnAfter is how many publications a returning client reads of a connection.
const returnAfter = 200

func newSubscriber(t testing.TB, kind, at string, topics ...string) *subscriber {
	t.Helper()
	s := &subscriber{diary: new(diary), t: t, kind: kind, at: at, names: topics, topics: make(map[string]*place)}
	for _, name := range topics {
		s.topics[name] = new(place)
	}
	s.connect()
	s.wg.Go(s.run)
	t.Cleanup(s.end)
	return s
}

func (s *subscriber) end() {
	s.ended.Store(true)
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	_ = conn.Close()
	s.wg.Wait()
}

// connect also sends the commands that subscribe.
func (s *subscriber) connect() {
	raw, err := net.Dial("tcp", s.at)
	must(s.t, err)
	conn := wstest.NewConn(raw, 64<<10)
	header := ""
	if s.kind != "plain" {
		header = "Sec-WebSocket-Protocol: tank.v2\r\n"
	}
	must(s.t, conn.Upgrade(wstest.Handshake{Target: "/ws", Host: s.at, Header: header}))
	s.mu.Lock()
	s.conn = conn
	s.mu.Unlock()
	var all []byte
	for i, name := range s.names {
		p, id := s.topics[name], i+1
		command := fmt.Sprintf(`{"id":%d,"sub":%q}`, id, name)
		switch {
		case s.kind == "plain":
			command = "sub:" + name
		case p.is:
			command = fmt.Sprintf(`{"id":%d,"sub":%q,"since":[%q,%d]}`, id, name, p.epoch, p.seq)
		}
		all = append(all, wstest.Masked(wstest.Fin|wstest.Text, command)...)
	}
	_, err = conn.Write(all)
	must(s.t, err)
}

// subscribe sends a command, and others with it.
func (s *subscriber) subscribe(name string, others ...string) {
	s.mu.Lock()
	s.names = append(s.names, name)
	s.topics[name] = new(place)
	id := len(s.names)
	s.mu.Unlock()
	all := string(wstest.Masked(wstest.Fin|wstest.Text, fmt.Sprintf(`{"id":%d,"sub":%q}`, id, name)))
	for _, text := range others {
		all += string(wstest.Masked(wstest.Fin|wstest.Text, text))
	}
	must(s.t, s.write([]byte(all)))
}

// write is for any goroutine.
func (s *subscriber) write(frames []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.conn.Write(frames)
	return err
}

func (s *subscriber) run() {
	for !s.ended.Load() {
		err := s.read()
		if s.ended.Load() {
			return
		}
		if err != nil {
			s.t.Errorf("a %s client: %v", s.kind, err)
			return
		}
		_ = s.conn.Close()
		s.connect()
	}
}

// read returns nil when a returning client has read enough.
func (s *subscriber) read() error {
	for count := 0; s.kind != "returning" || count < returnAfter; count++ {
		f, err := s.conn.ReadFrame()
		switch {
		case err != nil:
			return err
		case f.Opcode() == wstest.Close:
			return fmt.Errorf("closed with %d", f.CloseCode())
		case f.Opcode() == wstest.Ping:
			if err := s.write(wstest.Masked(wstest.Fin|wstest.Pong, string(f.Payload))); err != nil {
				return err
			}
			continue
		case f.Opcode() != wstest.Text:
			continue
		}
		if err := s.take(f.Payload); err != nil {
			return fmt.Errorf("%w: %.200q", err, f.Payload)
		}
	}
	return nil
}

func (s *subscriber) take(frame []byte) error {
	if s.kind == "plain" {
		var p struct{ Topic, Data string }
		if err := json.Unmarshal(frame, &p); err != nil {
			return err
		}
		s.add(occurrence{what: "message", name: p.Topic, text: p.Data})
		return nil
	}
	if frame[0] == '[' {
		return s.publication(frame)
	}
	var f notice
	if err := json.Unmarshal(frame, &f); err != nil {
		return err
	}
	switch {
	case f.Error != nil, f.Lost > 0:
		return errors.New("unexpected")
	case f.Interrupted != nil && *f.Interrupted:
		s.add(occurrence{what: "interrupted"})
	case f.Interrupted != nil:
		s.add(occurrence{what: "restored"})
	case f.Gap != nil:
		s.add(occurrence{what: "lost", name: f.Topic, text: "gap"})
		s.place(f.Topic).seq = f.Gap.Seq - 1
	case f.Reset != nil:
		s.add(occurrence{what: "lost", name: f.Topic, text: "reset"})
		p := s.place(f.Topic)
		p.epoch, p.seq = f.Reset.Epoch, f.Reset.Seq
	case f.Ok != nil && f.Ok.Epoch != "": // else it is about a publication
		s.mu.Lock()
		name := s.names[f.ID-1]
		s.mu.Unlock()
		p := s.place(name)
		resumed := p.is && f.Ok.Recovered != nil && *f.Ok.Recovered
		switch {
		case resumed && (f.Ok.Epoch != p.epoch || f.Ok.From != p.seq):
			return fmt.Errorf("recovered from another position than %s %d", p.epoch, p.seq)
		case resumed: // what follows is counted from there
			return nil
		case p.is:
			s.add(occurrence{what: "lost", name: name, text: "not recovered"})
		default:
			s.add(occurrence{what: "subscribed", name: name})
		}
		p.epoch, p.seq = f.Ok.Epoch, f.Ok.Seq
		if f.Ok.Recovered != nil {
			p.seq = f.Ok.From
		}
		if !p.is {
			p.is, p.first = true, since{p.epoch, p.seq}
		}
	}
	return nil
}

func (s *subscriber) place(name string) *place {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.topics[name]
}

func (s *subscriber) publication(frame []byte) error {
	f, err := parsePublication(frame)
	if err != nil {
		return err
	}
	p := s.place(f.name)
	if f.prev != p.seq {
		if f.seq <= p.seq {
			return fmt.Errorf("it came at %d", p.seq)
		}
		s.add(occurrence{what: "lost", name: f.name, text: "jump"})
	}
	p.seq = f.seq
	s.mu.Lock()
	s.numbers = append(s.numbers, numbered{f.name, p.epoch, f.seq, f.data})
	s.mu.Unlock()
	s.add(occurrence{what: "message", name: f.name, text: f.data})
	return nil
}

// numbered is a publication that a client has got.
type numbered struct {
	name  string
	epoch string
	seq   uint64
	data  string
}

// notice is a frame of tank.v2 that is not a publication.
type notice struct {
	Ok *struct {
		Epoch     string
		Seq, From uint64
		Recovered *bool
		Why       string
	}
	ID         uint64
	Topic      string
	Gap, Reset *struct {
		Epoch string
		Seq   uint64
	}
	Lost        int
	Interrupted *bool
	Bye         *struct{ Within int }
	Error       json.RawMessage
}

// publication is one of tank.v2 whose data is text.
type publication struct {
	name      string
	seq, prev uint64
	data      string
}

func parsePublication(frame []byte) (p publication, err error) {
	var parts []json.RawMessage
	more := struct{ Prev *uint64 }{}
	if err := json.Unmarshal(frame, &parts); err != nil || len(parts) < 3 {
		return p, errors.New("no publication")
	}
	err = errors.Join(json.Unmarshal(parts[0], &p.name), json.Unmarshal(parts[1], &p.seq), json.Unmarshal(parts[2], &p.data))
	if len(parts) > 3 {
		err = errors.Join(err, json.Unmarshal(parts[3], &more))
	}
	if p.prev = p.seq - 1; more.Prev != nil {
		p.prev = *more.Prev
	}
	return p, err
}
