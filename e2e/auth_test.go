package e2e

import (
	"testing"
)

func TestAuthLetsInAndOut(t *testing.T) {
	t.Parallel()
	s := start(t, "auth", "127.0.0.1:0")
	p := open(t, s, "auth", look{})
	p.wait(element("state") + `?.textContent === 'not connected'`)
	p.screenshot("auth-login")
	fill := func(p *page, name, password string) {
		p.t.Helper()
		p.run(element("name") + `.value = ` + quote(name) + `; ` + element("password") + `.value = ` + quote(password))
		p.click("submit")
	}
	fill(p, "alice", "wrong")
	p.wait(element("problem") + `.textContent.includes('wrong name or password')`)
	p.forgive("401")
	fill(p, "alice", "wonderland")
	p.wait(element("state") + `.textContent === 'connected'`)
	for _, topic := range []string{"news", "orders:alice", "orders:root", "admin:audit"} {
		p.click("subscribe-" + topic)
	}
	result := func(topic, class string) string {
		return `document.querySelector('[data-testid="result-` + topic + `"]').className === 'result ` + class + `'`
	}
	for topic, want := range map[string]string{"news": "allowed", "orders:alice": "allowed", "orders:root": "refused", "admin:audit": "refused"} {
		p.wait(result(topic, want))
	}
	p.wait(`/expires in \d+ s/.test(` + element("expiry") + `.textContent)`)
	p.screenshot("auth-light")

	// The same user elsewhere, with the cookie, on a phone.
	phone := open(t, s, "auth-phone", look{width: 360, height: 820, dark: true, language: "zh-CN"})
	phone.click("way-cookie")
	fill(phone, "root", "toor")
	phone.wait(element("state") + `.textContent === '已连接'`)
	phone.click("subscribe-admin:audit")
	phone.click("subscribe-orders:alice")
	phone.wait(result("admin:audit", "allowed"))
	phone.wait(result("orders:alice", "refused"))
	phone.noHorizontalScrolling("auth")
	phone.screenshot("auth-phone-dark")

	p.wait(`parseInt(` + element("expiry") + `.textContent.match(/\d+/)[0]) < 59`)
	p.click("renew")
	p.wait(`parseInt(` + element("expiry") + `.textContent.match(/\d+/)[0]) >= 59`)
	p.click("logout")
	p.wait(element("state") + `.textContent === 'closed by the server: 4001 logged out'`)
	p.wait(element("login") + `.hidden === false`)
	phone.wait(element("state") + `.textContent === '已连接'`) // is somebody else
}

func TestAuthEndsWithTheToken(t *testing.T) {
	t.Parallel()
	s := start(t, "auth", "127.0.0.1:0", "-lifetime", "3s")
	p := open(t, s, "auth-expiry", look{})
	p.wait(element("submit") + `?.textContent === 'Log in'`)
	p.click("submit")
	p.wait(element("state") + `.textContent === 'connected'`)
	p.wait(element("state") + `.textContent === 'closed by the server: 4001 token expired'`)
}
