package docscheck

import (
	"context"
	"encoding/json"
	"net"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

const pageOfV2 = "docs/protocol-v2.md"

// TestCommandsOfV2InPagesAreUnderstood gives each command of tank.v2 in sentences and tables to the parser of the server.
func TestCommandsOfV2InPagesAreUnderstood(t *testing.T) {
	found := 0
	for _, page := range pages(t) {
		for _, m := range regexp.MustCompile("`(\\{(?:\"id\":\\d+,)?\"(?:sub|unsub|pub|msg)\":[^`]*\\})`").FindAllStringSubmatch(page.text, -1) {
			found++
			if _, refusal := wire.ParseCommand2([]byte(m[1])); refusal != nil {
				t.Errorf("%s: %s: %s", page.path, m[1], refusal.Message)
			}
		}
	}
	if found == 0 {
		t.Error("no page has a command: is this test still looking at the right thing?")
	}
}

// TestSessionInV2Page plays the session in the page's first table: it sends what the client sends, publishes what the server does,
// and compares what comes. A row without a frame is a connection that ends.
func TestSessionInV2Page(t *testing.T) {
	m := tank.NewInstance(tank.WithTopics("news", tank.TopicOptions{History: tank.History{Messages: 10}}))
	go m.Start()
	s := httptest.NewServer(m)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = m.Shutdown(ctx)
		s.Close()
	})
	table, _, _ := strings.Cut(readPage(t, pageOfV2).text, "\n## ")
	p := player{t: t, m: m, addr: s.Listener.Addr().String()}
	rows := regexp.MustCompile("(?m)^\\| (client|server|) ?\\| (?:`([^`]*)`)? ?\\|").FindAllStringSubmatch(table, -1)
	for i, row := range rows {
		switch from, frame := row[1], p.known(row[2]); {
		case from == "client":
			_, _ = p.conn.Write(wstest.Masked(wstest.Fin|wstest.Text, frame))
		case from == "":
			p.conn.Close()
			p.conn = nil
			for _, later := range rows[i+1:] {
				p.publish(later[2])
			}
		default:
			p.expect(frame)
		}
	}
	if p.published != 43 {
		t.Errorf("%d messages were published: is this test still looking at the right thing?", p.published)
	}
}

// player plays a session.
type player struct {
	t         *testing.T
	m         *tank.Manager
	addr      string
	conn      *wstest.Conn // nil: there is none
	published uint64       // to the topic news
}

// known puts the epoch in its place.
func (p *player) known(frame string) string {
	if !strings.Contains(frame, "EPOCH") {
		return frame
	}
	at, err := p.m.Position("news")
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.ReplaceAll(frame, "EPOCH", at.Epoch)
}

// publish publishes what a frame of the session says, and before it what the session does not show.
func (p *player) publish(frame string) {
	var publication []json.RawMessage
	var number uint64
	if json.Unmarshal([]byte(frame), &publication) != nil || json.Unmarshal(publication[1], &number) != nil {
		return
	}
	for p.published < number {
		data := publication[2]
		if p.published++; p.published < number {
			data = json.RawMessage(`"not shown"`)
		}
		if _, err := p.m.PublishMessage(context.Background(), tank.Publication{Topic: "news", Data: string(data), JSON: true}); err != nil {
			p.t.Fatal(err)
		}
	}
}

// expect looks for a frame that the server sends.
func (p *player) expect(frame string) {
	p.t.Helper()
	if p.conn == nil {
		if p.published == 0 {
			p.publish(`["news",40,"not shown"]`)
		}
		conn, err := net.Dial("tcp", p.addr)
		if err == nil {
			p.t.Cleanup(func() { conn.Close() })
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			p.conn, err = wstest.Upgrade(conn, wstest.Handshake{Header: "Sec-WebSocket-Protocol: tank.v2\r\n"})
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
	p.publish(frame)
	f, err := p.conn.ReadFrame()
	if got := uuids.ReplaceAllString(string(f.Payload), "UUID"); err != nil || got != frame {
		p.t.Fatalf("got %s, %v; the page has %s", got, err, frame)
	}
}

var uuids = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
