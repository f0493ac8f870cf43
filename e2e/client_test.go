package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// The client that docs/protocol.md shows, for plain sockets.

// liveClient is an instance, and a page without anything on it beside its WebSocket and the client's file.
func liveClient(t *testing.T, file string, options ...tank.Option) (*tank.Manager, *server) {
	t.Helper()
	tkws := tank.NewInstance(options...)
	go tkws.Start()
	mux := http.NewServeMux()
	mux.Handle("/ws", tkws)
	mux.HandleFunc("/live.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		io.WriteString(w, file)
	})
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, "<!doctype html><link rel=icon href=data:,><title>client</title>")
	})
	s := httptest.NewServer(mux)
	t.Cleanup(func() {
		s.Close()
		tkws.Shutdown(context.Background())
	})
	return tkws, &server{t: t, url: s.URL + "/"}
}

// shownClient is that client. The Chinese page shows the same code, or internal/docscheck fails.
func shownClient(t *testing.T) string {
	t.Helper()
	return block(t, "docs/protocol.md", "js", "class Live")
}

// openClient opens the page and connects it. config is what the client is given beside the functions that keep notes in
// window.log_, a list of [what, when, more].
func openClient(t *testing.T, s *server, url, config string) *page {
	t.Helper()
	p := open(t, s, "client", look{})
	p.run(`window.log_ = []; const note = (...what) => log_.push([what[0], performance.now(), what[1]]);
		import('./live.js').then(({ Live }) => {
			window.live_ = new Live(` + quote(strings.Replace(url, "http", "ws", 1)+"ws") + `, {
				onOpen: () => note('open'), onClose: (e) => note('close', e), onBroadcast: (m) => note('message', m),
				onRefused: (e) => note('refused', e.code), ` + config + `});
		})`)
	return p
}

// noted is a JavaScript expression for how often something was noted.
func noted(what string) string { return `log_.filter(([w]) => w === ` + quote(what) + `).length` }

// swallower is a proxy that passes connections on to a server. Those that it swallows stay open, and nothing comes through any more.
type swallower struct {
	net.Listener
	to   string
	open []net.Conn // the accepting goroutine's, until it has ended

	mu        sync.Mutex
	swallowed chan struct{} // of the present connections: closed when they are swallowed
	passing   bool
}

func newSwallower(t *testing.T, to string, passing bool) *swallower {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &swallower{Listener: l, to: to, swallowed: make(chan struct{}), passing: passing}
	var accepting, work sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			x.take(t, conn, &work)
		}
	})
	t.Cleanup(func() {
		l.Close()
		accepting.Wait()
		for _, conn := range x.open {
			conn.Close()
		}
		work.Wait()
	})
	return x
}

// take passes a connection on, or not.
func (x *swallower) take(t *testing.T, conn net.Conn, work *sync.WaitGroup) {
	x.open = append(x.open, conn)
	x.mu.Lock()
	swallowed, passing := x.swallowed, x.passing
	x.mu.Unlock()
	if !passing {
		return
	}
	upstream, err := net.Dial("tcp", x.to)
	if err != nil {
		t.Error(err)
		return
	}
	x.open = append(x.open, upstream)
	work.Go(func() { pass(conn, upstream, swallowed) })
	work.Go(func() { pass(upstream, conn, swallowed) })
}

func (x *swallower) url() string { return "http://" + x.Addr().String() + "/" }

// swallow begins to swallow all that there is, and all that comes.
func (x *swallower) swallow() {
	x.mu.Lock()
	defer x.mu.Unlock()
	close(x.swallowed)
	x.swallowed, x.passing = make(chan struct{}), false
}

// pass passes on connections that come from now on.
func (x *swallower) pass() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.passing = true
}

// pass copies until the connections end, or reads without passing anything on from when they are swallowed.
func pass(from, to net.Conn, swallowed <-chan struct{}) {
	buffer := make([]byte, 4<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-swallowed:
			if err == nil {
				continue
			}
			return // and to stays as it is
		default:
		}
		if _, failed := to.Write(buffer[:n]); errors.Join(err, failed) != nil {
			to.Close()
			return
		}
	}
}

var anyOrigin = tank.WithUpgrader(tank.Upgrader{CheckOrigin: func(*http.Request) bool { return true }})

// TestClientGivesUpAHandshakeWithoutAnAnswer: a server that accepts and says nothing, for which browsers wait for minutes.
func TestClientGivesUpAHandshakeWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	_, s := liveClient(t, shownClient(t), anyOrigin)
	x := newSwallower(t, strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/"), false)
	p := openClient(t, s, x.url(), `timeout: 1000`)
	p.wait(noted("close") + ` >= 2`) // and the second attempt as well
	if got := eval[string](p, `JSON.stringify(log_[0][2])`); got != `{"code":1006,"reason":"no answer to the handshake","willRetry":true}` {
		t.Errorf("it ends with %s", got)
	}
	x.pass()
	p.wait(noted("open") + ` === 1`)
}

// TestClientNoticesASilentNetwork, on which nothing comes through any more and nothing is closed.
func TestClientNoticesASilentNetwork(t *testing.T) {
	t.Parallel()
	tkws, s := liveClient(t, shownClient(t), anyOrigin)
	x := newSwallower(t, strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/"), true)
	p := openClient(t, s, x.url(), `timeout: 700`)
	p.wait(noted("open") + ` === 1`)
	p.run(`live_.subscribe('news', (data) => log_.push([data]))`)

	// Nobody says anything, and all is well: it is asked for, and answered, again and again.
	p.run(`new Promise((resolve) => setTimeout(resolve, 7000))`)
	if got := eval[string](p, `log_.map(([what]) => what).join()`); got != "open" {
		t.Errorf("on a network that works, but without messages, the client notes %s", got)
	}
	x.swallow()
	p.run(`window.began_ = performance.now()`)
	p.wait(noted("close"))
	took := eval[float64](p, `log_.find(([what]) => what === 'close')[1] - began_`)
	if took > 4*700+1000 {
		t.Errorf("it takes %.0f ms", took)
	}
	if got := eval[string](p, `JSON.stringify(log_[1][2])`); got != `{"code":1006,"reason":"no sign of life","willRetry":true}` {
		t.Errorf("it ends with %s", got)
	}
	x.pass()
	p.wait(noted("open") + ` === 2`)
	p.run(`live_.send('sub:news')`)
	for eval[int](p, noted("first")) == 0 { // until the server has the subscription again
		tkws.BroadcastTopicMessage("news", "first")
	}
}

// TestClientLooksWhenTheBrowserIsOnlineAgain, without waiting for the silence to become conspicuous.
func TestClientLooksWhenTheBrowserIsOnlineAgain(t *testing.T) {
	t.Parallel()
	_, s := liveClient(t, shownClient(t), anyOrigin)
	x := newSwallower(t, strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/"), true)
	p := openClient(t, s, x.url(), `timeout: 3000`)
	p.wait(noted("open") + ` === 1`)
	x.swallow()
	p.run(`window.began_ = performance.now(); for (let i = 0; i < 5; i++) dispatchEvent(new Event('online'))`)
	p.wait(noted("close"))
	took := eval[float64](p, `log_.find(([what]) => what === 'close')[1] - began_`)
	if took < 5500 || took > 8500 { // twice the timeout; four times it without the event, or three times, at least
		t.Errorf("it takes %.0f ms", took)
	}
	x.pass()
	p.run(`dispatchEvent(new Event('online'))`) // or it may wait for a second
	p.wait(noted("open") + ` === 2`)
}

func TestClientHasSeveralHandlersForATopic(t *testing.T) {
	t.Parallel()
	tkws, s := liveClient(t, shownClient(t))
	p := openClient(t, s, s.url, ``)
	p.forgive("this handler is broken")
	p.wait(noted("open") + ` === 1`)
	p.run(`live_.subscribe('news', () => { throw new Error('this handler is broken'); });
		window.stop_ = ['one', 'two'].map((name) => live_.subscribe('news', (data) => log_.push([name + ' ' + data])))`)
	subscribers := func(want int) {
		t.Helper()
		for began := time.Now(); tkws.GetTopicSubscriberCount("news") != want; time.Sleep(time.Millisecond) { // between two looks
			if time.Since(began) > patience {
				t.Fatalf("the topic has %d subscribers, want %d", tkws.GetTopicSubscriberCount("news"), want)
			}
		}
	}
	subscribers(1)
	tkws.BroadcastTopicMessage("news", "a")
	p.wait(noted("one a") + ` === 1 && ` + noted("two a") + ` === 1`)
	p.run(`stop_[0](); stop_[0]()`)
	tkws.BroadcastTopicMessage("news", "b")
	p.wait(noted("two b") + ` === 1`)
	if n := eval[int](p, noted("one b")); n != 0 {
		t.Error("a handler is called that was taken back")
	}
	p.run(`stop_[1]()`)
	if n := eval[int](p, `live_.handlers.get('news').size`); n != 1 {
		t.Errorf("there are %d handlers beside the broken one", n-1)
	}
	p.run(`live_.unsubscribe('news')`)
	subscribers(0)
	p.run(`window.last_ = live_.subscribe('news', () => {})`)
	subscribers(1)
	p.run(`last_()`)
	subscribers(0)
	p.run(`live_.subscribe('', () => {})`) // a refusal that looks like the answer to a question
	p.wait(noted("refused") + ` === 1`)
}

// TestClientOffersSubprotocols: the same ones each time, or those that a function finds for each attempt.
func TestClientOffersSubprotocols(t *testing.T) {
	t.Parallel()
	tkws, s := liveClient(t, shownClient(t),
		tank.WithUpgrader(tank.Upgrader{Subprotocols: []string{"tank"}}),
		tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
			token, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Sec-WebSocket-Protocol"), "bearer."), ",")
			if !strings.HasPrefix(token, "token") {
				return tank.Identity{}, errors.New("no token")
			}
			return tank.Identity{UserID: token}, nil
		}))
	p := openClient(t, s, s.url, `protocols: ['bearer.token', 'tank']`)
	p.wait(noted("open") + ` === 1`)
	if got := eval[string](p, `live_.socket.protocol`); got != "tank" {
		t.Errorf("the subprotocol is %q", got)
	}
	p = openClient(t, s, s.url, `protocols: async () => {
		window.calls_ = (window.calls_ ?? 0) + 1;
		if (calls_ === 2) throw new Error('no token today');
		return ['bearer.token' + calls_, 'tank'];
	}`)
	p.wait(noted("open") + ` === 1`)
	if n := tkws.CloseUser("token1"); n != 1 {
		t.Errorf("%d connections have the first token", n)
	}
	p.wait(noted("close") + ` === 1`) // for good, with 1000
	p.run(`live_.reconnect()`)
	p.wait(noted("close") + ` === 2 && ` + noted("open") + ` === 2`)
	if got := eval[string](p, `log_.filter(([what]) => what === 'close')[1][2].reason`); got != "Error: no token today" {
		t.Errorf("the second attempt fails with %q", got)
	}
	if n := tkws.CloseUser("token3"); n != 1 {
		t.Errorf("%d connections have the third token", n)
	}
	p.run(`live_.close(); dispatchEvent(new Event('online'))`)
	if got := eval[string](p, `live_.state`); got != "closed" {
		t.Errorf("after close, the client is %s", got)
	}
}

// TestClientGetsNewCredentials: the function for the subprotocols is called again when the credentials have expired, and the client
// stays away when it is refused, or when the application closes the connection with a code of its own.
func TestClientGetsNewCredentials(t *testing.T) {
	t.Parallel()
	for _, final := range []tank.CloseCode{tank.CloseForbidden, 4000, 4999} {
		t.Run(fmt.Sprint(int(final)), func(t *testing.T) {
			t.Parallel()
			tkws, s := liveClient(t, shownClient(t),
				tank.WithUpgrader(tank.Upgrader{Subprotocols: []string{"tank"}}),
				tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
					token, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Sec-WebSocket-Protocol"), "bearer."), ",")
					who := tank.Identity{UserID: token}
					if token == "token1" {
						who.Expires = time.Now().Add(time.Second)
					}
					return who, nil
				}),
				tank.WithConnectHandler(func(c *tank.Client, _ *http.Request) error {
					if c.UserID() == "token3" {
						return &tank.CloseError{Code: final, Reason: "not you"}
					}
					return nil
				}))
			p := openClient(t, s, s.url, `protocols: async () => ['bearer.token' + (window.calls_ = (window.calls_ ?? 0) + 1), 'tank']`)
			p.wait(noted("open") + ` === 2`)
			if got := eval[string](p, `JSON.stringify(log_.map((note) => note[2]))`); got != `[null,{"code":3000,"reason":"credentials expired","willRetry":true},null]` {
				t.Errorf("the client notes %s", got)
			}
			if len(tkws.GetAllClients()) != 1 || tkws.GetAllClients()[0].UserID() != "token2" {
				t.Errorf("the clients are %v", tkws.GetAllClients())
			}
			p.run(`live_.reconnect()`) // with the third token
			p.wait(noted("close") + ` === 2`)
			if got, want := eval[string](p, `JSON.stringify(log_.at(-1)[2])`), fmt.Sprintf(`{"code":%d,"reason":"not you","willRetry":false}`, final); got != want {
				t.Errorf("it ends with %s, want %s", got, want)
			}
			if got := eval[string](p, `live_.state`); got != "closed" {
				t.Errorf("the client is %s", got)
			}
		})
	}
}

// The complete client of the protocol's page does what the page says of it.
func TestCompleteClient(t *testing.T) {
	t.Parallel()
	for language, page := range map[string]string{"English": "docs/protocol.md", "Chinese": "docs/protocol.zh-CN.md"} {
		file, use := block(t, page, "js", "class Live"), block(t, page, "js", "new Live(")
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			tkws, s := liveClient(t, file,
				tank.WithSubscribeAuthorizer(func(c *tank.Client, topic string) error {
					if topic == "secret" {
						return tank.ErrForbidden
					}
					return nil
				}),
				tank.WithPublishAuthorizer(func(*tank.Client, *tank.Publication) error { return nil }),
				tank.WithMessageHandler(func(c *tank.Client, m tank.Message) {
					c.Send(tank.Message{Data: append([]byte("answer to "), m.Data...)})
				}),
			)
			p := open(t, s, "client", look{})
			logged := func(text string) string { return `window.logged_.includes(` + quote(text) + `)` }
			p.run(`window.logged_ = []; console.log = (...what) => window.logged_.push(what.join(" "));
				const script = document.createElement("script");
				script.type = "module";
				script.textContent = ` + quote(use+`window.live_ = live;`) + `;
				document.head.append(script);`)

			p.wait(logged("from the application: answer to state:news"))
			p.run(`live_.publish("news", "first")`)
			p.wait(logged("news: first"))
			p.run(`live_.subscribe("secret", () => {})`)
			p.wait(logged("refused: forbidden secret"))
			p.run(`live_.unsubscribe("secret")`)

			// It comes back, has its topic again, and asks for the state again.
			p.run(`window.logged_.length = 0`)
			for _, c := range tkws.GetAllClients() {
				c.Close(1001, "")
			}
			p.wait(logged("closed with 1001 and coming back"))
			p.wait(logged("from the application: answer to state:news"))
			p.run(`live_.publish("news", "second")`)
			p.wait(logged("news: second"))

			// It does not come back when the application says so.
			if n := tkws.CloseUser("alice"); n != 1 {
				t.Errorf("alice has %d connections", n)
			}
			p.wait(logged("closed with 1000 for good"))
			if eval[bool](p, `live_.publish("news", "third")`) {
				t.Error("a message was sent without a connection")
			}
		})
	}
}
