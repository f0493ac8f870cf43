package e2e

import (
	"fmt"
	"testing"
	"time"
)

var titles = map[string][2]string{ // in English and Chinese
	"single":  {"tank: the time", "tank：时间"},
	"multi":   {"tank: two instances", "tank：两个实例"},
	"echo":    {"tank: echo", "tank：回显"},
	"auth":    {"tank: auth", "tank：认证"},
	"orders":  {"tank: orders", "tank：订单"},
	"ticker":  {"tank ticker", "tank 行情"},
	"chat":    {"tank chat", "tank 聊天室"},
	"cluster": {"tank cluster", "tank 集群"},
}

// TestPagesSpeakTwoLanguages: title, language and texts change together, and the button that changes them keeps its height when
// the server is away.
func TestPagesSpeakTwoLanguages(t *testing.T) {
	t.Parallel()
	for program, title := range titles {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			s := start(t, program, "127.0.0.1:0")
			p := open(t, s, program, look{language: "zh-CN", width: 390, height: 780})
			is := func(i int) string {
				return fmt.Sprintf(`document.title === %s && document.documentElement.lang === %s && document.body.innerText.match(/[一-鿿]{2}/)`,
					quote(title[i]), quote([]string{"en", "zh-CN"}[i]))
			}
			p.wait(is(1))
			p.click("language")
			p.wait(is(0)) // and the Chinese that is there still is the name of the other language
			if program != "chat" && eval[bool](p, `/[一-鿿]/.test(document.body.innerText.replaceAll('中文', ''))`) {
				t.Errorf("the English page says %s", eval[string](p, `document.body.innerText`))
			}
			if program == "auth" { // which has the most to say there when it is connected
				p.logIn("alice", "wonderland")
				p.stateIs("connected")
				p.click("logout")
				p.stateIs("logged out")
			}
			s.kill()
			p.run(`new Promise((resolve) => setTimeout(resolve, 500))`)
			p.noHorizontalScrolling(program + " without its server")
			if height := eval[float64](p, element("language")+`.getBoundingClientRect().height`); height > 40 {
				t.Errorf("the button that changes the language is %.0f px high", height)
			}
			p.click("language")
			p.wait(is(1))
		})
	}
}

// TestChatHasOneRoomInAllLanguages: what a room is called is a matter of the page, and everybody is in the same.
func TestChatHasOneRoomInAllLanguages(t *testing.T) {
	t.Parallel()
	s := start(t, "chat", "127.0.0.1:0")
	ada, lin := openChat(t, s, "Ada", look{}), openChat(t, s, "小林", look{language: "zh-CN"})
	ada.wait(element("room-title") + `.textContent === 'lobby'`)
	lin.wait(element("room-title") + `.textContent === '大厅'`)
	ada.write("composer", "Hello")
	lin.waitMessage("Ada", "Hello")
	lin.write("composer", "你好")
	ada.waitMessage("小林", "你好")
	ada.write("join-topic", "音乐:现场") // who writes its Chinese name means the same
	ada.wait(element("room-title") + `.textContent === 'music:live' && decodeURIComponent(location.hash) === '#music:live'`)
	lin.click("language")
	lin.wait(element("room-title") + `.textContent === 'lobby'`)
}

// TestTickerColoursFollowTheLanguage: prices that rise are red in Chinese, and green in English.
func TestTickerColoursFollowTheLanguage(t *testing.T) {
	t.Parallel()
	s := start(t, "ticker", "127.0.0.1:0")
	p := open(t, s, "ticker", look{language: "zh-CN"})
	p.wait(cardsOfTicker + `.some((card) => card.points.length > 2)`)
	const redder = `(() => {
		const redness = (id) => { const [r, g] = getComputedStyle(document.getElementById(id)).color.match(/\d+/g); return r - g; };
		return redness('up') > redness('down');
	})()`
	p.wait(redder)
	p.click("language")
	p.wait(`!` + redder)
}

// TestInspectorCutsNothing: neither addresses on a small desktop, nor labels on a phone.
func TestInspectorCutsNothing(t *testing.T) {
	t.Parallel()
	x := inspect(t, 10)
	for _, language := range []string{"en-US", "zh-CN"} {
		for _, width := range []int64{1280, 390} {
			p := open(t, x.server, "inspector", look{width: width, height: 800, language: language, path: "#/clients"})
			p.wait(`document.querySelectorAll('[data-testid="row"]').length >= 6`)
			for _, address := range []string{"203.0.113.255:65535", "[2001:db8:1111:2222:3333:4444:5555:6666]:65535"} {
				cut := eval[[]string](p, `(() => {
					for (const cell of document.querySelectorAll('td.wide bdi')) cell.textContent = `+quote(address)+`;
					return [...document.querySelectorAll('td:not(:first-child), th button')].filter((e) => {
						const before = getComputedStyle(e, '::before');
						return e.scrollWidth > e.clientWidth || before.content !== 'none' && before.overflow === 'hidden';
					}).map((e) => e.textContent);
				})()`)
				if len(cut) > 0 {
					t.Errorf("with %d px in %s, these may be cut: %q", width, language, cut)
				}
			}
			p.noHorizontalScrolling("clients")
		}
	}
}

// TestInspectorChartsHaveGaps where nobody looked.
func TestInspectorChartsHaveGaps(t *testing.T) {
	t.Parallel()
	x := inspect(t, 10)
	const path = `document.querySelector('.curve')?.getAttribute('d')?`
	first := open(t, x.server, "first", look{})
	first.wait(path + `.split('L').length > 2`)
	if n := eval[int](first, path+`.split('M').length - 1`); n != 1 {
		t.Errorf("there are %d lines", n)
	}
	first.run(`location.href = 'about:blank'`)
	<-time.After(7 * time.Second) // in which nobody looks
	second := open(t, x.server, "second", look{})
	second.wait(path + `.split('M').length - 1 === 2`)
}
