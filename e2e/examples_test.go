package e2e

import (
	"strings"
	"testing"
)

func TestSingleShowsTheTime(t *testing.T) {
	t.Parallel()
	s := start(t, "single", "127.0.0.1:0")
	p := open(t, s, "single", look{})
	isTime := element("message") + `?.textContent.match(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/)`
	p.wait(isTime)
	first := eval[string](p, element("message")+`.textContent`)
	p.wait(isTime + ` && ` + element("message") + `.textContent !== ` + quote(first))

	s.terminate()
	p.wait(element("state") + `.textContent.startsWith('disconnected')`)
	if err := s.wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
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
		p.wait(element("echoes") + `.childElementCount === 2`) // the one in the middle is the library's own
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
	if err := s.wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
}
