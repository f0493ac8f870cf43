package e2e

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"
)

// What the page of the chat shows of what was said while it was not there.

// talker is somebody in a chat without a page: a plain socket.
type talker struct {
	t     *testing.T
	conn  *websocket.Conn
	heard chan string // closed at the end of the connection
}

func meet(t *testing.T, s *server, name string, topics ...string) *talker {
	t.Helper()
	conn, _ := dial(t, strings.Replace(s.url, "http", "ws", 1)+"ws?user_id="+name, strings.TrimSuffix(s.url, "/"))
	k := &talker{t, conn, make(chan string, 1000)}
	go func() { // also while there is nothing to say: reading answers pings
		defer close(k.heard)
		for {
			_, data, err := conn.Read(t.Context())
			if err != nil {
				return
			}
			k.heard <- string(data)
		}
	}()
	for _, topic := range topics {
		k.send("sub:" + topic)
	}
	return k
}

func (k *talker) send(text string) {
	k.t.Helper()
	if err := k.conn.Write(k.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		k.t.Fatal(err)
	}
}

// say returns when the message is published.
func (k *talker) say(topic, text string) {
	k.t.Helper()
	type draft struct {
		Text string `json:"text"`
	}
	said, _ := json.Marshal(draft{text})
	message, _ := json.Marshal(map[string]string{"topic": topic, "data": string(said)})
	k.send(string(message))
	for heard := range k.heard {
		var frame struct{ Topic, Data string }
		var got draft
		if json.Unmarshal([]byte(heard), &frame) == nil && frame.Topic == topic && json.Unmarshal([]byte(frame.Data), &got) == nil && got.Text == text {
			return
		}
	}
	k.t.Fatal("the connection has ended")
}

// shown is what the open topic shows, line by line; what nobody has said is in brackets.
const shown = `[...document.querySelectorAll('#log > li')].map((e) =>
	e.matches('.note') ? '[' + e.textContent + ']' : e.querySelector('.text').textContent)`

const (
	missed = "[Missed while offline]"
	gap    = "[Some messages may be missing here]"
)

func (p *page) shows(want ...string) {
	p.t.Helper()
	if got := eval[[]string](p, shown); !slices.Equal(got, want) {
		p.fail(fmt.Sprintf("the page shows %q, want %q", got, want))
	}
}

// waitShown waits until the last line is this, and compares all.
func (p *page) waitShown(want ...string) {
	p.t.Helper()
	p.wait(shown + `.at(-1) === ` + quote(want[len(want)-1]))
	p.shows(want...)
}

// waitListeners waits until the server counts so many in a topic.
func (p *page) waitListeners(topic string, n int) {
	p.t.Helper()
	p.wait(fmt.Sprintf(`document.querySelector('[data-testid="topic-row"][data-topic=%q]')?.children[1].textContent === '%d'`, topic, n))
}

func badge(topic string) string {
	return fmt.Sprintf(`document.querySelector('[data-testid="room"][data-topic=%q] [data-testid="unread"]')`, topic)
}

// linked starts a chat, and a link to it for a page.
func linked(t *testing.T) (direct, behind *server, link *cutter) {
	t.Helper()
	direct = start(t, "chat", fixedAddr(t))
	behind, link = direct.behindLink(t)
	return direct, behind, link
}

// cut takes the link away and waits until the page has seen that.
func (c *cutter) cut(p *page) {
	p.t.Helper()
	c.set(true)
	p.wait(element("status") + `.dataset.state !== 'online'`)
}

func (c *cutter) mend(p *page) {
	p.t.Helper()
	c.set(false)
	p.waitState("online")
}

func messages(from, to int) (texts []string) {
	for i := from; i <= to; i++ {
		texts = append(texts, fmt.Sprint("message ", i))
	}
	return texts
}

func TestChatShowsWhatWasMissed(t *testing.T) {
	t.Parallel()
	s, behind, link := linked(t)
	bo := meet(t, s, "Bo", "tea", "coffee")
	ada := openChat(t, behind, "Ada", look{})
	phone := openChat(t, behind, "Kit", look{width: 360, height: 740, dark: true})
	chinese := openChat(t, behind, "小林", look{language: "zh-CN"})
	all := []*page{ada, phone, chinese}
	for _, p := range all {
		for _, topic := range []string{"coffee", "tea"} {
			p.run(element("join-topic") + `.value = ` + quote(topic) + `; ` + element("join") + `.click()`)
		}
		p.waitListeners("tea", 2+slices.Index(all, p))
	}
	bo.say("tea", "Is anybody here?")
	for _, p := range all {
		p.waitShown("Is anybody here?")
	}

	for _, p := range all {
		link.cut(p)
	}
	said := messages(1, 12)
	for _, text := range said {
		bo.say("tea", text)
	}
	for _, text := range said[:3] {
		bo.say("coffee", text)
	}
	ada.screenshot("chat-offline")
	for _, p := range all {
		link.mend(p)
	}
	want := slices.Concat([]string{"Is anybody here?", missed}, said, []string{"Welcome back!"})
	ada.wait(shown + `.at(-1) === 'message 12'`)
	bo.say("tea", "Welcome back!")
	for _, p := range []*page{ada, phone} {
		p.waitShown(want...)
		p.wait(badge("coffee") + `.textContent === '3' && !` + badge("coffee") + `.hidden && document.title.startsWith('(3)')`)
	}
	ada.screenshot("chat-missed-light")
	phone.screenshot("chat-missed-phone-dark")
	chinese.wait(shown + `.at(-1) === 'Welcome back!' && ` + shown + `[1] === '[离线期间错过的消息]'`)
	chinese.screenshot("chat-missed-chinese")

	// When nothing was missed, the page says nothing.
	ada.waitListeners("tea", 4)
	link.cut(ada)
	link.mend(ada)
	ada.waitListeners("tea", 4)
	bo.say("tea", "Still here?")
	ada.waitShown(append(want, "Still here?")...)
	ada.write("join-topic", "coffee")
	ada.waitShown(append([]string{missed}, said[:3]...)...)
	ada.wait(badge("coffee") + `.hidden && !document.title.startsWith('(')`)
}

// TestChatShowsTheLastMessages to who joins, in the order in which they were said, and without counting them as unread.
func TestChatShowsTheLastMessages(t *testing.T) {
	t.Parallel()
	s := start(t, "chat", "127.0.0.1:0")
	bo := meet(t, s, "Bo", "tea", "lobby")
	for _, text := range messages(1, 250) {
		bo.say("tea", text)
	}
	ada := openChat(t, s, "Ada", look{})
	ada.write("join-topic", "tea")
	want := messages(51, 250)
	ada.waitShown(want...)
	if title := eval[string](ada, `document.title`); title != "tank chat" {
		t.Errorf("the title is %s", title)
	}
	ada.screenshot("chat-history")
	times := eval[[]string](ada, `[...document.querySelectorAll('[data-testid="message"] time')].map((e) => e.textContent)`)
	if slices.ContainsFunc(times, func(s string) bool { return len(s) != len("12:34") }) {
		t.Errorf("the times of today are %q", times)
	}
	ada.run(`import('./js/i18n.js').then(({ clock }) => { window.yesterday_ = clock(new Date(Date.now() - 86_400_000)); })`)
	if got := eval[string](ada, `yesterday_`); !regexp.MustCompile(`^[A-Z][a-z]+ \d+, \d\d:\d\d$`).MatchString(got) {
		t.Errorf("a time of yesterday is %q", got)
	}

	// A reload shows the same, and knows what was said from here, in the background as well. Who has the same name is another.
	ada.write("composer", "mine")
	ada.waitShown(append(want, "mine")...)
	ada.write("join-topic", "lobby")
	namesake := meet(t, s, "Ada", "tea")
	namesake.say("tea", "not mine")
	ada.wait(badge("tea") + `.textContent === '1'`)
	do(ada, "reload", chromedp.Reload())
	ada.waitState("online")
	ada.waitListeners("tea", 3)
	ada.wait(badge("tea") + `.hidden`)
	ada.write("join-topic", "tea")
	ada.waitShown(append(messages(53, 250), "mine", "not mine")...)
	if got := eval[[]string](ada, `[...document.querySelectorAll('.line.own .text')].map((e) => e.textContent)`); !slices.Equal(got, []string{"mine"}) {
		t.Errorf("the page takes %q for its own", got)
	}
	bo.say("lobby", "somewhere else")
	ada.wait(badge("lobby") + `.textContent === '1'`)
}

// TestChatSaysWhatItCannotKnow: after a restart of the server, nobody has what was said before.
func TestChatSaysWhatItCannotKnow(t *testing.T) {
	t.Parallel()
	s, behind, link := linked(t)
	addr := strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/")
	ada := openChat(t, behind, "Ada", look{})
	ada.join("tea")
	bo := meet(t, s, "Bo", "tea")
	bo.say("tea", "one")
	ada.waitShown("one")
	ada.write("composer", "two")
	ada.waitMessage("Ada", "two")
	link.lose(toPage)
	ada.write("composer", "Does this arrive?")
	ada.wait(`document.querySelectorAll('[data-testid="message"].sending').length === 1`)

	link.cut(ada)
	s.kill()
	s = start(t, "chat", addr)
	bo = meet(t, s, "Bo", "tea")
	bo.say("tea", "early")
	link.lose(nothing)
	link.mend(ada)
	ada.wait(shown + `.at(-1) === 'early'`)
	bo.say("tea", "late")
	ada.waitShown("one", "two", "Does this arrive?", gap, "early", "late")
	if fate := eval[string](ada, `document.querySelector('[data-testid="message"].failed .fate').textContent`); fate != "Not confirmedTry again" {
		t.Errorf("below the message, the page says %q", fate)
	}
	ada.screenshot("chat-restarted")
	ada.run(`document.querySelector('[data-testid="message"].failed [data-testid="again"]').click()`)
	ada.waitMessage("Ada", "Does this arrive?")
	ada.waitShown("one", "two", gap, "early", "late", "Does this arrive?")
}

// TestChatSaysThatTooMuchWasMissed: more than the server keeps.
func TestChatSaysThatTooMuchWasMissed(t *testing.T) {
	t.Parallel()
	s, behind, link := linked(t)
	ada := openChat(t, behind, "Ada", look{})
	ada.join("tea")
	bo := meet(t, s, "Bo", "tea")
	bo.say("tea", "before")
	ada.waitShown("before")
	link.cut(ada)
	for _, text := range messages(1, 201) {
		bo.say("tea", text)
	}
	link.mend(ada)
	ada.waitShown(append([]string{"before", gap}, messages(2, 201)...)...)
}

// TestChatSaysItOnce, whether it was the message that was lost, or only its answer.
func TestChatSaysItOnce(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]direction{"answer": toPage, "message": toServer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, behind, link := linked(t)
			ada := openChat(t, behind, "Ada", look{})
			bo := openChat(t, s, "Bo", look{})
			ada.join("tea")
			bo.join("tea")
			link.lose(lost)
			ada.write("composer", "hello")
			ada.wait(`document.querySelectorAll('[data-testid="message"].sending').length === 1`)
			if lost == toPage {
				bo.waitShown("hello")
			}
			link.cut(ada)
			ada.wait(`document.querySelector('.fate').textContent.startsWith('Sent when the connection is back')`)
			ada.screenshot("chat-pending-" + name)
			bo.write("composer", "where is Ada?")
			bo.waitMessage("Bo", "where is Ada?")
			link.lose(nothing)
			link.mend(ada)
			ada.waitMessage("Ada", "hello")
			bo.waitMessage("Ada", "hello")
			bo.write("composer", "there she is")
			want := []string{"hello", missed, "where is Ada?", "there she is"}
			heard := []string{"hello", "where is Ada?", "there she is"}
			if lost == toServer {
				want = []string{missed, "where is Ada?", "hello", "there she is"}
				heard = []string{"where is Ada?", "hello", "there she is"}
			}
			ada.waitShown(want...)
			bo.waitShown(heard...)
			if eval[bool](ada, `document.querySelector('.line.own').matches('.sending, .failed')`) {
				t.Error("the message is not confirmed")
			}
		})
	}
}

// TestChatKnowsAMessageByItsPlace, and not by its text, its number alone, or a ref that others can see.
func TestChatKnowsAMessageByItsPlace(t *testing.T) {
	t.Parallel()
	s := start(t, "chat", "127.0.0.1:0")
	ada := openChat(t, s, "Ada", look{})
	ada.run(`import('./js/rooms.js').then(({ Rooms }) => {
		const rooms = new Rooms();
		rooms.add('tea');
		const said = (epoch, seq, text, from = 'Bo', ref = undefined) =>
			rooms.said('tea', { data: { from, text, ref, time: new Date().toISOString() }, seq, position: [epoch, seq] }, 'Ada', false);
		said('e1', 7, 'hi');
		said('e1', 8, 'hi');
		rooms.sending('tea', 'Ada', 'mine', 'r1');
		said('e1', 8, 'again');
		said('e1', 9, 'mine', 'Ada', 'r1');
		said('e2', 8, 'hi');
		said('e2', 9, 'not mine', 'Ada', 'r1');
		window.got_ = rooms.all.get('tea').messages.map((m) => m.text + (m.own ? ' own' : ''));
		window.unread_ = rooms.unread;
	})`)
	if got := eval[[]string](ada, `got_`); !slices.Equal(got, []string{"hi", "hi", "mine own", "hi", "not mine"}) {
		t.Errorf("the room has %q", got)
	}
	if n := eval[int](ada, `unread_`); n != 4 {
		t.Errorf("%d messages are unread", n)
	}
}

// TestTryNowEndsAWait of a page that would wait for minutes.
func TestTryNowEndsAWait(t *testing.T) {
	t.Parallel()
	_, behind, link := linked(t)
	ada := openChat(t, behind, "Ada", look{})
	ada.run(`Math.random = () => 1000`)
	link.cut(ada)
	ada.wait(`/Reconnecting in [45]\d\d s/.test(` + element("status") + `.textContent)`)
	link.set(false)
	began := time.Now()
	ada.run(`document.getElementById('retry').click()`)
	ada.waitState("online")
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it takes %v", took)
	}
}

// TestChatMissesNothingUnderAnotherName: that is another connection, which goes on where the last one was, also in the background.
func TestChatMissesNothingUnderAnotherName(t *testing.T) {
	t.Parallel()
	s := start(t, "chat", "127.0.0.1:0")
	ada := openChat(t, s, "Ada", look{})
	ada.join("coffee")
	ada.join("tea")
	bo := meet(t, s, "Bo", "tea", "coffee")
	said := messages(1, 60)
	for i, text := range said {
		if i%20 == 10 {
			ada.waitState("online")
			ada.run(element("composer") + `.value = ` + quote(fmt.Sprint("own ", i)) + `;
				` + element("composer") + `.dispatchEvent(new Event('input'));
				` + element("send") + `.click();
				` + element("profile") + `.click();
				` + element("name-field") + `.value = ` + quote(fmt.Sprint("Ada ", i)) + `;
				` + element("name-save") + `.click()`)
		}
		bo.say("tea", text)
		bo.say("coffee", text)
	}
	ada.wait(shown + `.includes('message 60') && !document.querySelector('[data-testid="message"].sending')`)
	var others, own []string
	for _, line := range eval[[]string](ada, shown) {
		switch {
		case strings.HasPrefix(line, "own"):
			own = append(own, line)
		case line != missed:
			others = append(others, line)
		}
	}
	slices.Sort(own)
	if want := []string{"own 10", "own 30", "own 50"}; !slices.Equal(others, said) || !slices.Equal(own, want) {
		t.Errorf("the page shows %q and %q", others, own)
	}
	ada.wait(element("profile-name") + `.textContent === 'Ada 50'`)
	ada.wait(badge("coffee") + `.textContent === '60'`)
}
