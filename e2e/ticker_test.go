package e2e

import "testing"

func TestTickerSubscribesToWhatIsVisible(t *testing.T) {
	s := start(t, "ticker", "127.0.0.1:0")
	light := open(t, s, "ticker", look{})
	dark := open(t, s, "ticker", look{dark: true})
	phone := open(t, s, "ticker", look{width: 360, height: 740})
	chinese := open(t, s, "ticker", look{language: "zh-CN", width: 900, height: 700})
	const number = `.textContent.replace(/\D/g, '') | 0`
	for _, p := range []*page{light, dark, phone, chinese} {
		p.wait(`(` + element("rate") + number + `) > 100`)
		if all, visible := eval[int](p, `document.querySelectorAll('[data-testid="card"]').length`), eval[int](p, element("subscribed")+number); all < 300 || visible == 0 || visible > all/2 {
			t.Errorf("%d of %d symbols are subscribed to", visible, all)
		}
		p.noHorizontalScrolling("ticker")
	}
	const price = `.textContent.match(/\d+\.\d\d/)?.[0]`
	first := eval[string](light, `document.querySelector('.price')`+price)
	light.wait(`document.querySelector('.price')` + price + ` !== ` + quote(first))
	light.wait(`document.querySelector('[data-testid="card"]').card.values.length >= 100`)
	light.screenshot("ticker-light")
	dark.screenshot("ticker-dark")
	phone.screenshot("ticker-phone")
	chinese.screenshot("ticker-chinese")

	light.run(`scrollTo(0, document.body.scrollHeight)`)
	light.wait(`[...document.querySelectorAll('[data-testid="card"]')].at(-1).card.values.length > 5`)
	light.wait(`document.querySelector('[data-testid="card"]').card.values.length === 0`) // nobody sees it
	light.run(`scrollTo(0, 0)`)
	light.write("filter", "omega")
	light.wait(element("subscribed") + `.textContent === '13'`)
	phone.click("language")
	phone.wait(`document.documentElement.lang === 'zh-CN'`)
}

// TestTickerSkipsForAFrozenPage: a page that is busy for a while goes on with the latest prices.
func TestTickerSkipsForAFrozenPage(t *testing.T) {
	s := start(t, "ticker", "127.0.0.1:0")
	p := open(t, s, "ticker", look{width: 2600, height: 2600}) // many are visible, so that it is soon behind
	p.wait(`(` + element("rate") + `.textContent.replace(/\D/g, '') | 0) > 3000`)
	p.click("freeze")
	p.wait(element("freeze") + `.disabled === false`)
	p.wait(`(` + element("skipped") + `.textContent.replace(/\D/g, '') | 0) > 0`)
	first := eval[string](p, `document.querySelector('.price').textContent`)
	p.wait(`document.querySelector('.price').textContent !== ` + quote(first))
	p.wait(element("state") + `.textContent === 'connected'`)
}
