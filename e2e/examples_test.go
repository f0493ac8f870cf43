package e2e

import "testing"

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
