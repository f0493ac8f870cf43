package e2e

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

// openChat opens the chat page under a name and waits until it is online.
func openChat(t *testing.T, s *server, name string, l look) *page {
	t.Helper()
	l.path += "?name=" + name
	p := open(t, s, name, l)
	p.waitState("online")
	return p
}

func (p *page) waitState(state string) {
	p.t.Helper()
	p.wait(element("status") + `?.dataset.state === ` + quote(state))
}

// join goes to a topic, and waits until the server counts the page in.
func (p *page) join(topic string) {
	p.t.Helper()
	p.write("join-topic", topic)
	p.wait(element("room-title") + `.textContent === ` + quote(topic))
	p.wait(`[...document.querySelectorAll('[data-testid="event"]')].some(e =>
		e.dataset.event === 'subscribe' && e.textContent.includes(` + quote(p.name) + `) && e.textContent.includes(` + quote(topic) + `))`)
	// Where there is room, the message box gets the focus a moment after a topic is opened: whoever types before that types there.
	p.wait(`!matchMedia('(min-width: 760px)').matches || document.activeElement === ` + element("composer"))
}

// waitMessage waits until the open topic shows what somebody said.
func (p *page) waitMessage(from, text string) {
	p.t.Helper()
	p.wait(messageCount(from, text) + ` === 1`)
}

func messageCount(from, text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('[data-testid="message"]:not(.sending)')].filter(m =>
		m.dataset.from === %s && m.querySelector('.text').textContent === %s).length`, quote(from), quote(text))
}

func TestTwoPagesChat(t *testing.T) {
	t.Parallel()
	s := start(t, "chat", "127.0.0.1:0")
	ada := openChat(t, s, "Ada", look{})
	lin := openChat(t, s, "小林", look{})
	ada.join("重庆:火锅")
	lin.join("重庆:火锅")

	ada.write("composer", "hello <b>there</b>")
	lin.waitMessage("Ada", "hello <b>there</b>")
	ada.waitMessage("Ada", "hello <b>there</b>")
	lin.write("composer", "你好！")
	ada.waitMessage("小林", "你好！")
	lin.waitMessage("小林", "你好！")

	if !eval[bool](ada, `document.querySelector('[data-testid="message"][data-from="Ada"]').classList.contains('own')`) {
		t.Error("Ada's page does not know its own message")
	}
	ada.wait(`[...document.querySelectorAll('[data-testid="topic-row"]')].some(r =>
		r.dataset.topic === '重庆:火锅' && r.children[1].textContent === '2')`)
	for _, p := range []*page{ada, lin} {
		if c := p.complaintsNow(); len(c) > 0 {
			t.Errorf("console of %s: %q", p.name, c)
		}
	}
}

func TestUnreadCountsWhileElsewhere(t *testing.T) {
	t.Parallel()
	s := start(t, "chat", "127.0.0.1:0")
	ada := openChat(t, s, "Ada", look{})
	bo := openChat(t, s, "Bo", look{})
	ada.join("tea")
	bo.join("tea")
	ada.join("coffee")

	bo.write("composer", "one")
	bo.waitMessage("Bo", "one")
	bo.write("composer", "two")
	badge := badge("tea")
	ada.wait(badge + `.textContent === '2' && !` + badge + `.hidden`)
	ada.wait(`document.title.startsWith('(2)')`)
	ada.write("join-topic", "tea")
	ada.waitMessage("Bo", "two")
	ada.wait(badge + `.hidden`)
}

func TestUnsubscribeStopsDelivery(t *testing.T) {
	t.Parallel()
	s := start(t, "chat", "127.0.0.1:0")
	ada := openChat(t, s, "Ada", look{})
	bo := openChat(t, s, "Bo", look{})
	for _, p := range []*page{ada, bo} {
		p.join("tea")
		p.join("coffee")
	}
	// What the page is sent, beneath all that it shows.
	ada.run(`window.frames_ = []; {
		const parse = JSON.parse;
		JSON.parse = (text) => { window.frames_.push(text); return parse(text); };
	}`)
	ada.write("join-topic", "tea")
	ada.wait(element("room-title") + `.textContent === 'tea'`)
	ada.click("leave")
	bo.wait(`[...document.querySelectorAll('[data-testid="event"][data-event="unsubscribe"]')].some(e =>
		e.textContent.includes('Ada') && e.textContent.includes('tea'))`)

	bo.write("join-topic", "tea")
	bo.write("composer", "nobody there?")
	bo.waitMessage("Bo", "nobody there?")
	bo.write("join-topic", "coffee")
	bo.write("composer", "marker")
	ada.wait(`window.frames_.some(f => f.includes('marker'))`)
	if eval[bool](ada, `window.frames_.some(f => f.includes('nobody there?'))`) {
		t.Error("a message was delivered after the page had unsubscribed")
	}
}

func TestRefusalIsShown(t *testing.T) {
	t.Parallel()
	s := start(t, "chat", "127.0.0.1:0")
	ada := openChat(t, s, "Ada", look{})
	ada.write("join-topic", "chat:secret")
	ada.wait(`document.querySelector('[data-testid="toast"]')?.textContent.includes('does not let you join')`)
	ada.wait(`!document.querySelector('[data-testid="room"][data-topic="chat:secret"]')`)
}

// TestRefusedMessageIsShown as one that can be sent again; the page stays in the topic.
func TestRefusedMessageIsShown(t *testing.T) {
	t.Parallel()
	s := start(t, "chat", "127.0.0.1:0")
	ada := openChat(t, s, "Ada", look{})
	ada.join("tea")
	ada.run(`{ // a page that does not know the limit
		const send = WebSocket.prototype.send;
		WebSocket.prototype.send = function (text) {
			const command = JSON.parse(text);
			if (command.pub) {
				WebSocket.prototype.send = send;
				command.data.text = 'x'.repeat(1001);
			}
			send.call(this, JSON.stringify(command));
		};
	}`)
	ada.write("composer", "hello")
	ada.wait(`[...document.querySelectorAll('[data-testid="toast"]')].map((e) => e.textContent).join().includes('too long for one message')`)
	ada.wait(`document.querySelector('[data-testid="message"].failed')?.querySelector('.text').textContent === 'hello'`)
	if fate := eval[string](ada, `document.querySelector('[data-testid="message"].failed .fate').textContent`); fate != "Not sentTry again" {
		t.Errorf("below the message, the page says %q", fate)
	}
	ada.run(`document.querySelector('[data-testid="message"].failed [data-testid="again"]').click()`)
	ada.waitMessage("Ada", "hello")
	if n := eval[int](ada, `document.querySelectorAll('[data-testid="toast"]').length`); n > 1 {
		t.Errorf("%d refusals are shown", n)
	}
}

// TestChatShowsWhoIsThere: in the room, by name. Who loads the page again does not go, and who leaves has gone at once.
func TestChatShowsWhoIsThere(t *testing.T) {
	t.Parallel()
	s := start(t, "chat", "127.0.0.1:0")
	ada := openChat(t, s, "Ada", look{})
	bo := openChat(t, s, "小林", look{language: "zh-CN"})
	shows := func(p *page, want string) {
		t.Helper()
		p.wait(element("room-people") + `.textContent === ` + quote(want))
	}
	ada.join("tea")
	shows(ada, "1 here: Ada")
	bo.join("tea")
	shows(ada, "2 here: Ada, 小林")
	shows(bo, "2 人在此：Ada、小林")
	ada.screenshot("chat-present")

	ada.run(`window.shown_ = []; new MutationObserver(() => shown_.push(` + element("room-people") + `.textContent))
		.observe(` + element("room-people") + `, { childList: true, characterData: true, subtree: true })`)
	do(bo, "reload", chromedp.Reload())
	shows(bo, "2 人在此：Ada、小林")
	bo.write("composer", "还在")
	ada.waitMessage("小林", "还在")
	if shown := eval[[]string](ada, `shown_`); len(shown) > 0 {
		t.Errorf("a page that was loaded again made Ada's say %q", shown)
	}
	bo.click("leave")
	shows(ada, "1 here: Ada")
}
