package e2e

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

// logIn fills in the form of the auth page.
func (p *page) logIn(name, password string) {
	p.t.Helper()
	p.wait(element("login") + `?.hidden === false`)
	p.run(element("name") + `.value = ` + quote(name) + `; ` + element("password") + `.value = ` + quote(password))
	p.click("submit")
}

// topicIs waits for what the auth page says about a topic: idle, asked, allowed or refused.
func (p *page) topicIs(topic, class string) {
	p.t.Helper()
	p.wait(element("result-"+topic) + `.className === 'result ` + class + `'`)
}

// watchSockets has the page keep the sockets that it makes from now on, and what it sends over each.
func (p *page) watchSockets() {
	p.t.Helper()
	p.run(`window.sockets_ = []; window.WebSocket = class extends WebSocket {
		constructor(...args) {
			super(...args);
			sockets_.push(Object.assign(this, { sent_: [], got_: [] }));
			this.addEventListener('message', ({ data }) => this.got_.push(data));
			this.addEventListener('close', ({ code }) => { this.code_ = code; });
		}
		send(data) {
			this.sent_.push(data);
			super.send(data);
		}
	}`)
}

func (p *page) stateIs(text string) {
	p.t.Helper()
	p.wait(element("state") + `?.textContent === ` + quote(text))
}

const expirySeconds = `parseInt(document.querySelector('[data-testid="expiry"]').textContent.match(/\d+/)[0])`

func TestAuthLetsInAndOut(t *testing.T) {
	t.Parallel()
	s := start(t, "auth", "127.0.0.1:0")
	p := open(t, s, "auth", look{})
	p.stateIs("not connected")
	p.wait(element("login") + `.hidden === false`)
	p.screenshot("auth-login")
	p.logIn("alice", "wrong")
	p.wait(element("problem") + `.textContent.includes('wrong name or password')`)
	p.forgive("401")
	p.logIn("alice", "wonderland")
	p.stateIs("connected")
	allowed := map[string]string{"news": "allowed", "orders:alice": "allowed", "orders:root": "refused", "admin:audit": "refused"}
	for topic := range allowed {
		p.click("subscribe-" + topic)
	}
	for topic, want := range allowed {
		p.topicIs(topic, want)
	}
	p.screenshot("auth-light")
	p.click("subscribe-news") // no more
	p.topicIs("news", "idle")

	p.click("logout")
	p.stateIs("logged out")
	p.wait(element("login") + `.hidden === false`)
	p.screenshot("auth-logged-out")
}

// TestAuthByCookie: what a browser keeps where no script can read it is there after a reload, and in other windows.
func TestAuthByCookie(t *testing.T) {
	t.Parallel()
	s := start(t, "auth", "127.0.0.1:0")
	phone := open(t, s, "auth-phone", look{width: 360, height: 820, dark: true, language: "zh-CN"})
	phone.wait(element("login") + `?.hidden === false`)
	phone.click("way-cookie")
	phone.noHorizontalScrolling("auth")
	phone.screenshot("auth-phone-login")
	phone.logIn("root", "toor")
	phone.stateIs("已连接")
	if cookie := eval[string](phone, `document.cookie`); cookie != "" {
		t.Errorf("a script reads the cookie %q", cookie)
	}
	do(phone, "reload", chromedp.Reload())
	phone.stateIs("已连接")
	phone.click("subscribe-admin:audit")
	phone.click("subscribe-orders:alice")
	phone.topicIs("admin:audit", "allowed")
	phone.topicIs("orders:alice", "refused")
	phone.noHorizontalScrolling("auth")
	phone.screenshot("auth-phone-dark")

	phone.click("logout")
	phone.stateIs("已退出登录")
	do(phone, "reload", chromedp.Reload())
	phone.stateIs("未连接")
	phone.wait(element("login") + `.hidden === false`)
}

func TestAuthEndsWithTheToken(t *testing.T) {
	t.Parallel()
	s := start(t, "auth", "127.0.0.1:0", "-lifetime", "5s")
	p := open(t, s, "auth-expiry", look{dark: true})
	p.run(element("automatic") + `.click()`) // no more
	p.logIn("alice", "wonderland")
	p.stateIs("connected")
	p.click("subscribe-news")
	p.click("subscribe-admin:audit")
	p.topicIs("news", "allowed")
	p.topicIs("admin:audit", "refused")
	p.screenshot("auth-dark")
	p.stateIs("the token has expired: log in again")
}

// TestAuthComesBackWithANewerToken: the connection ends with its token, and the page has another one meanwhile, of a login in another
// window.
func TestAuthComesBackWithANewerToken(t *testing.T) {
	t.Parallel()
	s := start(t, "auth", "127.0.0.1:0", "-lifetime", "6s")
	p := open(t, s, "auth-newer", look{})
	p.watchSockets()
	p.run(element("automatic") + `.click(); document.querySelector('[value="cookie"]').click()`)
	p.logIn("root", "toor")
	p.stateIs("connected")
	p.click("subscribe-admin:audit")
	p.topicIs("admin:audit", "allowed")
	p.wait(expirySeconds + ` < 5`)
	p.run(`fetch('login', { method: 'POST', body: new URLSearchParams({ name: 'root', password: 'toor', way: 'cookie' }) })`)
	p.wait(`sockets_.length === 2`)
	p.stateIs("connected")
	p.topicIs("admin:audit", "allowed")
	p.click("logout")
	p.stateIs("logged out")
}

// TestAuthOutlastsItsFirstToken: a page that renews its token in time keeps its socket, and the way out is there as long as the session.
func TestAuthOutlastsItsFirstToken(t *testing.T) {
	t.Parallel()
	const lifetime, lasts = 6, 20 // seconds
	s := start(t, "auth", "127.0.0.1:0", "-lifetime", fmt.Sprint(lifetime, "s"))
	for way, as := range map[string]struct{ user, password, topic string }{ // or one would log out the other
		"subprotocol": {"alice", "wonderland", "orders:alice"},
		"cookie":      {"root", "toor", "admin:audit"},
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			p := open(t, s, "auth-"+way, look{})
			p.watchSockets()
			p.run(`document.querySelector('[value="` + way + `"]').click()`)
			p.logIn(as.user, as.password)
			p.stateIs("connected")
			p.click("subscribe-" + as.topic)
			p.topicIs(as.topic, "allowed")
			latest := eval[string](p, element("result-"+as.topic)+`.textContent`)
			p.run(`window.began_ = performance.now()`)
			p.wait(fmt.Sprintf(`performance.now() - began_ > %d`, lasts*1000))
			p.stateIs("connected")
			p.topicIs(as.topic, "allowed")
			p.wait(element("result-"+as.topic) + `.textContent !== ` + quote(latest)) // messages still come
			if n := eval[int](p, `sockets_.length`); n != 1 {
				t.Errorf("a page that renews its token has had %d sockets", n)
			}
			told := eval[int](p, `sockets_[0].got_.filter((text) => text.startsWith('{"expires":')).length`)
			if told < lasts/lifetime {
				t.Errorf("it was told %d times that its token expires", told)
			}
			ids := eval[[]int](p, `sockets_[0].sent_.map(JSON.parse).filter(({ auth }) => auth).map(({ id }) => id)`)
			if want := map[string]int{"subprotocol": told}[way]; len(ids) < want-1 || len(ids) > want { // the last may be on its way
				t.Errorf("it was told %d times, and has sent %d tokens", told, len(ids))
			}
			for _, id := range ids {
				p.wait(fmt.Sprintf(`sockets_[0].got_.includes('{"id":%d,"ok":{}}')`, id))
			}
			p.screenshot("auth-renewed-" + way)
			p.click("logout")
			p.stateIs("logged out")
		})
	}
}

// TestAuthEndsWhenTheRenewalIsRefused: the connection goes on until the token expires that it has, and then there is no other one.
func TestAuthEndsWhenTheRenewalIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, "auth", "127.0.0.1:0", "-lifetime", "12s")
	for name, refusal := range map[string]struct{ instead, says string }{
		"by-the-server": {`Response.json({ user: 'alice', role: 'customer', expires_in: 12, lifetime: 12, token: 'nonsense' })`, "not renewed: forbidden"},
		"by-the-login":  {`new Response('not logged in', { status: 401 })`, "The server answers with 401."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t, s, "auth-refused", look{})
			p.watchSockets()
			p.run(`window.fetch_ = fetch; window.fetch = async (path, options) => (path === 'renew' ? ` + refusal.instead + ` : fetch_(path, options))`)
			p.logIn("alice", "wonderland")
			p.stateIs("connected")
			p.click("subscribe-news")
			p.wait(element("trouble") + `.textContent === ` + quote(refusal.says))
			p.stateIs("connected")
			p.topicIs("news", "allowed")
			if left := eval[int](p, expirySeconds); left > 6 {
				t.Errorf("the page says that the token expires in %d s", left)
			}
			p.screenshot("auth-refused-" + name)
			p.stateIs("the token has expired: log in again")
			if codes := eval[string](p, `JSON.stringify(sockets_.map(({ code_ }) => code_))`); codes != "[3000]" {
				t.Errorf("the sockets end with %s", codes)
			}
		})
	}
}

// TestAuthComesBack, subscribed again, after a broken connection; and asks who it is when the server does not know any more.
func TestAuthComesBack(t *testing.T) {
	t.Parallel()
	addr := fixedAddr(t)
	s := start(t, "auth", addr)
	p := open(t, s, "auth-back", look{})
	p.watchSockets()
	p.logIn("alice", "wonderland")
	p.stateIs("connected")
	p.click("subscribe-news")
	p.topicIs("news", "allowed")
	p.run(`sockets_[0].close()`)
	p.wait(`sockets_.length === 2`)
	p.stateIs("connected")
	p.topicIs("news", "allowed")

	s.kill()
	p.stateIs("connection lost, trying again …")
	p.topicIs("news", "asked") // and not what it was
	p.screenshot("auth-lost")
	start(t, "auth", addr) // with another key
	p.stateIs("the session has ended")
	p.wait(element("login") + `.hidden === false`)
}
