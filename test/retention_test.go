package test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/inspector"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// A piece of a string keeps all of it in memory. What follows asks for pieces of requests and messages that are nearly as long
// as net/http and the limits let them be, and looks at what is kept once they are over.

const (
	longest  = 900_000 // bytes; net/http takes a request's headers up to 1 MiB
	mostKept = 64 << 10
)

// retainers is how many connections, requests or calls each could keep so much.
var retainers = cases(10, 50)

// padding is what makes a request long.
var padding = strings.Repeat("x", longest)

// tcpServer serves a handler over TCP, because the network in memory keeps what it has carried.
func tcpServer(t *testing.T, h http.Handler) (addr string, server *http.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server = &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l.Addr().String(), server
}

// exchange sends a request over a connection of its own, and returns the answer's status.
func exchange(t *testing.T, addr, request string) (net.Conn, int) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	resp, err := wstest.NewConn(conn, readAhead).Do(request)
	must(t, err)
	return conn, resp.StatusCode
}

// handshakeWith is a handshake with a query and more headers.
func handshakeWith(query, headers string) string {
	return wstest.Handshake{Target: "/?" + query, Header: headers}.String()
}

// expectKept fails the test when the heap has grown by too much since before. Goroutines of the HTTP server may still be
// about to end, so it looks a few times.
func expectKept(t *testing.T, before uint64) {
	t.Helper()
	var each int64
	for range 200 {
		if each = (int64(heap()) - int64(before)) / int64(retainers); each < mostKept {
			t.Logf("%d bytes are kept of each", each)
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d bytes are kept of each, want less than %d", each, mostKept)
}

func startTCP(t *testing.T, opts ...tank.Option) *tank.Manager {
	m := tank.NewInstance(opts...)
	go m.Start()
	t.Cleanup(func() { must(t, m.Shutdown(within(t, shutdownPatience))) })
	return m
}

const shutdownPatience = 10_000_000_000 // nanoseconds

func TestIdleConnectionsKeepNothingOfTheirRequests(t *testing.T) {
	byToken := tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) { return named(r.URL.Query().Get("token"), nil) })
	compressed := tank.WithCompression(1, 0)
	spoken := tank.WithUpgrader(tank.Upgrader{Subprotocols: []string{"chat"}})
	for name, c := range map[string]struct {
		opt     tank.Option
		request string
	}{
		"a user id":                     {spoken, handshakeWith("user_id=ann&x="+padding, "")},
		"a user id of an authenticator": {byToken, handshakeWith("token=ann&x="+padding, "")},
		"a subprotocol":                 {spoken, handshakeWith("", "Sec-WebSocket-Protocol: chat, "+padding+"\r\n")},
		"an extension":                  {compressed, handshakeWith("", "Sec-WebSocket-Extensions: permessage-deflate, "+padding+"\r\n")},
		"another header":                {spoken, handshakeWith("user_id=ann", "Cookie: "+padding+"\r\n")},
	} {
		t.Run(name, func(t *testing.T) {
			m := startTCP(t, c.opt)
			addr, _ := tcpServer(t, m)
			before := heap()
			for range retainers {
				_, status := exchange(t, addr, c.request)
				if status != http.StatusSwitchingProtocols {
					t.Fatalf("answered with %d", status)
				}
				<-m.ConnEvents
			}
			expectKept(t, before)
			if n := m.GetClientCount(); n != retainers {
				t.Fatalf("%d clients", n)
			}
			runtime.KeepAlive(m)
		})
	}
}

func TestEventsKeepNothingOfTheirRequests(t *testing.T) {
	malformed := func(old, replacement string) string {
		return strings.Replace(handshakeWith("user_id=ann", ""), old, replacement, 1)
	}
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"an escape in the query":   {handshakeWith("user_idd=%zz&x="+padding, ""), 400},
		"a user id":                {handshakeWith("user_id="+padding, ""), 400},
		"an origin":                {handshakeWith("", "Origin: http://"+padding+"\r\n"), 403},
		"Connection":               {malformed("Connection: Upgrade", "Connection: "+padding), 426},
		"Upgrade":                  {malformed("Upgrade: websocket", "Upgrade: "+padding), 426},
		"Sec-WebSocket-Version":    {malformed("Version: 13", "Version: "+padding), 426},
		"Sec-WebSocket-Key":        {malformed("Key: ", "Key: "+padding), 400},
		"a method":                 {malformed("GET", padding), 405},
		"a short piece of a query": {strings.Replace(handshakeWith("user_id=ann&x="+padding, ""), "Version: 13", "Version: 8", 1), 426},
	} {
		t.Run(name, func(t *testing.T) {
			m := startTCP(t)
			addr, server := tcpServer(t, m)
			before := heap()
			for range retainers {
				conn, status := exchange(t, addr, c.request)
				conn.Close()
				if status != c.status {
					t.Fatalf("answered with %d, want %d", status, c.status)
				}
			}
			must(t, server.Shutdown(context.Background())) // all requests are over
			expectKept(t, before)
			m.GetAllClients() // the supervisor has seen them
			if n := len(m.Errors); n != retainers {
				t.Fatalf("%d events", n)
			}
			runtime.KeepAlive(m)
		})
	}
}

// TestInstancesKeepNothingOfArguments: applications may take topics and reasons out of something large, such as a message.
func TestInstancesKeepNothingOfArguments(t *testing.T) {
	large := func(piece string) string { return (piece + padding)[:len(piece)] }
	for name, call := range map[string]func(*tank.Manager, *tank.Client, int){
		"Subscribe": func(_ *tank.Manager, c *tank.Client, i int) {
			must(t, c.Subscribe(large(fmt.Sprint("topic ", i))))
		},
		"Unsubscribe": func(_ *tank.Manager, c *tank.Client, i int) {
			must(t, c.Subscribe("topic"))
			must(t, c.Unsubscribe(large("topic")))
		},
		"Close": func(_ *tank.Manager, c *tank.Client, _ int) {
			must(t, c.Close(4000, large("enough")))
		},
		"Publish": func(m *tank.Manager, _ *tank.Client, _ int) {
			mustBe(t, m.Publish(context.Background(), large("topic"), "\xff"), tank.ErrInvalidData)
		},
		"Publish to a topic that keeps it": func(m *tank.Manager, _ *tank.Client, i int) {
			must(t, m.Publish(context.Background(), large(fmt.Sprint("kept ", i)), "x"))
		},
		"PublishMessage": func(m *tank.Manager, _ *tank.Client, i int) {
			_, err := m.PublishMessage(context.Background(), tank.Publication{Topic: "kept", Data: "x", Key: large(fmt.Sprint("key ", i))})
			must(t, err)
		},
		"Position": func(m *tank.Manager, _ *tank.Client, i int) {
			_, err := m.Position(large(fmt.Sprint("topic ", i)))
			must(t, err)
		},
		"BroadcastTopicMessage": func(m *tank.Manager, _ *tank.Client, _ int) {
			mustBe(t, m.BroadcastTopicMessage(large("topic"), "\xff"), tank.ErrInvalidData)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := startTCP(t, tank.WithLimits(tank.Limits{CloseTimeout: 1 << 40}), tank.WithTopics("kept*", tank.TopicOptions{History: tank.History{Messages: 10}}))
			addr, _ := tcpServer(t, m)
			var clients []*tank.Client
			for range retainers {
				conn, _ := exchange(t, addr, handshakeWith("", ""))
				t.Cleanup(func() { conn.Close() })
				clients = append(clients, m.GetClient((<-m.ConnEvents).ClientID))
			}
			before := heap()
			for i, c := range clients {
				call(m, c, i)
			}
			expectKept(t, before)
			runtime.KeepAlive(m)
		})
	}
}

// TestInspectorKeepsNothingOfItsRequests: what it has found out about a topic is kept for a while under the topic's name.
func TestInspectorKeepsNothingOfItsRequests(t *testing.T) {
	m := startTCP(t)
	addr, _ := tcpServer(t, m)
	exchange(t, addr, handshakeWith("", ""))
	c := m.GetClient((<-m.ConnEvents).ClientID)
	for i := range 16 {
		must(t, c.Subscribe(fmt.Sprint("topic", i)))
	}
	addr, server := tcpServer(t, inspector.Handler(m))
	before := heap()
	for i := range 16 {
		query := fmt.Sprintf("GET /api/topic?name=topic%d&size=%s1 HTTP/1.1\r\nHost: x\r\n\r\n", i, strings.Repeat("0", longest))
		conn, status := exchange(t, addr, query)
		conn.Close()
		if status != http.StatusOK {
			t.Fatalf("answered with %d", status)
		}
	}
	must(t, server.Shutdown(context.Background()))
	expectKept(t, before)
	runtime.KeepAlive(m)
}
