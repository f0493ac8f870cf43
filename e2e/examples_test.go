package e2e

import (
	"strings"
	"testing"
)

// lines is a JavaScript expression for the texts in a list, the latest of which comes first.
func lines(id string) string {
	return `[...` + element(id) + `.children].map((e) => e.textContent)`
}

func TestSingleShowsTheTime(t *testing.T) {
	t.Parallel()
	s := start(t, "single", "127.0.0.1:0")
	p := open(t, s, "single", look{})
	p.wait(lines("times") + `.length > 2`)
	p.wait(lines("times") + `.every((time) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(time))`)
	phone := open(t, s, "single-phone", look{width: 360, height: 640, dark: true, language: "zh-CN"})
	phone.wait(lines("times") + `.length > 2`) // with what there was before it came
	phone.noHorizontalScrolling("single")
	p.screenshot("single-light")
	phone.screenshot("single-phone-dark")

	s.terminate()
	p.wait(element("state") + `.textContent.startsWith('disconnected')`)
	p.screenshot("single-disconnected")
	if err := s.wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
}

// TestSingleShowsWhatItMissed while it was offline, in its place. Another page, which was online, says what that was.
func TestSingleShowsWhatItMissed(t *testing.T) {
	t.Parallel()
	s := start(t, "single", "127.0.0.1:0")
	link, cut := s.behindLink(t)
	steady, p := open(t, s, "steady", look{}), open(t, link, "cut", look{})
	p.wait(lines("times") + `.length > 1`)
	cut.set(true)
	p.wait(element("state") + `.textContent.startsWith('disconnected')`)
	had := eval[[]string](p, lines("times"))
	sinceThen := lines("times") + `.slice(0, ` + lines("times") + `.indexOf(` + quote(had[0]) + `))`
	steady.wait(sinceThen + `.length > 3`)
	missed := eval[[]string](steady, sinceThen)
	if eval[bool](p, lines("times")+`.includes(`+quote(missed[0])+`)`) {
		t.Fatal("the page is not offline")
	}
	cut.set(false)
	p.run(`dispatchEvent(new Event('online'))`) // as the browser does
	want := strings.Join(append(missed, had[0]), " ")
	p.wait(lines("times") + `.join(' ').includes(` + quote(want) + `)`)
}

func TestMultiKeepsInstancesApart(t *testing.T) {
	t.Parallel()
	s := start(t, "multi", "127.0.0.1:0")
	p := open(t, s, "multi", look{})
	for _, instance := range []string{"public", "staff"} {
		p.wait(element(instance) + `?.childElementCount >= 2`)
		if !eval[bool](p, `[...`+element(instance)+`.children].every((e) => e.textContent.startsWith('`+instance+` news'))`) {
			t.Errorf("%s shows messages of the other instance", instance)
		}
	}
	p.screenshot("multi-light")
	s.terminate()
	p.wait(`[...document.querySelectorAll('[role=status]')].every((e) => e.textContent.startsWith('disconnected'))`)
	if err := s.wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
}

func TestEchoShowsWhatComesBack(t *testing.T) {
	t.Parallel()
	s := start(t, "echo", "127.0.0.1:0")
	light := open(t, s, "echo", look{})
	phone := open(t, s, "echo-phone", look{width: 360, height: 640, dark: true})
	for _, p := range []*page{light, phone} {
		p.wait(element("state") + `?.textContent === 'connected'`)
		for _, text := range []string{"Hello, 世界 <b>there</b>", "sub:news", "word" + strings.Repeat("word", 40)} {
			p.write("text", text)
		}
		p.wait(element("echoes") + `.childElementCount === 3`) // also the one in the middle, which a plain socket would not get back
		if first := eval[string](p, element("echoes")+`.lastElementChild.firstElementChild.textContent`); first != "Hello, 世界 <b>there</b>" {
			t.Errorf("%s shows %q", p.name, first)
		}
		p.wait(`[...document.querySelectorAll('time')].every((e) => /^\d+\.\d ms$/.test(e.textContent))`)
		p.noHorizontalScrolling(p.name)
	}
	light.screenshot("echo-light")
	phone.screenshot("echo-phone-dark")
	s.terminate()
	light.wait(element("state") + `.textContent.startsWith('disconnected')`)
	light.write("text", "kept for later")
	if kept := eval[string](light, element("text")+`.value`); kept != "kept for later" {
		t.Errorf("without a connection, the field has %q", kept)
	}
	if err := s.wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
}
