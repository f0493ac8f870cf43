package e2e

import (
	"fmt"
	"testing"
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
	ada.resultIs("orders:ada", "subscribed by the server")
	ada.click("subscribe-orders:lin")
	ada.resultIs("orders:lin", "refused: forbidden")
	sam.click("subscribe-orders:lin")
	sam.wait(element("result-orders:lin") + `.textContent !== 'not subscribed'`)
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
