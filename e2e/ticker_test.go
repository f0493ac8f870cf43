package e2e

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

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
	p.wait(cardsOfTicker + `.at(-1)?.points.length > 5`)
	p.wait(`!` + cardsOfTicker + `[0].visible`)
	// What nobody sees does not come any more: the page would count it, even if it threw it away.
	p.run(`scrollTo(0, 0)`)
	p.write("filter", "omega.an")
	p.wait(element("subscribed") + `.textContent === '1'`)
	p.wait(digits("rate") + ` > 0 && ` + digits("rate") + ` < 30`)
	p.write("filter", "dromeda")
	p.wait(element("subscribed") + `.textContent === '0' && !` + element("nothing") + `.hidden`)
}

// visibleCards are those that are subscribed to. lastNumber is that of the latest price of the first card.
const (
	visibleCards = cardsOfTicker + `.filter((card) => card.visible)`
	lastNumber   = cardsOfTicker + `[0].points.at(-1)?.number`
)

// sameLines waits until the first card of a page has a price with a number above one, and compares it with that of another page, which
// was connected all the time: the page has each price, and each at about the time at which it was published.
func (p *page) sameLines(steady *page, above int) {
	p.t.Helper()
	p.wait(fmt.Sprintf(`%s > %d`, lastNumber, above))
	type point struct {
		Number  int
		Price   float64
		Age     float64
		Follows bool
	}
	const points = cardsOfTicker + `[0].points.map(({ number, price, time, follows }) => ({ number, price, follows, age: performance.now() - time }))`
	got, want := eval[[]point](p, points), map[int]point{}
	for _, one := range eval[[]point](steady, points) {
		want[one.Number] = one
	}
	compared := 0
	for i, one := range got {
		if i > 0 && (!one.Follows || one.Number != got[i-1].Number+1 || one.Age > got[i-1].Age) {
			p.t.Errorf("behind %+v comes %+v", got[i-1], one)
		}
		if same, ok := want[one.Number]; ok {
			compared++
			if one.Price != same.Price || one.Age-same.Age > 1000 || same.Age-one.Age > 1000 {
				p.t.Errorf("the page has %+v, and the other %+v", one, same)
			}
		}
	}
	if holes := eval[int](p, visibleCards+`.filter((card) => card.points.slice(1).some(({ follows }) => !follows)).length`); holes > 0 {
		p.t.Errorf("%d lines have holes", holes)
	}
	p.t.Logf("%d of %d prices compared", compared, len(got))
	if compared < 40 {
		p.t.Errorf("only %d of %d prices could be compared", compared, len(got))
	}
}

// TestTickerHasNoHoles after a short loss of the connection, nor where a symbol was out of sight.
func TestTickerHasNoHoles(t *testing.T) {
	t.Parallel()
	s := start(t, "ticker", "127.0.0.1:0")
	link, cut := s.behindLink(t)
	small := look{width: 760, height: 500} // fewer cards, for busy machines
	steady, p := open(t, s, "ticker-steady", small), open(t, link, "ticker-cut", small)
	for _, one := range []*page{steady, p} {
		one.wait(lastNumber + ` > 20 && ` + visibleCards + `.every((card) => card.points.length > 10)`)
	}

	cut.set(true)
	p.wait(element("state") + `.dataset.state === 'waiting'`)
	before := eval[int](p, lastNumber)
	steady.wait(fmt.Sprintf(`%s > %d`, lastNumber, before+30))
	if now := eval[int](p, lastNumber); now != before {
		t.Fatalf("the page is not offline: it has number %d, and had %d", now, before)
	}
	cut.set(false)
	p.run(`dispatchEvent(new Event('online'))`) // as the browser does
	p.sameLines(steady, before+30)
	p.screenshot("ticker-recovered")

	p.run(`scrollTo(0, document.body.scrollHeight)`)
	p.wait(`!` + cardsOfTicker + `[0].visible && ` + cardsOfTicker + `.at(-1).points.length > 5`)
	before = eval[int](p, lastNumber)
	steady.wait(fmt.Sprintf(`%s > %d`, lastNumber, before+30))
	if now := eval[int](p, lastNumber); now != before {
		t.Fatalf("the first symbol is still subscribed to: it has number %d, and had %d", now, before)
	}
	p.run(`scrollTo(0, 0)`)
	p.sameLines(steady, before+30)
}

// TestTickerShowsHoles where prices are missing: lines end there, and go on behind it.
func TestTickerShowsHoles(t *testing.T) {
	t.Parallel()
	s := start(t, "ticker", "127.0.0.1:0")
	p := open(t, s, "ticker-holes", look{dark: true})
	p.wait(visibleCards + `.length > 0 && ` + visibleCards + `.every((card) => card.points.length > 10)`)
	p.run(`(async () => {
		const { Card } = await import('./js/card.js');
		window.card_ = new Card('OMEGA.ORI');
		document.querySelector('main').prepend(card_.node);
		const { now } = performance;
		let time = now.call(performance);
		performance.now = () => time;
		const add = (...numbers) => numbers.forEach((number) => {
			time += 60;
			card_.add(50 + number % 3, number);
		});
		add(1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
		time += 1000;
		add(30, 31, 32, 33, 34, 35, 36, 37, 38, 39);
		card_.cut(); // another server, whose numbers are smaller
		time += 1000;
		add(5, 6, 7, 8, 9, 10);
		card_.showPrice();
		card_.drawLine({ up: 'red', down: 'red' });
		delete performance.now;
	})()`)
	if got := eval[string](p, `card_.points.filter(({ follows }) => !follows).map(({ number }) => number).join()`); got != "1,30,5" {
		t.Errorf("lines begin with the numbers %s", got)
	}
	// The canvas says whether it is so: columns without a pixel.
	if holes := eval[int](p, `(() => {
		const { canvas } = card_, { width, height } = canvas, { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
		const empty = Array.from({ length: width }, (_, x) => Array.from({ length: height }, (_, y) => data[4 * (y * width + x) + 3]).every((a) => a === 0));
		return empty.filter((is, x) => is && !empty[x - 1]).length;
	})()`); holes != 3 { // before the first price, too
		t.Errorf("the chart has %d empty stretches", holes)
	}
	p.screenshot("ticker-holes")
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
		p.wait(cardsOfTicker + `[0]?.points[0]?.time < performance.now() - 6000`) // its line is full
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
		p.run(countSubs)
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
		p.wait(cardsOfTicker + `[0].points[0].time < performance.now() - 5000`)
		if asked, shown := eval[int](p, `subs_`), eval[int](p, digits("subscribed")); asked != shown {
			t.Errorf("the %s, which shows %d symbols, has subscribed %d times", p.name, shown, asked)
		}
		p.screenshot("ticker-slow-" + p.name)
		p.noHorizontalScrolling("slow " + p.name)
		p.click("slow")
		p.wait(digits("skipped") + ` === 0 && ` + element("state") + `.dataset.state === 'open'`)
	}
}

// slowNetwork is a proxy that lets so many bytes a second through to a page, once it is told to.
func slowNetwork(t *testing.T, to *server, perSecond int) (s *server, begin func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	var slow atomic.Bool
	carry := func(page net.Conn) {
		defer page.Close()
		program, err := net.Dial("tcp", strings.Trim(strings.TrimPrefix(to.url, "http:"), "/"))
		if err != nil {
			return
		}
		defer program.Close()
		program.(*net.TCPConn).SetReadBuffer(4 << 10) // or it would hold what a slow network does not
		go func() {
			io.Copy(program, page)
			program.Close()
		}()
		for buffer := make([]byte, 512); ; {
			n, err := program.Read(buffer)
			if slow.Load() {
				time.Sleep(time.Duration(n) * time.Second / time.Duration(perSecond))
			}
			if _, failed := page.Write(buffer[:n]); err != nil || failed != nil {
				return
			}
		}
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go carry(conn)
		}
	}()
	return &server{t: t, url: "http://" + listener.Addr().String() + "/"}, func() { slow.Store(true) }
}

// TestTickerAsksForNothingOnASlowNetwork, which is slow although nobody has said so: what the server drops does not come any more, and
// prices go on to come.
func TestTickerAsksForNothingOnASlowNetwork(t *testing.T) {
	t.Parallel()
	s, begin := slowNetwork(t, start(t, "ticker", "127.0.0.1:0"), 24<<10)
	p := open(t, s, "ticker-network", look{})
	p.wait(visibleCards + `.length > 0 && ` + visibleCards + `.every((card) => card.points.length > 10)`)
	p.run(countSubs)
	begin()
	p.wait(digits("skipped") + ` > 4000`)
	p.wait(digits("rate") + ` > 100 && ` + visibleCards + `.every((card) => card.points.some(({ begins }, i) => i > 0 && begins))`)
	if asked := eval[int](p, `subs_`); asked > 0 {
		t.Errorf("it has asked %d times", asked)
	}
	p.screenshot("ticker-network")
}

// countSubs has a page count in subs_ how often it subscribes from now on.
const countSubs = `window.subs_ = 0;
	const send = WebSocket.prototype.send;
	WebSocket.prototype.send = function (data) {
		if (data.includes('"sub":')) subs_++;
		return send.call(this, data);
	}`

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
