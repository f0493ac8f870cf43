package e2e

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// crowd is several people in several topics, played by one page with one socket for each of them.
const crowd = `(async () => {
	const say = {};
	const meet = (name, topics) => new Promise((resolve, reject) => {
		const ws = new WebSocket(location.origin.replace('http', 'ws') + '/ws?user_id=' + encodeURIComponent(name));
		ws.onerror = reject;
		ws.onopen = () => { topics.forEach((topic) => ws.send('sub:' + topic)); resolve(); };
		say[name] = (topic, text) => new Promise((heard) => {
			ws.onmessage = (e) => { const f = JSON.parse(e.data); if (f.topic === topic && JSON.parse(f.data).text === text) heard(); };
			ws.send(JSON.stringify({ topic, data: JSON.stringify({ text }) }));
		});
		(window.sockets_ ??= []).push(ws);
	});
	await meet('Mira', ['lobby', 'golang', 'music:live']);
	await meet('小林', ['lobby', '中文闲聊', 'golang']);
	await meet('Jonas', ['lobby', 'golang', 'trail running']);
	await meet('阿雅', ['lobby', '中文闲聊', 'music:live']);
	await meet('Noor', ['lobby', 'music:live']);
	window.say_ = say;
	return true;
})()`

func TestLooks(t *testing.T) {
	s := start(t, "chat", "127.0.0.1:0")
	light := openChat(t, s, "Ada", look{})
	for _, topic := range []string{"golang", "music:live", "中文闲聊", "lobby"} {
		light.join(topic)
	}
	dark := openChat(t, s, "Theo", look{dark: true})
	tablet := openChat(t, s, "Noa", look{width: 900, height: 700})
	phone := openChat(t, s, "Sol", look{width: 360, height: 740})
	phoneTopics := openChat(t, s, "Kit", look{width: 360, height: 740, dark: true})
	chinese := openChat(t, s, "小雨", look{language: "zh-CN"})
	for _, topic := range []string{"golang", "中文闲聊", "lobby"} {
		dark.join(topic)
	}
	for _, topic := range []string{"中文闲聊", "大厅"} { // which is what the lobby is called there
		chinese.join(topic)
	}
	people := open(t, s, "crowd", look{})
	people.run(crowd)

	people.run(`(async () => {
		await say_.Mira('lobby', 'Morning! Who is around today?');
		await say_.Jonas('lobby', 'Me. Coffee first, though.');
		await say_['小林']('lobby', '早上好！大家今天都在忙什么？');
		await say_.Noor('lobby', 'Rehearsing for tonight — the set list is in music:live.');
		await say_.Noor('lobby', 'Come by if you like, it starts at eight.');
		await say_['阿雅']('lobby', '早！今天的会议改到下午三点了。');
		await say_['小林']('lobby', '收到，那我上午先把文档写完。');
	})()`)
	light.write("composer", "I'll be there. Same place as last time?")
	light.waitMessage("Ada", "I'll be there. Same place as last time?")
	chinese.write("composer", "好的，下午见！")
	chinese.waitMessage("小雨", "好的，下午见！")
	people.run(`(async () => {
		await say_.Noor('lobby', 'Same place. Bring friends.');
		await say_.Mira('golang', 'Range over func is growing on me.');
		await say_['小林']('golang', '+1');
		await say_['阿雅']('中文闲聊', '周末去爬山吗？');
		await say_.Jonas('lobby', 'Count me in!\nI can pick two people up at the station, if anybody needs a lift.');
	})()`)

	phone.write("composer", "What a morning.")
	phone.waitMessage("Sol", "What a morning.")
	// Chatter from here on, so that topics have rates.
	people.run(`{
		let n = 0;
		setInterval(() => {
			say_.Mira('music:live', 'la '.repeat(1 + n % 5));
			if (n % 2) say_['阿雅']('中文闲聊', '哈'.repeat(1 + n % 4));
			if (n % 3 === 0) say_.Jonas('golang', 'if err != nil');
			n++;
		}, 150);
	}`)
	for _, p := range []*page{light, dark, chinese, phone} {
		p.wait(`['golang', 'music:live', '中文闲聊'].every((topic) =>
			parseFloat(document.querySelector('[data-testid="topic-row"][data-topic="' + topic + '"] .rate').textContent) > 0)`)
	}

	light.screenshot("chat-desktop-light")
	tablet.screenshot("chat-tablet")
	dark.screenshot("chat-desktop-dark")
	phone.screenshot("chat-phone")
	chinese.screenshot("chat-chinese")
	phone.click("tab-live")
	phone.screenshot("chat-phone-live")
	phoneTopics.click("tab-topics")
	phoneTopics.screenshot("chat-phone-topics-dark")
	for _, p := range []*page{light, dark, tablet, phone, phoneTopics, chinese} {
		if c := p.complaintsNow(); len(c) > 0 {
			t.Errorf("console of %s: %q", p.name, c)
		}
	}
}

func (p *page) noHorizontalScrolling(where string) {
	p.t.Helper()
	// Text may be longer than its box where the box ends it with an ellipsis.
	if wide := eval[[]string](p, `[...document.querySelectorAll('body, body *')].filter((e) => {
		const r = e.getBoundingClientRect();
		if (r.width === 0 || r.right <= innerWidth + 1 && r.left >= -1 || e.closest('svg')) return false;
		for (; e; e = e.parentElement) if (getComputedStyle(e).textOverflow === 'ellipsis') return false;
		return true;
	}).map((e) => e.outerHTML.slice(0, 120))`); len(wide) > 0 {
		p.t.Errorf("%s: wider than the screen: %q", where, wide)
	}
	if scrolls := eval[[]string](p, `[...document.querySelectorAll('*')].filter((e) =>
		e.scrollWidth > e.clientWidth && (e === document.documentElement || getComputedStyle(e).overflowX.match(/auto|scroll/)))
		.map((e) => e.outerHTML.slice(0, 120))`); len(scrolls) > 0 {
		p.t.Errorf("%s: scrolls sideways: %q", where, scrolls)
	}
}

func TestPhoneNeedsNoSidewaysScrolling(t *testing.T) {
	t.Parallel()
	s := start(t, "chat", "127.0.0.1:0")
	name := "A_long_name_without_any_spaces_at_all"
	p := openChat(t, s, name, look{width: 360, height: 640})
	topic := "a-topic-with-a-name-so-long-that-it-does-not-fit-on-any-phone-in-the-world"
	p.click("tab-topics")
	p.noHorizontalScrolling("topics")
	p.write("join-topic", topic)
	p.wait(element("room-title") + `.textContent === ` + quote(topic))
	p.write("composer", "https://example.com/"+topic+topic+topic)
	p.waitMessage(name, "https://example.com/"+topic+topic+topic)
	p.noHorizontalScrolling("chat")
	p.click("tab-live")
	p.wait(`document.querySelector('[data-testid="topic-row"]')`)
	p.noHorizontalScrolling("live")
	s.terminate()
	p.wait(`!` + element("banner") + `.hidden`)
	p.noHorizontalScrolling("shutdown")
}

func TestLanguageToggle(t *testing.T) {
	t.Parallel()
	s := start(t, "chat", "127.0.0.1:0")
	p := openChat(t, s, "Ada", look{language: "zh-CN"})
	p.wait(element("status") + `.textContent.trim() === '在线' && document.documentElement.lang === 'zh-CN'`)
	p.wait(element("composer") + `.placeholder === '写一条消息'`)
	p.click("language")
	p.wait(element("status") + `.textContent.trim() === 'Online' && document.documentElement.lang === 'en'`)
	p.wait(element("composer") + `.placeholder === 'Write a message'`)
	do(p, "reload", chromedp.Reload())
	p.wait(element("status") + `?.textContent.trim() === 'Online'`)
}

func TestThemeToggle(t *testing.T) {
	t.Parallel()
	s := start(t, "chat", "127.0.0.1:0")
	p := openChat(t, s, "Ada", look{dark: true})
	background := `getComputedStyle(document.body).backgroundColor`
	dark := eval[string](p, background)
	p.wait(`document.documentElement.dataset.theme === 'dark'`)
	p.click("theme")
	p.wait(`document.documentElement.dataset.theme === 'light' && ` + background + ` !== ` + quote(dark))
	do(p, "reload", chromedp.Reload())
	p.waitState("online")
	p.wait(`document.documentElement.dataset.theme === 'light'`)
}

func TestNameIsKept(t *testing.T) {
	t.Parallel()
	s := start(t, "chat", "127.0.0.1:0")
	p := open(t, s, "newcomer", look{})
	p.waitState("online")
	p.wait(element("profile-name") + `.textContent !== ''`) // a friendly one, made up
	p.click("profile")
	p.wait(element("name-dialog") + `.open`)
	p.write("name-field", "王小明")
	p.wait(element("profile-name") + `.textContent === '王小明' && !` + element("name-dialog") + `.open`)
	p.waitState("online")
	p.write("composer", "that is me")
	p.waitMessage("王小明", "that is me")
	do(p, "reload", chromedp.Reload())
	p.wait(element("profile-name") + `?.textContent === '王小明'`)
}
