package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
)

// hostileNames are what somebody might call himself or a topic to disturb a log, a terminal, or somebody's eyes.
// The large ones repeat a letter that stands in no text of the library.
var hostileNames = map[string]string{
	"CR LF":           "a\r\nSet-Cookie: b",
	"escapes":         `a\n\x1b\u202e"%s"`,
	"terminal":        "\x1b[31mred\x1b]0;title\a",
	"bidi controls":   "\u202egpj.exe\u2066\u200f",
	"zero width":      "ad\u200bmin\ufeff\u200d",
	"line separators": "a\u2028b\u2029c\u0085",
	"NUL":             "a\x00b",
	"not UTF-8":       "a\xff\xfe\x80",
	"1 MiB":           strings.Repeat("Q", 1<<20),
	"64 KiB of bidi":  strings.Repeat("\u202eQ", 1<<14),
	"64 KiB of CR LF": strings.Repeat("\r\nQ", 1<<16/3),
}

// secret is what messages say.
const secret = "the-secret-payload"

// disclosure is an instance and all that it lets out to others than the sender.
type disclosure struct {
	*server
	log bytes.Buffer
	ann *tank.Client
}

// disclose runs a test with an instance that logs, refuses the topics that begin with "no", and takes requests as
// the test wants them.
func disclose(t *testing.T, json bool, test func(*disclosure), opts ...tank.Option) {
	bubble(t, func(t *testing.T) {
		d := &disclosure{}
		var handler slog.Handler = slog.NewTextHandler(&d.log, &slog.HandlerOptions{Level: slog.LevelDebug})
		if json {
			handler = slog.NewJSONHandler(&d.log, &slog.HandlerOptions{Level: slog.LevelDebug})
		}
		refuse := func(_ *tank.Client, topic string) error {
			if strings.HasPrefix(topic, "no") {
				return errors.New("no")
			}
			return nil
		}
		m := tank.NewInstance(append([]tank.Option{
			tank.WithLogger(slog.New(handler)),
			tank.WithLimits(tank.Limits{MessageBytes: 4 << 20, OutboxBytes: 64 << 20}),
			tank.WithSubscribeAuthorizer(refuse),
			tank.WithPublishAuthorizer(byTopic(refuse)),
			tank.WithMessageHandler(func(c *tank.Client, _ tank.Message) { d.ann = c }),
		}, opts...)...)
		d.server = mount(t, m)
		d.http.MaxHeaderBytes = 16 << 20
		go m.Start()
		test(d)
	})
}

// with sends a handshake that reaches the instance changed, which no HTTP client could do: net/http refuses control
// characters. It returns all of the answer.
func (d *disclosure) with(change func(*http.Request)) string {
	d.t.Helper()
	d.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		change(r)
		d.ServeHTTP(w, r)
	})
	p, resp := d.request(handshake{path: "/", header: offer})
	if resp.StatusCode == http.StatusSwitchingProtocols {
		p.conn.Close()
	}
	var answer strings.Builder
	resp.Header.Write(&answer)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		io.Copy(&answer, resp.Body)
	}
	return answer.String()
}

// connected connects ann and returns her end, with d.ann set.
func (d *disclosure) connected() *peer {
	p := d.dial("ann")
	p.send("remember me")
	synctest.Wait()
	return p
}

// refusals returns the messages of all refusals that have come. The topic in one is what its receiver has sent, in full as
// far as it can be a name; but what would disturb is escaped.
func (d *disclosure) refusals(p *peer) string {
	var messages strings.Builder
	for d.pending(p) {
		_, frame := p.next()
		var refusal struct {
			Error struct{ Message, Topic string }
		}
		must(d.t, json.Unmarshal([]byte(frame), &refusal))
		if strings.ContainsFunc(frame, isDisturbing) || len(refusal.Error.Topic) > 255 {
			d.t.Errorf("got %+q", frame)
		}
		fmt.Fprintln(&messages, refusal.Error.Message)
	}
	return messages.String()
}

// pending reports whether something has come that was not read.
func (d *disclosure) pending(p *peer) bool {
	synctest.Wait()
	return p.conn.R.Buffered() > 0 || len(p.conn.Conn.(*memnet.Conn).Buffered()) > 0
}

// places are where a hostile name can stand. Each returns what comes back to somebody.
var places = map[string]func(d *disclosure, name string) string{
	"user id in the query": func(d *disclosure, name string) string {
		return d.with(func(r *http.Request) { r.URL.RawQuery = "user_id=" + url.QueryEscape(name) })
	},
	"raw query": func(d *disclosure, name string) string {
		return d.with(func(r *http.Request) { r.URL.RawQuery = "%" + name })
	},
	"method": func(d *disclosure, name string) string {
		return d.with(func(r *http.Request) { r.Method = name })
	},
	"protocol": func(d *disclosure, name string) string {
		return d.with(func(r *http.Request) { r.Proto, r.ProtoMajor, r.ProtoMinor = name, 1, 0 })
	},
	"host": func(d *disclosure, name string) string {
		return d.with(func(r *http.Request) {
			r.Host = name
			r.Header.Set("Origin", "http://example.test")
		})
	},
	"topics of the protocol": func(d *disclosure, name string) string {
		p := d.connected()
		for _, topic := range []string{name, "no" + name} {
			valid := strings.ToValidUTF8(topic, "?")
			p.send("sub:" + valid)
			p.send("unsub:" + valid)
			envelope, _ := json.Marshal(map[string]string{"topic": valid, "data": secret})
			p.send(string(envelope))
		}
		return d.refusals(p)
	},
	"topics of methods": func(d *disclosure, name string) string {
		d.connected()
		return fmt.Sprintln(d.ann.Subscribe(name)) + fmt.Sprintln(d.ann.Unsubscribe(name)) + fmt.Sprintln(d.ann.Unsubscribe(name)) +
			fmt.Sprintln(d.BroadcastTopicMessage(name, secret)) + fmt.Sprintln(d.Publish(d.t.Context(), name, secret+"\xff"))
	},
	"close reason of the peer": func(d *disclosure, name string) string {
		p := d.connected()
		p.write(closeFrame(4000, name[:min(len(name), 120)]))
		return ""
	},
	"close reason of the application": func(d *disclosure, name string) string {
		d.connected()
		return fmt.Sprintln(d.ann.Close(4000, name)) + fmt.Sprintln(d.ann.Close(4000, strings.ToValidUTF8(name[:min(len(name), 120)], "")))
	},
	"name of a client": func(d *disclosure, name string) string {
		return d.with(func(r *http.Request) { r.URL.RawQuery = "user_id=" + url.QueryEscape(name[:min(len(name), 120)]) })
	},
}

func init() {
	for _, header := range []string{"Origin", "Connection", "Upgrade", "Sec-Websocket-Key", "Sec-Websocket-Version",
		"Sec-Websocket-Protocol", "Sec-Websocket-Extensions", "X-Forwarded-Proto"} {
		places[header] = func(d *disclosure, name string) string {
			return d.with(func(r *http.Request) { r.Header[header] = []string{name} })
		}
	}
}

// TestHostileNamesComeOutQuotedAndShort puts each name in each place, and looks at all that comes out.
func TestHostileNamesComeOutQuotedAndShort(t *testing.T) {
	for place, put := range places {
		t.Run(place, func(t *testing.T) {
			for what, name := range hostileNames {
				for _, json := range []bool{false, true} {
					disclose(t, json, func(d *disclosure) { d.checkNames(what, put(d, name)) },
						tank.WithUpgrader(tank.Upgrader{Subprotocols: []string{"chat"}, EnableCompression: true}))
				}
			}
		})
	}
}

// TestHostileNamesFromCallbacks is the same for what the application's own code might hand on.
func TestHostileNamesFromCallbacks(t *testing.T) {
	for what, name := range hostileNames {
		for _, json := range []bool{false, true} {
			disclose(t, json, func(d *disclosure) {
				d.checkNames(what, d.with(func(*http.Request) {}))
			}, tank.WithAuthenticator(func(*http.Request) (tank.Identity, error) { return named(name, nil) }))
			disclose(t, json, func(d *disclosure) {
				d.checkNames(what, d.with(func(r *http.Request) { r.Header.Set("Origin", name) }))
			}, tank.WithUpgrader(tank.Upgrader{CheckOrigin: func(*http.Request) bool { return false }}))
		}
	}
}

// checkNames ends the instance and checks everything that it has let out, and the answer.
func (d *disclosure) checkNames(what, answer string) {
	d.t.Helper()
	time.Sleep(time.Minute) // so that timeouts have passed
	must(d.t, d.Shutdown(within(d.t, time.Minute)))
	check := func(where, text string) {
		d.t.Helper()
		for _, line := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
			if problem := disturbs(line); problem != "" {
				d.t.Errorf("%s: %s has %s: %+.100q", what, where, problem, line)
			}
		}
	}
	check("the answer", answer)
	check("the log", d.log.String())
	if strings.Contains(d.log.String(), "\nSet-Cookie") || strings.Contains(answer, "\nSet-Cookie") {
		d.t.Errorf("%s: a line was smuggled in:\n%s\n%s", what, answer, d.log.String())
	}
	for e := range d.Errors {
		check("an error event", e.Error())
		check("an error event's message", e.Message)
	}
	for e := range d.ConnEvents {
		check("a reason", e.Reason)
	}
}

// disturbs says what is wrong with a line of text that is for people, or "".
func disturbs(line string) string {
	if !utf8.ValidString(line) {
		return "invalid UTF-8"
	}
	for _, r := range line {
		if isDisturbing(r) {
			return fmt.Sprintf("%U", r)
		}
	}
	if n := longestQuote(line); n > 128 {
		return fmt.Sprintf("%d quoted bytes", n)
	}
	return ""
}

func isDisturbing(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }

// longestQuote returns how many bytes one of the large names takes at least: from its first letter to its last. What a log's
// format escapes once more counts as it was.
func longestQuote(line string) int {
	line = strings.ReplaceAll(line, `\\`, `\`)
	first, last := strings.IndexByte(line, 'Q'), strings.LastIndexByte(line, 'Q')
	if first < 0 {
		return 0
	}
	return last + 1 - first
}

// TestWhatMessagesSayIsNeverDisclosed sends a recognisable payload in messages of all kinds, each on a connection of its
// own, and looks for it in all that comes out elsewhere.
func TestWhatMessagesSayIsNeverDisclosed(t *testing.T) {
	compressed := func(data string) []byte {
		f := frame(opText, data)
		f[0] |= 0x40
		return f
	}
	publication, err := json.Marshal(map[string]string{"topic": "news", "data": secret})
	must(t, err)
	forbidden := strings.Replace(string(publication), "news", "no", 1)
	invalid := strings.Replace(string(publication), "news", `\n`, 1)
	for name, sent := range map[string][]byte{
		"text":                  frame(opText, secret),
		"binary":                frame(opBinary, secret),
		"fragments":             fragments(opText, secret),
		"publication":           frame(opText, string(publication)),
		"refused publication":   frame(opText, forbidden),
		"invalid topic":         frame(opText, invalid),
		"almost a publication":  frame(opText, strings.Replace(string(publication), "}", `,"more":1}`, 1)),
		"not JSON":              frame(opText, "{"+secret),
		"not UTF-8":             frame(opText, secret+"\xff"),
		"too big":               frame(opText, strings.Repeat(secret, 1<<20/len(secret))),
		"compressed":            compressed(deflate(t, secret)),
		"corrupt":               compressed(deflate(t, secret) + secret),
		"not compressed at all": compressed(secret),
		"ping":                  frame(opPing, secret),
		"pong":                  frame(opPong, secret),
		"ping that is too long": frame(opPing, strings.Repeat(secret, 10)),
		"unknown opcode":        frame(3, secret),
		"continuation":          frame(0, secret),
		"not masked":            append([]byte{0x81, byte(len(secret))}, secret...),
		"no frame at all":       []byte(secret),
		"half a frame":          frame(opText, secret+secret)[:len(secret)+10],
		"close without a code":  frame(opClose, secret[:1]),
	} {
		t.Run(name, func(t *testing.T) {
			for _, json := range []bool{false, true} {
				disclose(t, json, func(d *disclosure) {
					publisher, subscriber := d.connect(handshake{path: "/?user_id=ann", header: offer}), d.dial("bob")
					subscriber.subscribe(d.server, "news")
					publisher.write(sent)
					synctest.Wait()
					publisher.conn.Close()
					mustBe(t, d.BroadcastTopicMessage("news", secret+"\xff"), tank.ErrInvalidData)
					must(t, d.BroadcastTopicMessage("news", secret))
					must(t, d.BroadcastMessage([]byte(secret)))
					d.checkSecret()
				}, tank.WithLimits(tank.Limits{}), tank.WithUpgrader(tank.Upgrader{EnableCompression: true}),
					tank.WithMessageHandler(func(_ *tank.Client, m tank.Message) { panic(errBroken) }))
			}
		})
	}
}

// checkSecret ends the instance and looks for the secret in everything that it has let out.
func (d *disclosure) checkSecret() {
	d.t.Helper()
	must(d.t, d.Shutdown(within(d.t, time.Minute)))
	var all strings.Builder
	all.Write(d.log.Bytes())
	for e := range d.Errors {
		fmt.Fprintf(&all, "%v %+v %v %+v\n", e, *e, e.Err, e.Err)
		var panicked *actor.PanicError
		if errors.As(e, &panicked) {
			all.Write(panicked.Stack)
		}
	}
	for e := range d.ConnEvents {
		fmt.Fprintf(&all, "%+v\n", *e)
	}
	fmt.Fprintf(&all, "%+v", d.Stats())
	if !strings.Contains(all.String(), "connect") || !strings.Contains(d.log.String(), tank.ErrInvalidData.Error()) {
		d.t.Fatalf("nothing was logged:\n%s", all.String())
	}
	// Its middle stands for it, wherever it may have been cut.
	if i := strings.Index(all.String(), secret[4:len(secret)-4]); i >= 0 {
		d.t.Errorf("the payload came out: %.200q", all.String()[max(0, i-100):])
	}
}
