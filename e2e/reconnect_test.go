package e2e

import "testing"

// watchStates makes the page remember every state that the status pill goes through.
func (p *page) watchStates() {
	p.t.Helper()
	p.run(`window.states_ = [];
		new MutationObserver(() => window.states_.push(` + element("status") + `.dataset.state + ' ' + ` + element("status") + `.textContent.trim()))
			.observe(` + element("status") + `, { attributes: true, childList: true, subtree: true, characterData: true });`)
}

func TestPageComesBackByItself(t *testing.T) {
	t.Parallel()
	addr := fixedAddr(t)
	s := start(t, "chat", addr)
	ada := openChat(t, s, "Ada", look{})
	bo := openChat(t, s, "Bo", look{})
	ada.join("tea")
	bo.join("tea")
	ada.watchStates()

	s.kill()
	ada.wait(`window.states_.some(s => /^waiting Reconnecting in \d+ s$/.test(s))`)
	ada.wait(`!` + element("banner") + `.hidden`)
	ada.screenshot("chat-reconnecting")
	start(t, "chat", addr)
	ada.waitState("online")
	bo.waitState("online")
	ada.wait(element("banner") + `.hidden`)

	// Both are in the topic again without having done anything: the server counts them.
	ada.wait(`[...document.querySelectorAll('[data-testid="topic-row"]')].some(r =>
		r.dataset.topic === 'tea' && r.children[1].textContent === '2')`)
	bo.write("composer", "are you back?")
	ada.waitMessage("Bo", "are you back?")
	ada.write("composer", "of course")
	bo.waitMessage("Ada", "of course")
}

func TestGracefulShutdownIsAnnounced(t *testing.T) {
	t.Parallel()
	addr := fixedAddr(t)
	s := start(t, "chat", addr)
	ada := openChat(t, s, "Ada", look{})
	s.terminate()
	ada.wait(`!` + element("banner") + `.hidden && ` + element("banner") + `.textContent.includes('The server is shutting down')`)
	ada.screenshot("chat-shutdown")
	if err := s.wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
	start(t, "chat", addr)
	ada.waitState("online")
	ada.wait(element("banner") + `.hidden`)
}

// Pages that a server has sent away in the same instant do not come back in the same instant.
func TestPagesComeBackAtTimesOfTheirOwn(t *testing.T) {
	t.Parallel()
	_, s := liveClient(t, shownClient(t))
	p := open(t, s, "client", look{})
	p.run(`import('./live.js').then(({ Live }) => { window.delays_ = Array.from({ length: 1000 }, () => Live.delay(1)); })`)
	p.wait(`window.delays_`)
	delays := eval[[]float64](p, `window.delays_`)
	tenths := map[int]int{}
	for _, ms := range delays {
		if ms < 0 || ms >= 2000 {
			t.Fatalf("a page comes back after %v ms", ms)
		}
		tenths[int(ms)/200]++
	}
	for i := range 10 {
		if n := tenths[i]; n < 50 || n > 150 {
			t.Errorf("%d of 1000 pages come back between %d and %d ms", n, 200*i, 200*(i+1))
		}
	}
}
