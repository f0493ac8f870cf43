package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// page is a browser page with a profile of its own: nobody else's storage, nobody else's name.
type page struct {
	t    *testing.T
	name string
	ctx  context.Context

	mu         sync.Mutex
	complaints []string // exceptions and console errors
	forgiven   []string // parts of those that a test expects
}

// look is how a page is shown. The zero value is a desktop in English and light colours.
type look struct {
	width, height int64
	dark          bool
	language      string
	path          string // behind the server's address
}

// open opens a page of a server under a user's name.
func open(t *testing.T, s *server, name string, l look) *page {
	t.Helper()
	return openIn(t, browser, s, name, l)
}

// openIn is open in another browser.
func openIn(t *testing.T, browser context.Context, s *server, name string, l look) *page {
	t.Helper()
	p := &page{t: t, name: name}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(p.listen))
	t.Cleanup(cancel)
	p.ctx = ctx
	if err := chromedp.Do(ctx); err != nil { // without a deadline: its end would be the page's
		t.Fatalf("opening a page for %s: %v", name, err)
	}
	t.Cleanup(p.inspect)
	do(p, "enable log", command(log.Enable, cdp.Empty{}))
	do(p, "set up "+name, l.apply())
	do(p, "open "+name, chromedp.Navigate(s.url+l.path))
	return p
}

// command makes an action of a command of the browser's protocol.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

func (l look) apply() chromedp.Action[chromedp.Void] {
	if l.width == 0 {
		l.width, l.height = 1360, 860
	}
	if l.language == "" {
		l.language = "en-US"
	}
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	return chromedp.Steps(
		command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: l.width, Height: l.height, DeviceScaleFactor: 1.5, Mobile: l.width < 600}),
		command(emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}),
		command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}),
		command(emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: "e2e", AcceptLanguage: l.language}),
	)
}

// listen collects what a developer would see in red or yellow in the console.
func (p *page) listen(event any) {
	var text string
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type != "error" && e.Type != "warning" && e.Type != "assert" {
			return
		}
		for _, arg := range e.Args {
			text += fmt.Sprintf("%s %s ", arg.Value, arg.Description)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level != "error" && e.Entry.Level != "warning" {
			return
		}
		text = fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
	default:
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.complaints = append(p.complaints, text)
}

// inspect fails the test when the page complained. It forgives what a browser itself says about a server that is away.
func (p *page) inspect() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.complaints {
		forgivable := func(part string) bool { return strings.Contains(c, part) }
		if !forgivable("WebSocket connection to ") && !forgivable("ERR_CONNECTION_REFUSED") && !slices.ContainsFunc(p.forgiven, forgivable) {
			p.t.Errorf("page of %s complained: %s", p.name, c)
		}
	}
}

// forgive expects complaints that contain a text.
func (p *page) forgive(part string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forgiven = append(p.forgiven, part)
}

// complaintsNow returns all complaints up to now, also the forgivable.
func (p *page) complaintsNow() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.complaints...)
}

// do runs an action, within patience, and returns what it returns.
func do[T any](p *page, what string, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		p.fail(fmt.Sprintf("%s: %v", what, err))
	}
	return value
}

// fail ends the test with a picture of the page.
func (p *page) fail(what string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
	defer cancel()
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	if picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot()); err == nil {
		os.WriteFile(filepath.Join(artifacts, "failed-"+p.t.Name()+"-"+p.name+".png"), picture, 0o644)
	}
	p.t.Fatalf("page of %s: %s\nconsole: %q\ntext: %q", p.name, what, p.complaintsNow(), text)
}

// eval evaluates JavaScript.
func eval[T any](p *page, expression string) T {
	p.t.Helper()
	return do(p, expression, chromedp.Evaluate[T](expression))
}

// run runs JavaScript, and waits for the promise that it may end with.
func (p *page) run(script string) {
	p.t.Helper()
	do(p, "script", chromedp.Evaluate[chromedp.Void](script, chromedp.EvalAwaitPromise))
}

// wait waits until a JavaScript condition holds.
func (p *page) wait(condition string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for !eval[bool](p, "!!("+condition+")") {
		if time.Now().After(deadline) {
			p.fail("never came true: " + condition)
		}
		time.Sleep(25 * time.Millisecond) // between two looks, never instead of one
	}
}

// element is a JavaScript expression for the element with a test id.
func element(id string) string { return "document.querySelector('" + selector(id) + "')" }

func selector(id string) string { return fmt.Sprintf(`[data-testid="%s"]`, id) }

func (p *page) click(id string) {
	p.t.Helper()
	do(p, "click "+id, chromedp.Click(chromedp.CSS(selector(id))))
}

// write types text into the element, and Enter.
func (p *page) write(id, text string) {
	p.t.Helper()
	do(p, "write "+text, chromedp.SendKeys(chromedp.CSS(selector(id)), text))
	do(p, "enter", chromedp.Steps(key(input.DispatchKeyEventTypeKeyDown, "\r"), key(input.DispatchKeyEventTypeKeyUp, "")))
}

// key is half a press of Enter. The text goes with the key-down event, as from a keyboard, so that a page which handles
// that event also suppresses the text.
func key(half input.DispatchKeyEventType, text string) chromedp.Action[chromedp.Void] {
	return command(input.DispatchKeyEvent, input.DispatchKeyEventParams{
		Type: half, Key: "Enter", Code: "Enter", Text: text, WindowsVirtualKeyCode: 13, NativeVirtualKeyCode: 13})
}

// screenshot stores what the page looks like.
func (p *page) screenshot(name string) {
	p.t.Helper()
	picture := do(p, "screenshot", chromedp.CaptureScreenshot())
	if err := os.WriteFile(filepath.Join(artifacts, name+".png"), picture, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// quote makes a JavaScript string.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // cannot happen with a string
	}
	return string(b)
}
