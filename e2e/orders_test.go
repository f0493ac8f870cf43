package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// orderCount is how many orders the page shows.
const orderCount = `document.querySelectorAll('[data-testid="order"]').length`

// asUser changes the account of the orders page, and waits for its snapshot.
func (p *page) asUser(name, whose string) {
	p.t.Helper()
	p.wait(element("as-"+name) + ` !== null`)
	p.click("as-" + name)
	p.wait(element("whose") + `.textContent === ` + quote(whose))
	p.stateIs("connected")
}

func (p *page) resultIs(topic, text string) {
	p.t.Helper()
	p.wait(element("result-"+topic) + `.textContent === ` + quote(text))
}

func TestOrdersGoToWhomTheyConcern(t *testing.T) {
	t.Parallel()
	s := start(t, "orders", "127.0.0.1:0")
	ada, sam := open(t, s, "orders-ada", look{}), open(t, s, "orders-sam", look{})
	ada.asUser("ada", "Orders of Ada")
	sam.asUser("sam", "Orders of all customers")
	ada.wait(orderCount + ` === 3`)
	sam.wait(orderCount + ` === 5`)
	for range 2 {
		ada.click("place")
	}
	ada.wait(orderCount + ` === 5`)
	sam.wait(orderCount + ` === 7`)
	step := func(p *page) string {
		return eval[string](p, `document.querySelector('[data-testid="order"]').dataset.step`)
	}
	was := step(ada)
	ada.wait(fmt.Sprintf(`document.querySelector('[data-testid="order"]').dataset.step > %s`, was)) // it moves on
	ada.resultIs("orders:ada", "subscribed")
	ada.click("subscribe-orders:lin")
	ada.resultIs("orders:lin", "refused: forbidden")
	sam.click("subscribe-orders:lin")
	sam.resultIs("orders:lin", "subscribed")
	ada.screenshot("orders-light")
	sam.screenshot("orders-staff")
	ada.asUser("lin", "Orders of Lin")
	ada.wait(orderCount + ` === 2`)

	s.terminate()
	ada.stateIs("disconnected, trying again…")
	if err := s.wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
}

const (
	orderSteps  = `[...document.querySelectorAll('[data-testid="order"]')].map(({ dataset }) => dataset.id + ':' + dataset.step).join()`
	loadsOfList = `performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/orders')).length`
)

// TestOrdersShowWhatTheyMissed while they were offline, without loading the list again.
func TestOrdersShowWhatTheyMissed(t *testing.T) {
	t.Parallel()
	s := start(t, "orders", "127.0.0.1:0")
	link, cut := s.behindLink(t)
	steady, p := open(t, s, "steady", look{}), open(t, link, "cut", look{})
	for _, one := range []*page{steady, p} {
		one.resultIs("orders:ada", "subscribed")
		one.wait(orderCount + ` === 3`)
	}
	cut.set(true)
	p.stateIs("disconnected, trying again…")
	for range 4 {
		steady.click("place")
	}
	steady.wait(orderCount + ` === 7`)
	if n := eval[int](p, orderCount); n != 3 {
		t.Fatalf("a page that is offline shows %d orders", n)
	}
	p.screenshot("orders-offline")
	cut.set(false)
	p.run(`dispatchEvent(new Event('online'))`) // as the browser does
	p.wait(orderCount + ` === 7`)
	for began := time.Now(); ; { // orders move on, so the two are compared until they are the same
		if eval[string](steady, orderSteps) == eval[string](p, orderSteps) {
			break
		}
		if time.Since(began) > patience {
			p.fail("shows " + eval[string](p, orderSteps) + ", and the other " + eval[string](steady, orderSteps))
		}
	}
	if n := eval[int](p, loadsOfList); n != 1 {
		t.Errorf("the list was loaded %d times", n)
	}
}

// TestOrdersLoadAnew when nobody knows what they have missed.
func TestOrdersLoadAnew(t *testing.T) {
	t.Parallel()
	addr := fixedAddr(t)
	s := start(t, "orders", addr)
	p := open(t, s, "orders-anew", look{})
	p.wait(orderCount + ` === 3`)
	p.click("place")
	p.wait(orderCount + ` === 4`)
	s.kill()
	p.stateIs("disconnected, trying again…")
	start(t, "orders", addr) // which does not know the fourth
	p.wait(orderCount + ` === 3`)
	p.resultIs("orders:ada", "subscribed")
	p.click("place")
	p.wait(orderCount + ` === 4`)
}

// TestOrdersSayWhatWasNotPlaced: the connection is lost before the answer.
func TestOrdersSayWhatWasNotPlaced(t *testing.T) {
	t.Parallel()
	s := start(t, "orders", "127.0.0.1:0")
	x := newSwallower(t, strings.Trim(strings.TrimPrefix(s.url, "http:"), "/"), true)
	p := open(t, &server{t: t, url: x.url()}, "orders-lost", look{})
	p.resultIs("orders:ada", "subscribed")
	x.swallow()
	p.click("place")
	p.run(`dispatchEvent(new Event('online'))`) // has the client look whether the connection is alive
	p.wait(element("problem") + `.textContent.startsWith('The connection was lost before the answer')`)
	p.noHorizontalScrolling("orders")
	p.screenshot("orders-lost")
}

// TestOrdersGoOnWithNewCredentials when the old ones expire.
func TestOrdersGoOnWithNewCredentials(t *testing.T) {
	t.Parallel()
	s := start(t, "orders", "127.0.0.1:0", "-lifetime", "3s")
	phone := open(t, s, "orders-phone", look{width: 360, height: 900, dark: true, language: "zh-CN"})
	phone.stateIs("已连接")
	phone.wait(orderCount + ` === 3`)
	phone.noHorizontalScrolling("orders")
	phone.wait(`!` + element("note") + `.hidden`)
	phone.stateIs("已连接")
	phone.click("place")
	phone.wait(orderCount + ` === 4`)
	phone.noHorizontalScrolling("orders")
	phone.screenshot("orders-phone-dark")
}
