package load

import (
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
	"github.com/fanqie/tank-websocket-go-server/soak/internal/server"
	"github.com/fanqie/tank-websocket-go-server/soak/internal/ws"
)

// faults are all of them.
var faults = []fault{
	{"stops reading", "subscribes to much, reads nothing for 15 s, then what there is", stopsReading, []outcome{closed(1013), cut, served}},
	{"reads slowly", "reads 2 KiB every 100 ms, for 20 s", readsSlowly, []outcome{closed(1013), cut, left}},
	{"reads a little, then a lot", "stops reading for 4 s, reads 4 KiB every 200 ms for 12 s, and then all there is", readsLittleThenMuch, []outcome{closed(1013), cut, served}},
	{"unanswering", "reads, but answers no ping and no close frame, as behind a link that drops one direction", unanswering, []outcome{cut}},
	{"stalls in mid frame", "sends half a frame and no more", stallsInFrame, []outcome{closed(1008), cut}},
	{"drips", "sends a good message byte by byte, within some seconds", drips, []outcome{served}},
	{"drips for ever", "the same, 2 bytes a second", dripsForEver, []outcome{closed(1008), cut}},
	{"cut in mid frame", "sends half a frame and hangs up, with or without a TCP reset", cutInFrame, []outcome{left}},
	{"cut while receiving", "subscribes to much and hangs up while messages are queued for it", cutWhileReceiving, []outcome{left}},
	{"garbage", "sends random bytes for frames", garbage, []outcome{closed(1002), closed(1007), closed(1008), closed(1009), cut}},
	{"garbage handshake", "sends random bytes for a handshake", garbageHandshake, []outcome{status(400), cut}},
	{"invalid UTF-8", "sends a text message that is not UTF-8", sends("\xff\xfe"), []outcome{closed(1007)}},
	{"too big", "sends a message of 40 KiB", sends(strings.Repeat("x", 40<<10)), []outcome{closed(1009), cut}},
	{"floods pings", "sends 5,000 pings at once", floodsPings, []outcome{closed(1008), cut, served}},
	{"floods messages", "sends 600 messages at once", floodsMessages, []outcome{served}},
	{"too many topics", "subscribes to twice as many topics as it may, never mind the refusals", tooManyTopics, []outcome{closed(1008), cut}},
	{"too many connections", "connects once more than one user may", tooManyConnections, []outcome{closed(1008)}},
	{"panicking handler", "sends what the message handler panics over", sends(server.Panic), []outcome{closed(1011)}},
	{"panicking authorizer", "subscribes to what the authorizer panics over", sends("sub:" + server.Panic), []outcome{closed(1011)}},
	{"panicking authenticator", "connects as a user over which the authenticator panics", connects(server.Panic), []outcome{status(500)}},
	{"refused user", "connects as a user that the authenticator rejects", connects(server.Forbidden), []outcome{status(401)}},
	{"refused topic", "subscribes and publishes where it may not", forbiddenTopic, []outcome{refused("forbidden")}},
	{"invalid topic", "subscribes to names that cannot be topics", invalidTopic, []outcome{refused("invalid_topic")}},
}

func stopsReading(f *faulty) outcome {
	if o, ok := f.dial(f.user); !ok {
		return o
	}
	f.follow(100)
	f.idle(15 * time.Second)
	f.reading()
	return f.result(5 * time.Second)
}

func readsSlowly(f *faulty) outcome {
	if o, ok := f.dial(f.user); !ok {
		return o
	}
	f.follow(100)
	f.Slow(2<<10, 100*time.Millisecond, time.Minute)
	f.reading()
	if !f.ends(20 * time.Second) {
		return left
	}
	return f.result(0)
}

// readsLittleThenMuch leaves the server's writer edge behind a full socket of which a write timeout frees less than a third. The
// heartbeat may take it for gone meanwhile: the ping waits behind all that the socket holds.
func readsLittleThenMuch(f *faulty) outcome {
	if o, ok := f.dial(f.user); !ok {
		return o
	}
	f.follow(20)
	f.idle(4 * time.Second)
	f.Slow(4<<10, 200*time.Millisecond, 12*time.Second)
	f.reading()
	f.ends(16 * time.Second)
	return f.result(5 * time.Second)
}

func unanswering(f *faulty) outcome {
	if o, ok := f.dial(f.user); !ok {
		return o
	}
	f.mute = true
	f.follow(5)
	f.reading()
	return f.result(time.Minute)
}

func stallsInFrame(f *faulty) outcome {
	if o, ok := f.dial(f.user); !ok {
		return o
	}
	f.follow(5)
	f.writing.Lock() // for good
	f.Write(half(f))
	f.reading()
	return f.result(time.Minute)
}

// half is the first half of a frame.
func half(f *faulty) []byte {
	b := ws.Frame(wstest.Text, "sub:"+strings.Repeat("x", 10+f.random.IntN(200)))
	return b[:1+f.random.IntN(len(b)-1)]
}

func drips(f *faulty) outcome {
	if o, ok := f.dial(f.user); !ok {
		return o
	}
	f.reading()
	f.drip(ws.Frame(wstest.Text, "sub:"+f.run.topics[0]), 50*time.Millisecond)
	return f.result(time.Second)
}

func dripsForEver(f *faulty) outcome {
	if o, ok := f.dial(f.user); !ok {
		return o
	}
	f.reading()
	f.drip(ws.Frame(wstest.Text, strings.Repeat("x", 120)), 500*time.Millisecond)
	return f.result(time.Second)
}

func cutInFrame(f *faulty) outcome {
	if o, ok := f.dial(f.user); !ok {
		return o
	}
	f.follow(5)
	f.Write(half(f))
	f.hangUp()
	return left
}

func cutWhileReceiving(f *faulty) outcome {
	if o, ok := f.dial(f.user); !ok {
		return o
	}
	f.follow(100)
	f.reading()
	f.ends(time.Duration(1 + f.random.Int64N(int64(2*time.Second))))
	f.hangUp()
	return left
}

func (f *faulty) hangUp() {
	if f.random.IntN(2) == 0 {
		f.Reset()
	} else {
		f.Close()
	}
}

func garbage(f *faulty) outcome {
	if o, ok := f.dial(f.user); !ok {
		return o
	}
	f.writing.Lock() // for good
	f.reading()
	f.Write(f.bytes(200))
	return f.result(time.Minute)
}

func garbageHandshake(f *faulty) outcome {
	conn, err := net.Dial("tcp", f.run.server.Address)
	if err != nil {
		return cut
	}
	defer conn.Close()
	conn.Write(append(f.bytes(200), "\r\n\r\n"...))
	conn.SetReadDeadline(time.Now().Add(patience))
	var answer [12]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return cut
	}
	return outcome("status " + string(answer[9:])) // HTTP/1.1 400
}

// bytes are random.
func (f *faulty) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(f.random.Uint32())
	}
	return b
}

func sends(text string) func(*faulty) outcome {
	return func(f *faulty) outcome {
		if o, ok := f.dial(f.user); !ok {
			return o
		}
		f.reading()
		f.follow(5)
		f.Send(wstest.Text, text)
		return f.result(patience)
	}
}

func connects(user string) func(*faulty) outcome {
	return func(f *faulty) outcome {
		if o, ok := f.dial(user); !ok {
			return o
		}
		f.reading()
		return f.result(time.Second)
	}
}

func floodsPings(f *faulty) outcome {
	if o, ok := f.dial(f.user); !ok {
		return o
	}
	f.reading()
	f.follow(5)
	io.WriteString(f, strings.Repeat(string(ws.Frame(wstest.Ping, "ping")), 5000))
	return f.result(time.Second)
}

func floodsMessages(f *faulty) outcome {
	if o, ok := f.dial(f.user); !ok {
		return o
	}
	f.reading()
	f.follow(5)
	var flood []byte
	for i := range 600 {
		payload := fmt.Sprint("flood ", i)
		f.expectEcho(payload)
		flood = append(flood, ws.Frame(wstest.Binary, payload)...)
	}
	f.Write(flood)
	return f.result(time.Second)
}

func tooManyTopics(f *faulty) outcome {
	if o, ok := f.dial(f.user); !ok {
		return o
	}
	f.reading()
	for i := range 2 * tank.DefaultSubscriptions {
		f.Send(wstest.Text, fmt.Sprint("sub:nobody publishes here ", i))
	}
	return f.result(patience)
}

func tooManyConnections(f *faulty) outcome {
	for range tank.DefaultConnectionsPerUser {
		if o, ok := f.dial(f.user); !ok {
			return o
		}
		defer f.peer.Close()
		f.reading()
		if o := f.result(time.Millisecond); o != served {
			return o
		}
	}
	if o, ok := f.dial(f.user); !ok {
		return o
	}
	f.reading()
	return f.result(patience)
}

func forbiddenTopic(f *faulty) outcome {
	return f.isRefused("forbidden", "sub:"+server.Forbidden, fmt.Sprintf(`{"topic":%q,"data":"x"}`, server.Forbidden))
}

func invalidTopic(f *faulty) outcome {
	return f.isRefused("invalid_topic", "sub:", "sub:a\nb", "unsub:\x00", "sub:"+strings.Repeat("x", 256))
}

// isRefused sends messages that all have to be refused.
func (f *faulty) isRefused(code string, messages ...string) outcome {
	if o, ok := f.dial(f.user); !ok {
		return o
	}
	f.reading()
	for _, m := range messages {
		f.Send(wstest.Text, m)
	}
	if o := f.result(time.Second); o != served {
		return o
	}
	if n := f.inbox.refused(code); n != len(messages) {
		return outcome(fmt.Sprintf("%d of %d refused", n, len(messages)))
	}
	return refused(code)
}
