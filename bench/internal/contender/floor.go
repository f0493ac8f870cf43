package contender

import (
	"bufio"
	"cmp"
	"crypto/sha1" // #nosec G505 -- RFC 6455, section 4.2.2 asks for it
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// floorServer is what any Go server has to pay: frames encoded beforehand, written straight to the sockets. It has no
// queue, no limit, no heartbeat, no close handshake; a subscriber that does not read holds up everybody.
type floorServer struct {
	index   *index[net.Conn]
	message int // bytes that a subscriber's message may have
}

func newFloor(c Config) (Contender, error) {
	if c.Compression {
		return nil, fmt.Errorf("compression: %w", ErrUnsupported)
	}
	return &floorServer{newIndex[net.Conn](), cmp.Or(c.Message, maxCommand)}, nil
}

// websocketGUID is that of RFC 6455, section 1.3.
const websocketGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

func (s *floorServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + websocketGUID)) // #nosec G401 -- RFC 6455, section 4.2.2 asks for it
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
	go s.read(conn, buffered.Reader)
}

func (s *floorServer) read(conn net.Conn, r *bufio.Reader) {
	defer s.index.leave(conn)
	defer conn.Close()
	var head [8]byte // with the longer form of length, RFC 6455 section 5.2
	message := make([]byte, s.message)
	for {
		if _, err := io.ReadFull(r, head[:6]); err != nil {
			return
		}
		size, key := int(head[1]&0x7F), head[2:6]
		if size == 126 {
			if _, err := io.ReadFull(r, head[6:]); err != nil {
				return
			}
			size, key = int(binary.BigEndian.Uint16(head[2:])), head[4:]
		} else if size > 126 {
			return
		}
		if size > len(message) {
			return
		}
		if _, err := io.ReadFull(r, message[:size]); err != nil {
			return
		}
		unmask(message[:size], key)
		s.index.handle(conn, message[:size])
	}
}

// maxCommand is how many bytes a command has at most; those of any topic here have fewer.
const maxCommand = 125

// unmask unmasks a payload in place, eight bytes at a time.
func unmask(payload, key []byte) {
	four := uint64(binary.LittleEndian.Uint32(key))
	eight := four<<32 | four
	for len(payload) >= 8 {
		binary.LittleEndian.PutUint64(payload, binary.LittleEndian.Uint64(payload)^eight)
		payload = payload[8:]
	}
	for i := range payload {
		payload[i] ^= key[i&3]
	}
}

// appendFrame appends a text frame, RFC 6455 section 5.2.
func appendFrame(dst []byte, topic, data string) []byte {
	message := payload.AppendEnvelope(nil, topic, data)
	return append(wstest.AppendHeader(dst, wstest.Fin|wstest.Text, false, len(message)), message...)
}

// Publish writes one message to one subscriber after the other.
func (s *floorServer) Publish(topic, data string) (err error) {
	frame := appendFrame(nil, topic, data)
	s.index.with(topic, func(conns []net.Conn) { err = writeAll(conns, frame) })
	return err
}

// PublishBurst writes the messages in one piece, each subscriber's from a goroutine of its own, so that none waits for
// another's socket.
func (s *floorServer) PublishBurst(topic string, data []string) error {
	var frames []byte
	for _, d := range data {
		frames = appendFrame(frames, topic, d)
	}
	failed := make(chan error, 1)
	s.index.with(topic, func(conns []net.Conn) {
		var wg sync.WaitGroup
		for _, c := range conns {
			wg.Go(func() {
				if _, err := c.Write(frames); err != nil {
					select {
					case failed <- err:
					default: // one is enough
					}
				}
			})
		}
		wg.Wait()
	})
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func writeAll(conns []net.Conn, frames []byte) (err error) {
	for _, c := range conns {
		if _, e := c.Write(frames); e != nil {
			err = e
		}
	}
	return err
}

func (s *floorServer) Subscriptions() int { return s.index.subscriptions() }

func (s *floorServer) Dropped() int { return 0 }

func (s *floorServer) Received() int { return s.index.Received() }
