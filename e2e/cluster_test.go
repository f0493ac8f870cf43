package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// pane is one of the two chats on the page of examples/cluster: Ada's or Lin's.
type pane struct {
	*page
	selector string
}

func (p *page) pane(n int) pane { return pane{p, fmt.Sprintf(`[data-testid="pane-%d"]`, n)} }

// in is a JavaScript expression for an element in the pane.
func (p pane) in(id string) string {
	return `document.querySelector(` + quote(p.selector+` [data-testid="`+id+`"]`) + `)`
}

func (p pane) waitState(state string) {
	p.t.Helper()
	p.wait(`document.querySelector(` + quote(p.selector) + `)?.dataset.state === ` + quote(state))
	p.wait(p.in("banner") + `.hidden === ` + fmt.Sprint(state == "live"))
}

// write types, and presses Enter if the text is to be sent.
func (p pane) write(text string, send bool) {
	p.t.Helper()
	do(p.page, "write "+text, chromedp.SendKeys(chromedp.CSS(p.selector+` textarea`), text))
	if send {
		do(p.page, "enter", chromedp.Steps(key(input.DispatchKeyEventTypeKeyDown, "\r"), key(input.DispatchKeyEventTypeKeyUp, "")))
	}
}

// texts is a JavaScript expression for what the pane shows, from top to bottom.
func (p pane) texts() string {
	return `[...document.querySelectorAll(` + quote(p.selector+` [data-testid="message"]`) + `)].map((m) => m.querySelector('.text').textContent)`
}

// waiting is the same for what is marked as not sent yet.
func (p pane) waiting() string {
	return `[...document.querySelectorAll(` + quote(p.selector+` [data-state="late"]`) + `)].filter((m) => m.querySelector('.fate').textContent)` +
		`.map((m) => m.querySelector('.text').textContent)`
}

// notes is what the pane says between messages: "missed" or "gap".
func (p pane) notes() string {
	return `[...document.querySelectorAll(` + quote(p.selector+` [data-testid="note"]`) + `)].map((n) => n.className.replace('note ', ''))`
}

// waitTexts waits until the pane shows these texts, and all as published.
func (p pane) waitTexts(want ...string) {
	p.t.Helper()
	p.wait(p.texts() + `.join('|') === ` + quote(strings.Join(want, "|")))
	p.wait(`!document.querySelector(` + quote(p.selector+` [data-testid="message"]:not([data-state="published"])`) + `)`)
}

// TestClusterOutlivesItsBroker: the broker is killed with signal 9, and the pages of both nodes say so. What is written meanwhile waits in
// its page, is said once when the broker is there again, and comes in one order on both.
func TestClusterOutlivesItsBroker(t *testing.T) {
	t.Parallel()
	s := start(t, "cluster", "127.0.0.1:0")
	p := open(t, s, "cluster", look{})
	phone := open(t, s, "cluster-phone", look{width: 390, height: 844, dark: true, language: "zh-CN"})
	shoot := func(state string) {
		t.Helper()
		for _, q := range []*page{p, phone} {
			q.run(`Promise.allSettled(document.getAnimations().filter((a) => a.effect.getTiming().iterations === 1).map((a) => a.finished))`)
			q.noHorizontalScrolling(q.name + " " + state)
			if hidden := eval[int](q, `[...document.querySelectorAll('.log')].filter((l) => l.scrollHeight - l.scrollTop - l.clientHeight > 1).length`); hidden > 0 {
				t.Errorf("%s %s: the last message is out of sight in %d chats", q.name, state, hidden)
			}
			q.screenshot(q.name + "-" + state)
		}
	}
	ada, lin := p.pane(1), p.pane(2)
	panes := []pane{ada, lin, phone.pane(1), phone.pane(2)}
	all := func(state string) {
		t.Helper()
		for _, q := range panes {
			q.waitState(state)
		}
	}
	all("live")
	shoot("empty")
	ada.write("Shall we meet at eight?", true)
	lin.waitTexts("Shall we meet at eight?")
	lin.write("八点很好。我带茶。", true)
	said := []string{"Shall we meet at eight?", "八点很好。我带茶。"}
	for _, q := range panes {
		q.waitTexts(said...)
	}
	shoot("fine")

	p.click("kill")
	all("interrupted")
	ada.write("Are you still there?", true)
	ada.write("I'll wait here.", true)
	lin.write("我在等。", true)
	lin.write("half a sentence", false)
	ada.wait(ada.waiting() + `.join('|') === "Are you still there?|I'll wait here."`)
	lin.wait(lin.waiting() + `.join('|') === '我在等。'`)
	if got := eval[[]string](p, lin.texts()); len(got) != 3 {
		t.Errorf("without a broker, Lin sees %q", got)
	}
	phone.wait(element("broker") + `.dataset.state === 'dead'`)
	shoot("killed")

	p.click("kill") // which starts it again
	all("live")
	for _, q := range panes {
		q.wait(q.texts() + `.length === 5`)
		q.wait(`!document.querySelector('[data-state="late"]')`)
	}
	order := eval[[]string](p, ada.texts())
	if !slices.Equal(order[:2], said) || slices.Index(order, "Are you still there?") > slices.Index(order, "I'll wait here.") {
		t.Errorf("Ada sees %q", order)
	}
	for _, q := range panes {
		q.waitTexts(order...)
	}
	if got := eval[string](p, `document.querySelector(`+quote(lin.selector+` textarea`)+`).value`); got != "half a sentence" {
		t.Errorf("of half a sentence, %q is left", got)
	}
	shoot("back")

	// One node alone.
	p.click("cut-1")
	ada.waitState("interrupted")
	lin.waitState("live")
	lin.write(" is finished now", true)
	lin.waitTexts(append(slices.Clone(order), "half a sentence is finished now")...)
	if got := eval[[]string](p, ada.texts()); !slices.Equal(got, order) {
		t.Errorf("behind a cable that is unplugged, Ada sees %q", got)
	}
	shoot("unplugged")
	order = append(order, "half a sentence is finished now")

	// A page goes to the other node, which has what it missed. Another page waits until its node is back.
	p.click("move")
	ada.wait(`document.querySelector(` + quote(ada.selector) + `).dataset.node === '2'`)
	ada.waitState("live")
	ada.waitTexts(order...)
	ada.write("Here I am.", true)
	order = append(order, "Here I am.")
	lin.waitTexts(order...)
	shoot("moved")
	p.click("cut-1")
	all("live")
	for _, q := range panes {
		q.waitTexts(order...)
	}
	for i, q := range panes {
		notes := eval[[]string](q.page, q.notes())
		if slices.Contains(notes, "gap") {
			t.Errorf("pane %d says that something may be missing", i)
		}
		if i == 2 && !slices.Contains(notes, "missed") {
			t.Error("the page that has waited does not say what it missed")
		}
	}
	shoot("plugged")

	s.terminate()
	p.wait(`document.body.dataset.desk === 'gone'`)
	ada.waitState("lost")
	shoot("gone")
	if err := s.wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
}
