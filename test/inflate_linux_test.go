package test

// Elsewhere the time on the wall is what inflating takes, and in a bubble that stands still.

import (
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// huffmanTables is a block that holds nothing but two Huffman tables (RFC 1951, section 3.2.7): 38 bytes that become 9,000
// entries of tables and no output.
const huffmanTables = "\xec\xe0\x03\xa0-\xd8\xb6-X\x86m\xdb\xb6m\xdb\xb6m\xdb\xb6m\xdb\xb6m\xdb\xb6m\x00\x88\xb8\xefgU\xebc\xae}\xdaw"

// tables is a compressed message of so many of them.
func tables(blocks int) []byte {
	return compressed(strings.Repeat(huffmanTables, blocks) + "\x00")
}

// compressed is the frame of a compressed message, which inflates to text.
func compressed(data string) []byte {
	f := frame(opText, data)
	f[0] |= wire.RSV1
	return f
}

// asLongAs returns how many blocks of tables take so much CPU time to inflate on this machine, when it is at its fastest. The
// collector rests until the test ends: what it takes of a thread's time comes in pieces larger than those that are measured.
func asLongAs(t *testing.T, want time.Duration) int {
	t.Helper()
	percent := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(percent) })
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const blocks = 100
	data := []byte(strings.Repeat(huffmanTables, blocks) + "\x00")
	used := func() time.Duration {
		var r syscall.Rusage
		must(t, syscall.Getrusage(1, &r)) // of the thread, 4 ms behind
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	most := 1
	for range 4 {
		before, n := used(), 0
		for ; used()-before < 50*time.Millisecond; n++ {
			if _, err := wire.Inflate(nil, data, 1, nil); err != nil {
				t.Fatal(err)
			}
		}
		most = max(most, int(want*time.Duration(n*blocks)/(used()-before)))
	}
	return most
}

// flushed is a text of JSON, compressed with a flush behind each so many bytes.
func flushed(t testing.TB, size, every int) (text, data string) {
	t.Helper()
	var all strings.Builder
	for i := 0; all.Len() < size; i++ {
		fmt.Fprintf(&all, `{"id":%d,"symbol":"S%03d","price":%d.%02d},`, i*7919, i%1000, i*31%900, i*17%100)
	}
	text = all.String()[:size]
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err != nil {
		t.Fatal(err)
	}
	for rest := text; rest != ""; rest = rest[min(every, len(rest)):] {
		w.Write([]byte(rest[:min(every, len(rest))]))
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	return text, strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// inflating is a server with the defaults and compression, a connection to it, and how many messages were handled.
func inflating(t *testing.T, opts ...tank.Option) (s *server, p *peer, handled *atomic.Int64) {
	handled = new(atomic.Int64)
	s = serve(t, append(opts, tank.WithCompression(1, 0), tank.WithHeartbeat(time.Hour, time.Hour),
		tank.WithMessageHandler(func(*tank.Client, tank.Message) { handled.Add(1) }))...)
	return s, s.connect(handshake{path: "/", header: offer}), handled
}

func TestMessageThatTakesTooLongToInflateIsRefused(t *testing.T) {
	const blocks = 10_000 // 380 KB, which may take 84 ms
	_, text := flushed(t, 64<<10, 64<<10)
	for name, attack := range map[string][]byte{
		"tables": tables(blocks),
		// A ratio of output to input would not find this one.
		"tables behind text": compressed(text + "\x00\x00\xff\xff" + strings.Repeat(huffmanTables, blocks) + "\x00"),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, p, handled := inflating(t, tank.WithLimits(tank.Limits{MessageBytes: 1 << 20}))
				go func() {
					for range 200 {
						p.write(attack)
					}
				}()
				if reason := p.closeReason(1008); reason != "message takes too long to inflate" {
					t.Fatalf("closed with %q", reason)
				}
				mustBe(t, s.expectError(tank.CodeLimit), tank.ErrLimit)
				if handled.Load() != 0 {
					t.Fatalf("%d messages were handled", handled.Load())
				}
				if got := s.Stats().MessagesIn; got != 0 {
					t.Fatalf("%d messages came in", got)
				}
			})
		})
	}
}

func TestInflatingIsChargedToTheMessageRate(t *testing.T) {
	// The first 4 KiB are not measured in a bubble, where the time on the wall stands still. The rest costs 4 events, or more
	// when the machine is slower by then; at 8 times as slow, inflating would be refused.
	attack := tables(4<<10/len(huffmanTables) + asLongAs(t, time.Millisecond))
	bubble(t, func(t *testing.T) {
		s, p, handled := inflating(t)
		go func() {
			for range 1000 {
				p.write(attack)
			}
		}()
		synctest.Wait()
		if handled.Load() == 0 || handled.Load() > 198 { // of 200 events
			t.Fatalf("%d messages were handled at once", handled.Load())
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if handled.Load() > 690 { // of 700 events
			t.Fatalf("%d messages were handled in 5 s", handled.Load())
		}
		if n := s.Stats().Throttled; n == 0 {
			t.Fatal("none had to wait")
		}
		s.expectNoErrors()
		p.conn.Close()
	})
}

func TestHonestMessagesAreInflatedWithoutACharge(t *testing.T) {
	for name, every := range map[string]int{"one block": 32 << 10, "512 flushes": 64} {
		t.Run(name, func(t *testing.T) {
			text, data := flushed(t, 32<<10, every)
			bubble(t, func(t *testing.T) {
				s, p, handled := inflating(t)
				for range 10 {
					p.write(compressed(data))
					synctest.Wait()
				}
				if handled.Load() != 10 || s.Stats().BytesIn != uint64(10*len(text)) {
					t.Fatalf("%d messages were handled", handled.Load())
				}
				if n := s.Stats().Throttled; n != 0 {
					t.Fatalf("%d had to wait", n)
				}
				s.expectNoErrors()
			})
		})
	}
}

// A message may be large when the server says so; then it may take its time.
func TestLargeMessageMayTakeLongToInflate(t *testing.T) {
	text, data := flushed(t, 1<<20, 1<<20)
	data = strings.TrimSuffix(strings.Repeat(data+"\x00\x00\xff\xff", 4), "\x00\x00\xff\xff")
	bubble(t, func(t *testing.T) {
		s, p, _ := inflating(t, tank.WithLimits(tank.Limits{MessageBytes: 8 << 20}))
		for range 3 {
			p.write(compressed(data))
			synctest.Wait()
		}
		if got := s.Stats(); got.BytesIn != uint64(3*4*len(text)) || got.Throttled != 0 {
			t.Fatalf("%d bytes came in, and %d messages had to wait", got.BytesIn, got.Throttled)
		}
		s.expectNoErrors()
	})
}

// BenchmarkInflateFlood measures the CPU time of the whole process for a burst of 200 messages, until the server hangs up or
// has handled them all.
func BenchmarkInflateFlood(b *testing.B) {
	_, text := flushed(b, 32<<10, 32<<10)
	for _, bb := range []struct {
		name  string
		frame []byte
	}{
		{"text", compressed(text)},
		{"tables", tables(860)},
		{"tables below the bound", tables(150)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			var before, after syscall.Rusage
			syscall.Getrusage(syscall.RUSAGE_SELF, &before)
			handled := 0
			for b.Loop() {
				handled += inflateFlood(b, bb.frame)
			}
			syscall.Getrusage(syscall.RUSAGE_SELF, &after)
			used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
			b.ReportMetric(float64(used)/1e6/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(handled)/float64(b.N), "handled/op")
		})
	}
}

// inflateFlood sends 200 messages, and returns how many were handled without a wait within a second.
func inflateFlood(b *testing.B, message []byte) (handled int) {
	m := tank.NewInstance(tank.WithCompression(1, 0), tank.WithMessageHandler(func(*tank.Client, tank.Message) {}))
	go m.Start()
	l := memnet.Listen()
	server := &http.Server{Handler: m}
	go server.Serve(l)
	conn, err := l.Dial(defaultBuffer)
	if err != nil {
		b.Fatal(err)
	}
	io.WriteString(conn, wstest.Handshake{Header: "Sec-WebSocket-Extensions: permessage-deflate\r\n"}.String())
	go io.Copy(io.Discard, conn)
	for range 200 {
		conn.Write(message)
	}
	conn.AwaitPeer(time.Second)
	handled = int(m.Stats().MessagesIn - m.Stats().Throttled)
	conn.Close()
	server.Close()
	m.Shutdown(context.Background())
	return handled
}
