package e2e

import (
	"net/url"
	"testing"
)

func TestInspectShowsAChatFromInside(t *testing.T) {
	t.Parallel()
	s := start(t, "inspect", "127.0.0.1:0", "-password", "secret", "-crowd", "120")
	chat := openChat(t, s, "Ada", look{})
	chat.join("lobby")
	chat.write("composer", "Who is behind all this?")
	chat.waitMessage("Ada", "Who is behind all this?")

	u, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("operator", "secret")
	p := open(t, &server{t: t, url: u.String()}, "inspector", look{path: "inspector/"})
	p.wait(`(` + element("figure-clients") + `?.textContent | 0) === 121`)
	chinese := open(t, &server{t: t, url: u.String()}, "inspector", look{path: "inspector/", language: "zh-CN"})
	for _, p := range []*page{p, chinese} { // which are the pictures of the READMEs
		p.wait(`document.querySelector('.curve').getAttribute('d').split('L').length > 20`)
	}
	p.screenshot("inspect-light")
	chinese.screenshot("inspect-chinese")
	p.write("filter", "lobby")
	p.wait(`document.querySelectorAll('[data-testid="row"]').length === 1`)
	p.run(`document.querySelector('[data-testid="row"] a').click()`)
	p.wait(`document.body.textContent.includes('Ada')`)
}
