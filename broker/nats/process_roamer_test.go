package natsbroker

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// roamer is a client of tank.v2 behind a load balancer. When its connection ends, it comes back with its positions, to whatever instance it is
// given. It keeps the rules of docs/protocol-v2.md, and fails the test when it is told that something is missing.
type roamer struct {
	t      testing.TB
	number int
	at     string // of the load balancer
	names  []string
	pauses *rand.Rand
	stop   chan struct{}
	wg     sync.WaitGroup

	mu     sync.Mutex
	conn   *wstest.Conn // nil: none
	stands map[string]*stand
	posts  map[uint64]chan<- notice // publications that have no answer, by id
	id     uint64                   // of the last command
	roamed roamed
	last   time.Time // when the last publication came
	err    error     // of the last attempt to connect that failed
}

// stand is where a roamer stands in a topic.
type stand struct {
	is    bool // it has a position
	epoch string
	seq   uint64
	first uint64 // position that it began with
	until uint64 // the last one of a replay
	asked uint64 // id of the sub without an answer; 0: none
	got   []numbered
}

// roamed is what happened to a roamer.
type roamed struct {
	connections, refused, resumes, replayed, gaps, byes int
	pause                                               time.Duration // longest between two publications
}

func newRoamer(t testing.TB, number int, at string, names ...string) *roamer {
	r := &roamer{
		t: t, number: number, at: at, names: names, stop: make(chan struct{}),
		pauses: rand.New(rand.NewPCG(uint64(number), 0)),
		stands: make(map[string]*stand), posts: make(map[uint64]chan<- notice),
	}
	for _, name := range names {
		r.stands[name] = new(stand)
	}
	r.wg.Go(r.run)
	t.Cleanup(r.end)
	return r
}

func (r *roamer) end() {
	r.mu.Lock()
	select {
	case <-r.stop:
	default:
		close(r.stop)
	}
	if r.conn != nil {
		_ = r.conn.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}

// wait returns false when the roamer has ended.
func (r *roamer) wait(most time.Duration) bool {
	timer := time.NewTimer(time.Duration(r.pauses.Int64N(int64(most))))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.stop:
		return false
	}
}

func (r *roamer) run() {
	for {
		within := 20 * time.Millisecond
		if err := r.connect(); err != nil {
			r.mu.Lock()
			r.err = err
			r.roamed.refused++
			r.mu.Unlock()
		} else if d := r.read(); d > 0 {
			within = d
		}
		r.lose()
		if !r.wait(within) {
			return
		}
	}
}

// connect also subscribes.
func (r *roamer) connect() error {
	raw, err := net.DialTimeout("tcp", r.at, patience)
	if err != nil {
		return err
	}
	conn := wstest.NewConn(raw, 64<<10)
	_ = raw.SetDeadline(time.Now().Add(patience))
	err = conn.Upgrade(wstest.Handshake{Target: fmt.Sprint("/ws?user_id=roamer-", r.number), Host: r.at, Header: "Sec-WebSocket-Protocol: tank.v2\r\n"})
	if err != nil {
		_ = raw.Close()
		return err
	}
	_ = raw.SetDeadline(time.Time{})
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.stop:
		_ = conn.Close()
	default:
	}
	r.conn = conn
	r.roamed.connections++
	for _, name := range r.names {
		r.ask(name)
	}
	return nil
}

// ask subscribes, from the position on if there is one. It is called with mu held.
func (r *roamer) ask(name string) {
	s := r.stands[name]
	r.id++
	s.asked = r.id
	since := ""
	if s.is {
		since = fmt.Sprintf(`,"since":[%q,%d]`, s.epoch, s.seq)
	}
	r.send(fmt.Sprintf(`{"id":%d,"sub":%q%s}`, r.id, name, since))
}

// send is called with mu held. Reading finds out what goes wrong.
func (r *roamer) send(command string) {
	_, _ = r.conn.Write(wstest.Masked(wstest.Fin|wstest.Text, command))
}

// lose answers publications with the zero notice: nobody knows what became of them.
func (r *roamer) lose() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != nil {
		_ = r.conn.Close()
		r.conn = nil
	}
	for _, s := range r.stands {
		s.asked = 0
	}
	for id, answer := range r.posts {
		answer <- notice{}
		delete(r.posts, id)
	}
}

// post publishes, and returns the number that the publication has, or false if that is not known: then it can be repeated.
func (r *roamer) post(topic, data, key string) (seq uint64, ok bool) {
	r.mu.Lock()
	if r.conn == nil {
		r.mu.Unlock()
		return 0, false
	}
	r.id++
	answer := make(chan notice, 1)
	r.posts[r.id] = answer
	r.send(fmt.Sprintf(`{"id":%d,"pub":%q,"data":%q,"key":%q}`, r.id, topic, data, key))
	r.mu.Unlock()
	n := <-answer
	if n.Ok == nil {
		return 0, false
	}
	return n.Ok.Seq, true
}

// read returns when the connection ends, and within what time the server wants its clients to come back.
func (r *roamer) read() (within time.Duration) {
	for {
		f, err := r.conn.ReadFrame()
		if err != nil {
			return within
		}
		switch f.Opcode() {
		case wstest.Close:
			return within
		case wstest.Ping:
			r.mu.Lock()
			_, _ = r.conn.Write(wstest.Masked(wstest.Fin|wstest.Pong, string(f.Payload)))
			r.mu.Unlock()
		case wstest.Text:
			if d := r.take(f.Payload); d > 0 {
				within = d
			}
		}
	}
}

func (r *roamer) take(frame []byte) (within time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if frame[0] == '[' {
		p, err := parsePublication(frame)
		if err != nil {
			r.t.Errorf("roamer %d: %v: %.200q", r.number, err, frame)
			return 0
		}
		r.publication(p)
		return 0
	}
	var n notice
	if err := json.Unmarshal(frame, &n); err != nil {
		r.t.Errorf("roamer %d: %v: %.200q", r.number, err, frame)
	}
	name := r.asked(n.ID)
	switch {
	case n.Bye != nil:
		r.roamed.byes++
		return time.Duration(n.Bye.Within) * time.Millisecond
	case n.ID > 0 && r.posts[n.ID] != nil:
		r.posts[n.ID] <- n
		delete(r.posts, n.ID)
	case n.Error != nil && name != "" && retries(n.Error):
		_ = r.conn.Close() // the connection is of no use
	case n.Error != nil, n.Lost > 0, n.Reset != nil:
		r.t.Errorf("roamer %d was told %s", r.number, frame)
	case n.Gap != nil:
		r.roamed.gaps++
		if r.stands[n.Topic].asked == 0 {
			r.ask(n.Topic)
		}
	case n.Ok != nil && name != "":
		r.subscribed(name, n)
	}
	return 0
}

// retries says that a refusal is for now alone.
func retries(refusal json.RawMessage) bool {
	var e struct{ Retry bool }
	return json.Unmarshal(refusal, &e) == nil && e.Retry
}

// asked returns the topic that a command subscribes to.
func (r *roamer) asked(id uint64) string {
	i := slices.IndexFunc(r.names, func(name string) bool { return id > 0 && r.stands[name].asked == id })
	if i < 0 {
		return ""
	}
	return r.names[i]
}

func (r *roamer) subscribed(name string, n notice) {
	s, ok := r.stands[name], n.Ok
	s.asked = 0
	switch {
	case !s.is:
		s.is, s.epoch, s.seq, s.first = true, ok.Epoch, ok.Seq, ok.Seq
	case ok.Recovered == nil || !*ok.Recovered:
		r.t.Errorf("roamer %d came back to %s at %s %d, and was told that something is missing: %+v", r.number, name, s.epoch, s.seq, ok)
		s.epoch, s.seq = ok.Epoch, ok.From
	case ok.Epoch != s.epoch || ok.From != s.seq:
		r.t.Errorf("roamer %d came back to %s at %s %d, and it goes on from %+v", r.number, name, s.epoch, s.seq, ok)
	default:
		r.roamed.resumes++
		s.until = ok.Seq
	}
}

func (r *roamer) publication(p publication) {
	s := r.stands[p.name]
	switch {
	case s.asked != 0, p.seq <= s.seq && r.roamed.gaps > 0:
		return
	case p.seq <= s.seq:
		r.t.Errorf("roamer %d: %s %d came at %d", r.number, p.name, p.seq, s.seq)
		return
	case p.prev != s.seq:
		r.roamed.gaps++
		r.ask(p.name)
		return
	case p.seq <= s.until:
		r.roamed.replayed++
	}
	s.seq = p.seq
	s.got = append(s.got, numbered{p.name, s.epoch, p.seq, p.data})
	now := time.Now()
	if !r.last.IsZero() {
		r.roamed.pause = max(r.roamed.pause, now.Sub(r.last))
	}
	r.last = now
}

// has reports whether it stands at a number of a topic, or behind it.
func (r *roamer) has(name string, seq uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stands[name].is && r.stands[name].seq >= seq
}

func (r *roamer) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := fmt.Sprintf("roamer %d: connected: %t, refused last with %v, %+v", r.number, r.conn != nil, r.err, r.roamed)
	for _, name := range r.names {
		s := r.stands[name]
		text += fmt.Sprintf("; %s at %s %d, asked %d, %d got", name, s.epoch, s.seq, s.asked, len(s.got))
	}
	return text
}
