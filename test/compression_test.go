package test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// offer makes a client ask for compression as browsers do.
var offer = http.Header{"Sec-Websocket-Extensions": {"permessage-deflate; client_max_window_bits"}}

func TestCompressedMessagesAreAcceptedWhenEnabled(t *testing.T) {
	compressed := frame(opText, deflate(t, "sub:news"))
	compressed[0] |= 0x40
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithUpgrader(tank.Upgrader{EnableCompression: true}))
		p := s.connect(handshake{path: "/?user_id=ann", header: offer})
		p.write(compressed)
		p.write(compressed)
		s.expectEvents("connect ann", "subscribe ann news")
		must(t, s.BroadcastTopicMessage("news", "x"))
		p.expectTopic("news", "x")
	})
	bubble(t, func(t *testing.T) {
		s := serve(t)
		if _, resp := s.request(handshake{path: "/", header: offer}); resp.Header.Get("Sec-WebSocket-Extensions") != "" {
			t.Fatal("compression was negotiated although it is off")
		}
	})
}

func TestCompressedMessagesAreLimitedByTheirFullSize(t *testing.T) {
	bomb := frame(opText, deflate(t, strings.Repeat("x", 10<<20)))
	bomb[0] |= 0x40
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithCompression(1, 512))
		p := s.connect(handshake{path: "/", header: offer})
		p.write(bomb)
		p.expectClose(1009)
		s.expectError(tank.CodeTooBig)
	})
}

func TestEachSubscriberGetsWhatItNegotiated(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure bool) {
		m, server := overTCP(t, secure, tank.WithCompression(1, 100), tank.WithMessageHandler(func(c *tank.Client, m tank.Message) {
			must(t, c.Send(m))
		}))
		long, short := strings.Repeat("compress me ", 1000), "short"
		modes := []websocket.CompressionMode{
			websocket.CompressionDisabled, websocket.CompressionNoContextTakeover, websocket.CompressionContextTakeover,
		}
		var clients []*websocket.Conn
		for _, mode := range modes {
			c, resp, err := websocket.Dial(t.Context(), server.URL, &websocket.DialOptions{HTTPClient: server.Client(), CompressionMode: mode})
			must(t, err)
			defer c.CloseNow()
			if negotiated := resp.Header.Get("Sec-WebSocket-Extensions") != ""; negotiated != (mode != websocket.CompressionDisabled) {
				t.Fatalf("mode %v negotiated %q", mode, resp.Header.Get("Sec-WebSocket-Extensions"))
			}
			must(t, c.Write(t.Context(), websocket.MessageText, []byte("sub:news")))
			<-m.ConnEvents
			<-m.ConnEvents
			clients = append(clients, c)
		}
		expect := func(want string) {
			t.Helper()
			for i, c := range clients {
				if _, got, err := c.Read(t.Context()); err != nil || string(got) != want {
					t.Fatalf("mode %v got %q (%v)", modes[i], got, err)
				}
			}
		}
		before := m.Stats().BytesOut
		for range 10 {
			must(t, m.BroadcastTopicMessage("news", long))
			expect(`{"topic":"news","data":"` + long + `"}`)
			must(t, m.BroadcastTopicMessage("news", short))
			expect(`{"topic":"news","data":"short"}`)
		}
		if written := m.Stats().BytesOut - before; written > uint64(10*len(long)*3/2) {
			t.Errorf("%d bytes were written for %d of one client that takes no compression and two that do", written, 10*len(long))
		}
		must(t, m.BroadcastMessage([]byte(long)))
		expect(long)
		for _, c := range clients {
			must(t, c.Write(t.Context(), websocket.MessageText, []byte(long)))
		}
		expect(long) // Client.Send
	})
}

func TestOneMessageComesCompressedAndPlain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithCompression(9, 0))
		plain, deflating := s.dial("plain"), s.connect(handshake{path: "/?user_id=deflating", header: offer})
		for _, p := range []*peer{plain, deflating} {
			p.subscribe(s, "news")
		}
		data := strings.Repeat("x", 1000)
		must(t, s.BroadcastTopicMessage("news", data))
		plain.expectTopic("news", data)
		head, err := deflating.conn.R.Peek(2)
		if err != nil || head[0] != 0xC1 || int(head[1]) > 100 {
			t.Fatalf("frame starts with % x (%v), want a short compressed one", head, err)
		}
	})
}
