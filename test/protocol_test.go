package test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// echoed is what an error frame repeats of a topic.
func echoed(topic string) string {
	if len(topic) > 255 {
		return topic[:128]
	}
	return topic
}

func TestTopicNames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.dial("ann")
		for _, topic := range []string{"news", "a:b", "sub:x", "中文 主题", `quote" and \`, " ", strings.Repeat("x", 255), "🎈"} {
			p.subscribe(s, topic)
			must(t, s.BroadcastTopicMessage(topic, "x"))
			p.expectTopic(topic, "x")
		}
		for _, topic := range []string{"", strings.Repeat("x", 256), "a\x00", "a\r\nb", "\u0085"} {
			p.send("sub:" + topic)
			p.expectRefusal("invalid_topic", echoed(topic))
			p.send("unsub:" + topic)
			p.expectRefusal("invalid_topic", echoed(topic))
		}
		s.expectNoErrors()
	})
}

func TestRepeatedSubscribeIsOneSubscription(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.dial("ann")
		p.send("sub:news")
		p.send("sub:news")
		p.send("sub:news")
		synctest.Wait()
		s.expectEvents("connect ann", "subscribe ann news")
		if n := s.GetTopicSubscriberCount("news"); n != 1 {
			t.Fatalf("%d subscribers", n)
		}
		must(t, s.BroadcastTopicMessage("news", "once"))
		p.expectTopic("news", "once")
		p.expectNothing()
		p.send("unsub:news")
		p.send("unsub:news")
		p.send("unsub:never subscribed")
		p.send("sub:end")
		s.expectEvents("unsubscribe ann news", "subscribe ann end")
		p.expectNothing()
	})
}

func TestPublishingByClientsIsOffWithoutAnAuthorizer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var handled []string
		s := serve(t, tank.WithMessageHandler(func(_ *tank.Client, m tank.Message) { handled = append(handled, string(m.Data)) }))
		p := s.dial("ann")
		p.subscribe(s, "news")
		p.send(`{"topic":"news","data":"x"}`)
		p.expectNothing()
		if len(handled) != 1 || handled[0] != `{"topic":"news","data":"x"}` {
			t.Fatalf("message handler got %q", handled)
		}
	})
}

func TestPublishingByClients(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var handled []string
		s := serve(t,
			tank.WithPublishAuthorizer(func(c *tank.Client, p *tank.Publication) error {
				if c.UserID() != "ann" || p.Topic != "news" {
					return fmt.Errorf("the secret reason")
				}
				return nil
			}),
			tank.WithMessageHandler(func(_ *tank.Client, m tank.Message) { handled = append(handled, string(m.Data)) }),
		)
		a, b := s.dial("ann"), s.dial("bob")
		b.subscribe(s, "news")
		a.send(` { "data" : "a\"b\n世界" , "topic" : "news" } `)
		b.expectTopic("news", "a\"b\n世界")
		b.send(`{"topic":"news","data":"x"}`)
		b.expectRefusal("forbidden", "news")
		e := s.expectError(tank.CodeForbidden)
		if e.UserID != "bob" || e.Topic != "news" || !strings.Contains(e.Error(), "the secret reason") {
			t.Fatalf("got %+v", e)
		}
		a.send(`{"topic":"a\nb","data":"x"}`)
		a.expectRefusal("invalid_topic", "a\nb")
		others := []string{`{"topic":"news"}`, `{"topic":"news","data":1}`, `{"topic":"news","data":"x","more":1}`,
			`{"Topic":"news","data":"x"}`, `{"topic":"news","topic":"news","data":"x"}`, `["topic"]`, `{}`, ``, `hello`, `SUB:news`, `sub`}
		for _, text := range others {
			a.send(text)
		}
		b.expectNothing()
		if fmt.Sprintf("%q", handled) != fmt.Sprintf("%q", others) {
			t.Fatalf("message handler got %q\nwant %q", handled, others)
		}
	})
}

func TestMessagesNobodyHandlesAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.dial("ann")
		p.send("hello")
		p.write(frame(opBinary, "sub:news")) // commands are text
		p.expectNothing()
		if got := s.Stats(); got.MessagesIgnored != 2 || got.Topics != 0 {
			t.Fatalf("got %+v", got)
		}
	})
}

func TestSubscribeAuthorizer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithSubscribeAuthorizer(func(c *tank.Client, topic string) error {
			if topic == "private" {
				return fmt.Errorf("the secret reason")
			}
			return nil
		}))
		p := s.dial("ann")
		p.send("sub:private")
		_, text := p.next()
		if !strings.Contains(text, `"forbidden"`) || strings.Contains(text, "secret") {
			t.Fatalf("got %s, want a refusal that does not tell why", text)
		}
		s.expectError(tank.CodeForbidden)
		if n := s.GetTopicSubscriberCount("private"); n != 0 {
			t.Fatalf("%d subscribers", n)
		}
		p.subscribe(s, "public")
	})
}

// fragments splits a message into frames of one byte each.
func fragments(op byte, payload string) (b []byte) {
	for i := range len(payload) {
		f := frame(op, payload[i:i+1])
		if i < len(payload)-1 {
			f[0] &^= 0x80
		}
		b, op = append(b, f...), 0
	}
	return b
}

func TestFragmentedMessagesArePutTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.dial("ann")
		p.write(fragments(opText, "sub:世界"))
		synctest.Wait()
		if n := s.GetTopicSubscriberCount("世界"); n != 1 {
			t.Fatalf("%d subscribers", n)
		}
	})
}

func TestProtocolViolationsEndTheConnectionWithTheRightCode(t *testing.T) {
	unmasked := []byte{0x81, 1, 'x'}
	long := []byte{0x81, 0x80 | 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}
	reserved := frame(opText, "x")
	reserved[0] |= 0x40
	fragmentedPing := frame(opPing, "x")
	fragmentedPing[0] &^= 0x80
	for name, c := range map[string]struct {
		sent   []byte
		close  int
		report tank.ErrorCode
	}{
		"text is not UTF-8":              {frame(opText, "\xff"), 1007, tank.CodeProtocol},
		"text is cut in a character":     {fragments(opText, "世"[:2]), 1007, tank.CodeProtocol},
		"message over the limit":         {frame(opText, strings.Repeat("x", tank.DefaultMessageBytes+1)), 1009, tank.CodeTooBig},
		"fragments over the limit":       {fragments(opText, strings.Repeat("x", tank.DefaultMessageBytes+1)), 1009, tank.CodeTooBig},
		"not masked":                     {unmasked, 1002, tank.CodeProtocol},
		"reserved bit":                   {reserved, 1002, tank.CodeProtocol},
		"reserved opcode":                {frame(3, "x"), 1002, tank.CodeProtocol},
		"continuation of nothing":        {frame(0, "x"), 1002, tank.CodeProtocol},
		"fragmented ping":                {fragmentedPing, 1002, tank.CodeProtocol},
		"ping over 125 bytes":            {frame(opPing, strings.Repeat("x", 126)), 1002, tank.CodeProtocol},
		"close with one byte":            {frame(opClose, "x"), 1002, tank.CodeProtocol},
		"close with a reserved code":     {closeFrame(1005, ""), 1002, tank.CodeProtocol},
		"close reason is not UTF-8":      {closeFrame(1000, "\xff"), 1007, tank.CodeProtocol},
		"length over 2^62 then silence":  {append(long, make([]byte, tank.DefaultMessageBytes+1)...), 1009, tank.CodeTooBig},
		"new message inside a fragment ": {append(fragments(opText, "ab")[:7], frame(opText, "x")...), 1002, tank.CodeProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := serve(t, atWill) // so many fragments would take some time
				bystander := s.dial("bystander")
				p := s.dial("ann")
				s.expectEvents("connect bystander", "connect ann")
				began := time.Now()
				go p.write(c.sent)
				op, payload, err := p.receive()
				if err != nil || op != opClose || int(payload[0])<<8|int(payload[1]) != c.close {
					t.Fatalf("got opcode %d with %q (%v), want close %d", op, payload, err, c.close)
				}
				p.conn.Close()
				if e := s.event(); e.UserID != "ann" || !strings.HasPrefix(e.Reason, fmt.Sprint(c.close, " ")) {
					t.Fatalf("got %+v, want a disconnect with %d", e, c.close)
				}
				if took := time.Since(began); took > 0 {
					t.Fatalf("took %v after the peer had hung up", took)
				}
				if e := s.expectError(c.report); e.UserID != "ann" {
					t.Fatalf("got %+v", e)
				}
				s.expectNoErrors()
				must(t, s.BroadcastMessage([]byte("all is well")))
				bystander.expect("all is well")
			})
		})
	}
}

func TestMessageAtTheLimitIsFine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got int
		s := serve(t, tank.WithMessageHandler(func(_ *tank.Client, m tank.Message) { got = len(m.Data) }))
		p := s.dial("ann")
		p.send(strings.Repeat("x", tank.DefaultMessageBytes))
		synctest.Wait()
		if got != tank.DefaultMessageBytes {
			t.Fatalf("handler got %d bytes", got)
		}
		p.expectNothing()
	})
}

func TestConnectionCutAtEveryByteOfAFrame(t *testing.T) {
	whole := frame(opText, "sub:news")
	for n := range whole {
		bubble(t, func(t *testing.T) {
			s := serve(t)
			p := s.dial("ann")
			p.write(whole[:n])
			synctest.Wait()
			p.conn.Close()
			s.expectEvents("connect ann", "disconnect ann") // and no subscription
			s.expectError(tank.CodeRead)
		})
	}
}

func TestPingIsAnsweredWithItsPayload(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.dial("ann")
		p.write(frame(opPing, "payload"))
		if op, payload, err := p.receive(); op != opPong || payload != "payload" || err != nil {
			t.Fatalf("got opcode %d with %q (%v)", op, payload, err)
		}
	})
}

func TestPingsOfAPeerThatDoesNotReadTakeNoMemory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, atWill)
		p := s.connect(handshake{path: "/", buffer: 16})
		flood := []byte(strings.Repeat(string(frame(opPing, "x")), 10_000))
		p.write(append(flood, frame(opPing, "last")...))
		synctest.Wait()
		pongs := 0
		for {
			op, payload, err := p.receive()
			if op != opPong || err != nil {
				t.Fatalf("got opcode %d (%v)", op, err)
			}
			if pongs++; payload == "last" { // RFC 6455, section 5.5.3: the latest may stand for all
				break
			}
		}
		if pongs > 2*4096/3+20 {
			t.Fatalf("%d pongs were waiting, more than are kept", pongs)
		}
	})
}

func TestFirstFrameRightBehindTheHandshake(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		s.connect(handshake{path: "/?user_id=ann", early: frame(opText, "sub:news")})
		s.expectEvents("connect ann", "subscribe ann news")
	})
}

func TestHeartbeatCutsAPeerWithoutASignOfLife(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		silent, alive := s.dial("silent"), s.dial("alive")
		go alive.answer()
		s.expectEvents("connect silent", "connect alive")
		began := time.Now()
		e := s.event()
		if e.UserID != "silent" || e.Reason != "1006 heartbeat timeout" {
			t.Fatalf("got %+v", e)
		}
		if took := time.Since(began); took < tank.DefaultHeartbeatTimeout || took > tank.DefaultHeartbeatInterval+tank.DefaultHeartbeatTimeout+time.Second {
			t.Fatalf("cut after %v", took)
		}
		if e := s.expectError(tank.CodeHeartbeat); e.UserID != "silent" {
			t.Fatalf("got %+v", e)
		}
		silent.receive() // its ping
		silent.expectEnd()
		time.Sleep(time.Hour)
		s.expectNoErrors()
		if n := s.GetClientCount(); n != 1 {
			t.Fatalf("%d clients after an hour, want the one that answers", n)
		}
	})
}

func TestHeartbeatTimeoutCountsFromThePing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithHeartbeat(30*time.Second, 7*time.Second))
		p := s.dial("ann")
		s.expectEvents("connect ann")
		if op, _, _ := p.receive(); op != opPing {
			t.Fatalf("got opcode %d, want a ping", op)
		}
		pinged := time.Now()
		s.expectEvents("disconnect ann")
		if took := time.Since(pinged); took < 7*time.Second || took > 7*time.Second+30*time.Second/25 {
			t.Fatalf("cut %v after the ping, want 7s", took)
		}
	})
}

func TestHeartbeatTimeoutMayBeLongerThanTheInterval(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithHeartbeat(5*time.Second, 12*time.Second))
		silent, late := s.dial("silent"), s.dial("late")
		s.expectEvents("connect silent", "connect late")
		go func() { // answers the second ping only, each time
			for n := 1; ; n++ {
				op, _, err := late.receive()
				if err != nil {
					return
				}
				if op == opPing && n%2 == 0 {
					late.write(frame(opPong, ""))
				}
			}
		}()
		silent.receive()
		pinged := time.Now()
		if e := s.event(); e.UserID != "silent" || e.Reason != "1006 heartbeat timeout" {
			t.Fatalf("got %+v", e)
		}
		if took := time.Since(pinged); took < 12*time.Second || took > 12*time.Second+5*time.Second/25 {
			t.Fatalf("cut %v after the first ping, want 12s", took)
		}
		time.Sleep(time.Minute)
		if n := s.GetClientCount(); n != 1 {
			t.Fatalf("%d clients, want the one that answers late", n)
		}
	})
}

func TestAnyFrameIsASignOfLife(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.dial("ann")
		go func() {
			for range 299 {
				time.Sleep(time.Second)
				p.send("never a pong")
			}
		}()
		time.Sleep(5 * time.Minute)
		s.expectNoErrors()
		if s.GetClientCount() != 1 {
			t.Fatal("the client was cut")
		}
	})
}

func TestSlowMessageHandlerIsNotADeadPeer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithMessageHandler(func(*tank.Client, tank.Message) { time.Sleep(10 * time.Minute) }))
		p := s.dial("ann")
		go func() {
			for {
				op, payload, err := p.receive()
				if err != nil {
					return
				}
				if op == opPing {
					p.write(frame(opPong, payload))
				}
			}
		}()
		p.send("work for ten minutes")
		time.Sleep(20 * time.Minute)
		s.expectNoErrors()
		if s.GetClientCount() != 1 {
			t.Fatal("the client was cut")
		}
	})
}

func TestSlowReaderIsClosedWith1013AndNobodyElseIsSlowed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const limit = 100 << 10
		s := serve(t, tank.WithLimits(tank.Limits{OutboxBytes: limit}))
		slow := s.connect(handshake{path: "/?user_id=slow", buffer: 1 << 10})
		healthy := s.dial("healthy")
		for _, p := range []*peer{slow, healthy} {
			p.subscribe(s, "news")
		}
		s.expectEvents("connect slow", "connect healthy", "subscribe slow news", "subscribe healthy news")
		data := strings.Repeat("x", 1000)
		for range 200 {
			must(t, s.BroadcastTopicMessage("news", data))
			healthy.expectTopic("news", data)
		}
		if e := s.expectError(tank.CodeSlowClient); e.UserID != "slow" {
			t.Fatalf("got %+v", e)
		}
		s.expectNoErrors()
		if got := s.Stats(); got.Evicted != 1 || got.Dropped == 0 || got.Dropped > 200 {
			t.Fatalf("got %+v", got)
		}
		e := s.event()
		if e.EventType != tank.EventDisconnect || e.UserID != "slow" || !strings.HasPrefix(e.Reason, "1013 ") {
			t.Fatalf("got %+v", e)
		}
		if d := s.GetAllTopics()[0]; d.Published != 200 || d.Delivered+d.Dropped < 300 {
			t.Fatalf("got %+v", d)
		}
	})
}

func TestSlowReaderThatWakesUpIsTold1013(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithLimits(tank.Limits{OutboxBytes: 10_000}))
		p := s.connect(handshake{path: "/?user_id=slow", buffer: 1 << 10})
		for range 20 {
			must(t, s.BroadcastMessage(make([]byte, 1000)))
			synctest.Wait() // or all might become one batch, which an empty outbox takes
		}
		for {
			op, payload, err := p.receive()
			if err != nil {
				t.Fatal(err)
			}
			if op == opClose {
				if got := int(payload[0])<<8 | int(payload[1]); got != 1013 {
					t.Fatalf("closed with %d", got)
				}
				return
			}
		}
	})
}

func TestMessageLargerThanTheOutboxReachesWhoeverKeepsUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithLimits(tank.Limits{OutboxBytes: 1000}))
		p := s.dial("ann")
		for range 3 {
			must(t, s.BroadcastMessage([]byte(strings.Repeat("x", 100_000))))
			p.expect(strings.Repeat("x", 100_000))
			synctest.Wait() // until the server knows, too
		}
		s.expectNoErrors()
	})
}
