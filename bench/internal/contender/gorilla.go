package contender

import (
	"cmp"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
)

// The constants of gorilla/websocket's examples/chat.
const (
	gorillaQueue      = 256
	gorillaPongWait   = 60 * time.Second
	gorillaPingPeriod = gorillaPongWait * 9 / 10
	gorillaBuffer     = 1024
	gorillaReadLimit  = 512
)

// gorillaHub is the hub of gorilla/websocket's examples/chat, with topics, and with the PreparedMessage that the
// package recommends for sending one message to many.
type gorillaHub struct {
	inbox
	upgrader  websocket.Upgrader
	queue     int
	readLimit int
	commands  chan hubCommand
	broadcast chan hubMessage
	topics    map[string]map[*gorillaClient]bool // owned by run
	count     atomic.Int64
	dropped   atomic.Int64
}

type hubMessage struct {
	topic    string
	prepared *websocket.PreparedMessage
}

type hubCommand struct {
	client  *gorillaClient
	message []byte // nil: it has left
}

type gorillaClient struct {
	conn   *websocket.Conn
	send   chan *websocket.PreparedMessage
	topics map[string]bool // owned by the hub's run
	closed bool            // the same
}

func newGorilla(c Config) (Contender, error) {
	h := &gorillaHub{
		upgrader: websocket.Upgrader{
			ReadBufferSize:    gorillaBuffer,
			WriteBufferSize:   gorillaBuffer,
			EnableCompression: c.Compression,
		},
		queue:     c.queue(gorillaQueue),
		readLimit: cmp.Or(c.Message, gorillaReadLimit),
		commands:  make(chan hubCommand),
		broadcast: make(chan hubMessage),
		topics:    make(map[string]map[*gorillaClient]bool),
	}
	go h.run()
	return h, nil
}

func (h *gorillaHub) run() {
	for {
		select {
		case c := <-h.commands:
			h.handle(c.client, c.message)
		case m := <-h.broadcast:
			for client := range h.topics[m.topic] {
				select {
				case client.send <- m.prepared:
				default: // the example's policy: a full queue ends the connection
					h.dropped.Add(1)
					h.remove(client)
				}
			}
		}
	}
}

func (h *gorillaHub) handle(c *gorillaClient, message []byte) {
	topic, subscribe, ok := command(message)
	switch {
	case c.closed:
	case message == nil:
		h.remove(c)
	case ok && subscribe && !c.topics[topic]:
		if h.topics[topic] == nil {
			h.topics[topic] = make(map[*gorillaClient]bool)
		}
		h.topics[topic][c], c.topics[topic] = true, true
		h.count.Add(1)
	case ok && !subscribe:
		h.leave(c, topic)
	}
}

func (h *gorillaHub) leave(c *gorillaClient, topic string) {
	if !c.topics[topic] {
		return
	}
	delete(c.topics, topic)
	delete(h.topics[topic], c)
	if len(h.topics[topic]) == 0 {
		delete(h.topics, topic)
	}
	h.count.Add(-1)
}

func (h *gorillaHub) remove(c *gorillaClient) {
	for topic := range c.topics {
		h.leave(c, topic)
	}
	c.closed = true
	close(c.send)
}

func (h *gorillaHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	c := &gorillaClient{
		conn:   conn,
		send:   make(chan *websocket.PreparedMessage, h.queue),
		topics: make(map[string]bool),
	}
	go c.writePump()
	go c.readPump(h)
}

func (c *gorillaClient) readPump(h *gorillaHub) {
	defer func() {
		h.commands <- hubCommand{client: c}
		c.conn.Close()
	}()
	c.conn.SetReadLimit(int64(h.readLimit))
	_ = c.conn.SetReadDeadline(time.Now().Add(gorillaPongWait))
	c.conn.SetPongHandler(func(string) error { return c.conn.SetReadDeadline(time.Now().Add(gorillaPongWait)) })
	for {
		_, message, err := c.conn.ReadMessage()
		if err != nil {
			return
		}
		if _, _, ok := command(message); !ok {
			h.take()
			continue
		}
		h.commands <- hubCommand{c, message}
	}
}

func (c *gorillaClient) writePump() {
	ticker := time.NewTicker(gorillaPingPeriod)
	defer func() {
		ticker.Stop()
		c.conn.Close()
	}()
	for {
		select {
		case message, ok := <-c.send:
			_ = c.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
			if !ok {
				_ = c.conn.WriteMessage(websocket.CloseMessage, nil)
				return
			}
			if c.conn.WritePreparedMessage(message) != nil {
				return
			}
		case <-ticker.C:
			_ = c.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
			if c.conn.WriteMessage(websocket.PingMessage, nil) != nil {
				return
			}
		}
	}
}

func (h *gorillaHub) Publish(topic, data string) error {
	m, err := websocket.NewPreparedMessage(websocket.TextMessage, payload.AppendEnvelope(nil, topic, data))
	if err != nil {
		return err
	}
	h.broadcast <- hubMessage{topic, m}
	return nil
}

func (h *gorillaHub) Subscriptions() int { return int(h.count.Load()) }

func (h *gorillaHub) Dropped() int { return int(h.dropped.Load()) }
