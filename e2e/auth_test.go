package e2e

import (
	"testing"
	"time"

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

	p.wait(expirySeconds + ` < 59`)
	p.click("renew")
	p.wait(expirySeconds + ` >= 59`)
	p.topicIs("orders:alice", "allowed")
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

	phone.wait(expirySeconds + ` < 59`)
	phone.click("renew")
	phone.wait(expirySeconds + ` >= 59`)
	phone.topicIs("admin:audit", "allowed")
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
	p.run(`window.sockets_ = []; window.WebSocket = class extends WebSocket {
		constructor(...args) { super(...args); sockets_.push(this); }
	}`)
	p.run(`document.querySelector('[value="cookie"]').click()`)
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

// TestAuthOutlastsItsFirstToken: the way out is there as long as the session, and not as long as the first token.
func TestAuthOutlastsItsFirstToken(t *testing.T) {
	t.Parallel()
	s := start(t, "auth", "127.0.0.1:0", "-lifetime", "6s")
	for way, user := range map[string][2]string{"subprotocol": {"alice", "wonderland"}, "cookie": {"root", "toor"}} { // or one would log out the other
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			p := open(t, s, "auth-"+way, look{})
			p.run(`document.querySelector('[value="` + way + `"]').click()`)
			p.logIn(user[0], user[1])
			p.stateIs("connected")
			for began := time.Now(); time.Since(began) < 9*time.Second; {
				p.wait(expirySeconds + ` < 5`)
				p.click("renew")
				p.wait(expirySeconds + ` >= 5`)
			}
			p.stateIs("connected")
			p.click("logout")
			p.stateIs("logged out")
		})
	}
}

// TestAuthComesBack, subscribed again, after a broken connection; and asks who it is when the server does not know any more.
func TestAuthComesBack(t *testing.T) {
	t.Parallel()
	addr := fixedAddr(t)
	s := start(t, "auth", addr)
	p := open(t, s, "auth-back", look{})
	p.run(`window.sockets_ = []; window.WebSocket = class extends WebSocket {
		constructor(...args) { super(...args); sockets_.push(this); }
	}`)
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
	if !eval[bool](p, element("renew")+`.disabled`) {
		t.Error("a page without a connection offers to renew over it")
	}
	p.screenshot("auth-lost")
	start(t, "auth", addr) // with another key
	p.stateIs("the session has ended")
	p.wait(element("login") + `.hidden === false`)
}
