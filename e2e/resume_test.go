package e2e

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// cutter is a proxy for TCP whose connections end without a word, and that takes none for a while thereafter. It can lose what passes
// in a direction, too.
type cutter struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	down  bool
	lost  direction
	conns map[net.Conn]struct{}
}

type direction int

const (
	nothing direction = iota
	toServer
	toPage
)

// lossy is an end of a connection through a cutter.
type lossy struct {
	net.Conn
	c         *cutter
	direction direction
}

func (l lossy) Write(p []byte) (int, error) {
	l.c.mu.Lock()
	lost := l.c.lost == l.direction
	l.c.mu.Unlock()
	if lost {
		return len(p), nil
	}
	return l.Conn.Write(p)
}

// lose begins to lose what passes in a direction, or ends it.
func (c *cutter) lose(d direction) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = d
}

func newCutter(t *testing.T, target string) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: listener, target: target, conns: map[net.Conn]struct{}{}}
	go c.serve()
	t.Cleanup(func() {
		listener.Close()
		c.set(true)
	})
	return c
}

func (c *cutter) serve() {
	for {
		conn, err := c.listener.Accept()
		if err != nil {
			return
		}
		go c.forward(conn)
	}
}

func (c *cutter) forward(conn net.Conn) {
	server, err := net.Dial("tcp", c.target)
	if err != nil {
		conn.Close()
		return
	}
	c.mu.Lock()
	for _, end := range []net.Conn{conn, server} {
		c.conns[end] = struct{}{}
		if c.down {
			end.Close()
		}
	}
	c.mu.Unlock()
	go func() {
		io.Copy(lossy{server, c, toServer}, conn)
		server.Close()
	}()
	io.Copy(lossy{conn, c, toPage}, server)
	conn.Close()
	c.mu.Lock()
	delete(c.conns, conn)
	delete(c.conns, server)
	c.mu.Unlock()
}

// set makes the link go down, which cuts all connections, or up.
func (c *cutter) set(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
	for conn := range c.conns {
		if down {
			conn.(*net.TCPConn).SetLinger(0) // a reset, and not an end
			conn.Close()
		}
	}
}

// TestPageSurvivesCuts: a page that uses nothing but a WebSocket loses its link 100 times during a steady stream. It misses nothing and
// gets nothing twice, and it is told that something is missing exactly when more was published meanwhile than is kept.
func TestPageSurvivesCuts(t *testing.T) {
	t.Parallel()
	const cuts, kept, tiny = 100, 60, 3
	html, err := os.ReadFile("testdata/resume.html")
	if err != nil {
		t.Fatal(err)
	}
	if script := strings.Split(string(html), "<script>\n")[1]; strings.Count(script, "\n") > 40 {
		t.Errorf("the page has %d lines of script", strings.Count(script, "\n"))
	}
	m := tank.NewInstance(
		tank.WithTopics("stream", tank.TopicOptions{History: tank.History{Messages: kept}}),
		tank.WithTopics("tiny", tank.TopicOptions{History: tank.History{Messages: tiny}}))
	go m.Start()
	mux := http.NewServeMux()
	mux.Handle("/ws", m)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.Write(html) })
	origin := httptest.NewServer(mux)
	t.Cleanup(func() {
		m.Shutdown(context.Background())
		origin.Close()
	})
	link := newCutter(t, origin.Listener.Addr().String())
	p := open(t, &server{t: t, url: "http://" + link.listener.Addr().String() + "/"}, "cuts", look{})
	p.forgive("WebSocket connection to")
	p.wait(`at.stream && at.tiny`)

	stop := make(chan struct{})
	published := make(chan int)
	go func() {
		n := 0
		for ticker := time.NewTicker(time.Millisecond); ; <-ticker.C {
			select {
			case <-stop:
				published <- n
				return
			default:
			}
			for _, topic := range []string{"stream", "tiny"} {
				if err := m.PublishJSON(context.Background(), topic, n); err != nil {
					t.Error(err)
				}
			}
			n++
		}
	}()
	for i := range cuts {
		time.Sleep(rand.N(60 * time.Millisecond))
		link.set(true)
		time.Sleep(rand.N(50 * time.Millisecond))
		link.set(false)
		if i%10 == 9 { // it is seen to come back, and not only between two cuts
			p.wait(`answers.length > 0 && answers.at(-1).seq >= 0`)
		}
	}
	close(stop)
	last := <-published
	for _, topic := range []string{"stream", "tiny"} {
		p.wait(`at.` + topic + `[1] === ` + strconv.Itoa(last))
	}
	checkAnswers(t, p, map[string]int{"stream": kept, "tiny": tiny})
	for _, topic := range []string{"stream", "tiny"} {
		checkStream(t, topic, eval[[]any](p, `got.`+topic), last)
	}
	if drops := eval[int](p, `drops`); drops < cuts/2 {
		t.Errorf("the page lost its connection only %d times", drops)
	}
}

type resumeAnswer struct {
	Topic     string
	Broken    int
	Since     *int
	Seq       int
	Recovered *bool
	Why       string
}

// checkAnswers compares what the page was answered with what is kept.
func checkAnswers(t *testing.T, p *page, kept map[string]int) {
	counts := map[string]int{}
	for _, a := range eval[[]resumeAnswer](p, `answers`) {
		switch {
		case a.Broken > 0:
			t.Errorf("%s: number %d did not come behind its predecessor", a.Topic, a.Broken)
		case a.Since == nil:
		case a.Recovered == nil:
			t.Errorf("%+v does not say whether it recovered", a)
		case *a.Recovered != (a.Seq-*a.Since <= kept[a.Topic]):
			t.Errorf("%s: since %d of %d recovered is %v", a.Topic, *a.Since, a.Seq, *a.Recovered)
		case *a.Recovered:
			counts[a.Topic]++
		default:
			counts["not "+a.Topic]++
		}
	}
	t.Log(counts)
	if counts["stream"] == 0 || counts["not tiny"] == 0 {
		t.Errorf("the page was answered %v", counts)
	}
}

// checkStream compares what the page got with what was published: every number from 0, but for what it was told that it missed.
func checkStream(t *testing.T, topic string, got []any, last int) {
	next := 0
	for _, item := range got {
		switch item := item.(type) {
		case float64:
			if int(item) != next {
				t.Fatalf("%s: got %v, want %d", topic, item, next)
			}
			next++
		case []any: // missed, from one number to another
			if int(item[1].(float64)) != next {
				t.Fatalf("%s: missed %v, and is at %d", topic, item, next)
			}
			next = int(item[2].(float64))
		}
	}
	if next != last {
		t.Errorf("%s: got all up to %d, want %d", topic, next, last)
	}
}
