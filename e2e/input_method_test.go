package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// An input method, as for Chinese, shows what is being typed in the field, and commits something else in the end. Until then
// the text is not one, and Enter and Escape are the input method's.

// compose types slowly into an element with an input method, presses Enter and Escape halfway, and does something more there.
// quiet is a condition that holds from the beginning until something is committed.
func (p *page) compose(id, quiet string, halfway func()) {
	p.t.Helper()
	p.run(element(id) + `.focus(); ` + element(id) + `.select()`)
	holds := func(when string) {
		p.t.Helper()
		if !eval[bool](p, quiet) {
			p.fail(when + ", this does not hold: " + quiet)
		}
	}
	holds("before")
	const typed = "dating"
	for i := range typed {
		do(p, "compose", command(input.ImeSetComposition, input.ImeSetCompositionParams{
			Text: typed[:i+1], SelectionStart: int64(i + 1), SelectionEnd: int64(i + 1)}))
		p.run(`new Promise((resolve) => setTimeout(resolve, 300))`) // longer than the inspector's filter waits
		if i == len(typed)/2 {
			do(p, "enter", chromedp.Steps(key(input.DispatchKeyEventTypeKeyDown, "\r"), key(input.DispatchKeyEventTypeKeyUp, "")))
			for _, half := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown, input.DispatchKeyEventTypeKeyUp} {
				do(p, "escape", command(input.DispatchKeyEvent, input.DispatchKeyEventParams{
					Type: half, Key: "Escape", Code: "Escape", WindowsVirtualKeyCode: 27, NativeVirtualKeyCode: 27}))
			}
			holds("after Enter and Escape")
			if halfway != nil {
				halfway()
			}
		}
	}
	if got := eval[string](p, element(id)+`.value`); got != typed {
		p.t.Errorf("%s: while %q is being composed, the field has %q", id, typed, got)
	}
	holds("before anything is committed")
	do(p, "commit", command(input.InsertText, input.InsertTextParams{Text: "大厅"}))
	p.wait(element(id) + `.value === '大厅'`)
}

// enter presses Enter outside of a composition.
func (p *page) enter() {
	p.t.Helper()
	do(p, "enter", chromedp.Steps(key(input.DispatchKeyEventTypeKeyDown, "\r"), key(input.DispatchKeyEventTypeKeyUp, "")))
}

func TestInputMethodInTheInspector(t *testing.T) {
	t.Parallel()
	x := inspect(t, 10)
	p := open(t, x.server, "inspector", look{})
	p.waitFirst("news")
	p.compose("filter", `!decodeURIComponent(location.hash).includes('q=')`, nil)
	p.wait(`decodeURIComponent(location.hash) === '#/?q=大厅'`)
	p.wait(element("empty") + `.textContent.includes('大厅') && !` + element("empty") + `.hidden`)

	// What the view shows is exchanged, as by going back, when the input method is done.
	p.compose("filter", `decodeURIComponent(location.hash).includes('q=大厅')`, func() {
		p.run(`location.hash = '#/?q=大厅&sort=name'`)
		p.run(`new Promise((resolve) => setTimeout(resolve, 1500))`)
	})
	p.wait(`document.querySelector('th[aria-sort="ascending"]')?.textContent.startsWith('Name')`)
	p.run(`new Promise((resolve) => setTimeout(resolve, 1500))`)
	if got := eval[string](p, element("filter")+`.value`); got != "大厅" {
		t.Errorf("after an exchange of the view, the field has %q", got)
	}
	p.enter()
	p.wait(`decodeURIComponent(location.hash).includes('q=大厅')`)
}

func TestInputMethodInTheChat(t *testing.T) {
	t.Parallel()
	s := start(t, "chat", "127.0.0.1:0")
	p := openChat(t, s, "Ada", look{})
	p.compose("composer", `!document.querySelector('[data-testid="message"]')`, nil)
	p.enter()
	p.waitMessage("Ada", "大厅")
	p.compose("join-topic", `document.querySelectorAll('[data-testid="room"]').length === 1`, nil)
	p.run(element("join-topic") + `.value = '茶馆'`) // the one that it is called in English pages is open already
	p.enter()
	p.wait(element("room-title") + `.textContent === '茶馆'`)
	p.click("profile")
	p.compose("name-field", element("name-dialog")+`.open`, nil)
	p.enter()
	p.wait(element("profile-name") + `.textContent === '大厅' && !` + element("name-dialog") + `.open`)
}

func TestInputMethodInSmallerPages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ program, ready, field, quiet, after string }{
		{"auth", element("login") + `?.hidden === false`, "name",
			element("problem") + `.textContent === '' && !performance.getEntriesByType('resource').some(({ name }) => name.endsWith('/login'))`,
			element("problem") + `.textContent === 'wrong name or password'`},
		{"echo", element("state") + `?.textContent === 'connected'`, "text",
			element("echoes") + `.childElementCount === 0`,
			element("echoes") + `.textContent.startsWith('大厅')`},
		{"ticker", `document.querySelectorAll('[data-testid="card"]').length > 300`, "filter",
			`!document.querySelector('[data-testid="card"][hidden]')`,
			`!` + element("nothing") + `.hidden`},
		{"cluster", element("pane-2") + `?.dataset.state === 'live'`, "text",
			`!document.querySelector('[data-testid="message"]')`,
			element("pane-2") + `.querySelector('[data-testid="message"] .text')?.textContent === '大厅'`},
	} {
		t.Run(c.program, func(t *testing.T) {
			t.Parallel()
			s := start(t, c.program, "127.0.0.1:0")
			p := open(t, s, c.program, look{})
			p.forgive("401") // of the name that nobody has
			p.wait(c.ready)
			p.compose(c.field, c.quiet, nil)
			p.enter()
			p.wait(c.after)
		})
	}
}

// fields are the text fields that the tests above type into. A page that gets another one needs a test of it, too.
var fields = map[string]int{
	"examples/internal/chat/static/index.html": 3,
	"examples/auth/page.html":                  2, // in that for a password, there are no input methods
	"examples/echo/page.html":                  1,
	"examples/ticker/static/index.html":        1,
	"examples/cluster/static/index.html":       1, // of which each pane has one
	"inspector/static/js/table.js":             1,
}

// textField is a text field in a page, or in a script that makes one.
var textField = regexp.MustCompile(`<textarea|<input (?:[^>]*type="(?:text|password|search)"|[^t][^>]*?>)|el\('(?:input|textarea)'`)

func TestEveryTextFieldIsTested(t *testing.T) {
	for _, dir := range []string{"../examples", "../inspector"} {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".html" && filepath.Ext(path) != ".js" {
				return err
			}
			page := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
			if got := len(textField.FindAllString(pageText(t, page), -1)); got != fields[page] {
				t.Errorf("%s has %d text fields, want %d", page, got, fields[page])
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}
