package e2e

import "testing"

const (
	cardsOfTicker = `[...document.querySelectorAll('[data-testid="card"]')].map((node) => node.card)`
	firstPrice    = `document.querySelector('.price').textContent`
)

// digits is a JavaScript expression for the number that an element shows, without what groups its digits.
func digits(id string) string {
	return `Number(` + element(id) + `.textContent.replace(/[^\d.]/g, ''))`
}

func TestTickerSubscribesToWhatIsVisible(t *testing.T) {
	t.Parallel()
	s := start(t, "ticker", "127.0.0.1:0")
	p := open(t, s, "ticker", look{})
	p.wait(digits("rate") + ` > 100`)
	all, visible := eval[int](p, cardsOfTicker+`.length`), eval[int](p, digits("subscribed"))
	if all < 300 || visible == 0 || visible > all/2 {
		t.Errorf("%d of %d symbols are subscribed to", visible, all)
	}
	before := eval[string](p, firstPrice)
	p.wait(firstPrice + ` !== ` + quote(before))

	p.run(`scrollTo(0, document.body.scrollHeight)`)
	p.wait(cardsOfTicker + `.at(-1)?.values.length > 5`)
	p.wait(`!` + cardsOfTicker + `[0].visible`)
	// What nobody sees does not come any more: the page would count it, even if it threw it away.
	p.run(`scrollTo(0, 0)`)
	p.write("filter", "omega.an")
	p.wait(element("subscribed") + `.textContent === '1'`)
	p.wait(digits("rate") + ` > 0 && ` + digits("rate") + ` < 30`)
	p.write("filter", "dromeda")
	p.wait(element("subscribed") + `.textContent === '0' && !` + element("nothing") + `.hidden`)
}

func TestTickerLooks(t *testing.T) {
	t.Parallel()
	s := start(t, "ticker", "127.0.0.1:0")
	for name, l := range map[string]look{
		"ticker-light":        {},
		"ticker-dark":         {dark: true},
		"ticker-tablet":       {width: 760, height: 900},
		"ticker-phone":        {width: 360, height: 740},
		"ticker-phone-dark":   {width: 360, height: 740, dark: true, language: "zh-CN"},
		"ticker-chinese":      {language: "zh-CN"},
		"ticker-narrow-phone": {width: 320, height: 600},
	} {
		p := open(t, s, name, l)
		p.wait(cardsOfTicker + `[0]?.times[0] < performance.now() - 6000`) // its line is full
		p.noHorizontalScrolling(name)
		p.screenshot(name)
		if name == "ticker-chinese" {
			p.wait(`document.documentElement.lang === 'zh-CN' && document.body.innerText.includes('模拟数据')`)
			p.click("language")
			p.wait(`document.documentElement.lang === 'en' && document.body.innerText.includes('Simulated')`)
		}
		if name == "ticker-dark" {
			const background = `getComputedStyle(document.body).backgroundColor`
			dark := eval[string](p, background)
			p.click("theme")
			p.wait(background + ` !== ` + quote(dark))
		}
		p.run(`document.querySelectorAll('[data-testid="card"]').forEach((node) => node.remove())`) // leaves the processor to the next
	}
}

// TestTickerSkipsOnASlowLink: old prices, so that those that come through are fresh; on a phone, too, which shows few.
func TestTickerSkipsOnASlowLink(t *testing.T) {
	t.Parallel()
	s := start(t, "ticker", "127.0.0.1:0")
	desktop := open(t, s, "desktop", look{})
	phone := open(t, s, "phone", look{width: 360, height: 740})
	for _, p := range []*page{desktop, phone} {
		p.wait(digits("rate") + ` > 100`)
		p.click("slow")
	}
	for _, p := range []*page{desktop, phone} {
		p.wait(digits("skipped") + ` > 1000`)
		p.wait(digits("rate") + ` > 20 && ` + digits("rate") + ` < 150`)
		before := eval[string](p, firstPrice)
		p.wait(firstPrice + ` !== ` + quote(before))
		if late := eval[float64](p, digits("behind")); late > 8 {
			t.Errorf("the %s is %.1f s behind", p.name, late)
		}
		p.wait(cardsOfTicker + `[0].times[0] < performance.now() - 6000`)
		p.screenshot("ticker-slow-" + p.name)
		p.noHorizontalScrolling("slow " + p.name)
		p.click("slow")
		p.wait(digits("skipped") + ` === 0 && ` + element("state") + `.dataset.state === 'open'`)
	}
}

// TestTickerComesBack, and with it what was subscribed to.
func TestTickerComesBack(t *testing.T) {
	t.Parallel()
	addr := fixedAddr(t)
	s := start(t, "ticker", addr)
	p := open(t, s, "ticker", look{})
	p.wait(digits("rate") + ` > 100`)
	s.terminate()
	p.wait(element("state") + `.dataset.state === 'waiting' && document.querySelector('main.stale')`)
	p.screenshot("ticker-reconnecting")
	if err := s.wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
	p.wait(digits("rate") + ` === 0`)
	start(t, "ticker", addr)
	p.wait(`!document.querySelector('main.stale') && ` + digits("rate") + ` > 100`)
}
