package e2e

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/broker/brokertest"
	"github.com/fanqie/tank-websocket-go-server/inspector"
)

// hostile is a name of a topic that would do harm as markup.
const hostile = `"><img src=x onerror="document.title='harmed'"> /?#&`

// inspected is an instance with many topics, some chatter, and a client that does not read.
type inspected struct {
	*server
	tkws *tank.Manager
	http *http.Server
	addr string
}

func inspect(t *testing.T, topics int, opts ...tank.Option) *inspected {
	t.Helper()
	x := &inspected{server: &server{t: t}, addr: fixedAddr(t)}
	x.tkws = tank.NewInstance(append(opts,
		tank.WithLimits(tank.Limits{Subscriptions: math.MaxInt, OutboxBytes: 64 << 20, WriteTimeout: time.Hour}),
		tank.WithHeartbeat(time.Second, time.Hour),
		tank.WithMessageHandler(func(*tank.Client, tank.Message) {}),
	)...)
	go x.tkws.Start()
	x.serve()
	x.url = "http://" + x.addr + "/ops/inspector/"
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		work.Wait()
		grace, done := context.WithTimeout(context.Background(), patience)
		defer done()
		x.tkws.Shutdown(grace)
		x.http.Close()
	})
	ada := x.connect(ctx, "Ada", &work)
	subscribe := func(c *tank.Client, topic string) {
		if err := c.Subscribe(topic); err != nil {
			t.Fatal(err)
		}
	}
	for i := range topics {
		subscribe(ada, fmt.Sprintf("sensor/%06d", i))
	}
	chatty := []string{"news", "天气", "orders:pending", hostile, strings.Repeat("a very long name ", 15)}
	for i, user := range []string{"Theo", "小林", "Noor", "Mira"} {
		c := x.connect(ctx, user, &work)
		for _, topic := range chatty[:5-i] {
			subscribe(c, topic)
		}
	}
	slow := x.connect(ctx, "Sol, who does not read", nil)
	subscribe(slow, "news")
	for range 150 { // more than what its socket takes
		if err := x.tkws.BroadcastTopicMessage("news", strings.Repeat("x", 100<<10)); err != nil {
			t.Fatal(err)
		}
	}
	work.Go(func() { x.chatter(ctx, chatty) })
	return x
}

// serve makes the inspector available, also after it was away.
func (x *inspected) serve() {
	x.t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/ops/inspector/", http.StripPrefix("/ops/inspector/", inspector.Handler(x.tkws)))
	mux.Handle("/ws", x.tkws)
	l, err := net.Listen("tcp", x.addr)
	if err != nil {
		x.t.Fatal(err)
	}
	x.http = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go x.http.Serve(l)
}

// connect makes a client, which reads if readers is there, and then says something now and then.
func (x *inspected) connect(ctx context.Context, user string, readers *sync.WaitGroup) *tank.Client {
	x.t.Helper()
	ws, _, err := websocket.Dial(ctx, "ws://"+x.addr+"/ws?user_id="+strings.ReplaceAll(user, " ", "+"), nil)
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { ws.CloseNow() })
	ws.SetReadLimit(-1)
	if readers != nil {
		readers.Go(func() {
			for n := 0; ; n++ {
				if _, _, err := ws.Read(ctx); err != nil {
					return
				}
				if n%50 == 0 {
					ws.Write(ctx, websocket.MessageText, []byte("thanks"))
				}
			}
		})
	}
	for { // the answer to a handshake comes before the client is registered
		all := x.tkws.GetAllClients()
		if len(all) > 0 && all[len(all)-1].UserID() == user {
			return all[len(all)-1]
		}
	}
}

func (x *inspected) chatter(ctx context.Context, topics []string) {
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
		for i, topic := range topics {
			for range 1 + int(2+2*math.Sin(float64(n)/60))*(5-i) {
				x.tkws.Publish(ctx, topic, strings.Repeat("x", 100))
			}
		}
		x.tkws.Publish(ctx, "sensor/000007", "x")
	}
}

// rows returns what stands first in each row.
func (p *page) rows() []string {
	return eval[[]string](p, `[...document.querySelectorAll('[data-testid="row"]')].map((tr) => tr.firstChild.textContent)`)
}

// waitFirst waits until the first row is this.
func (p *page) waitFirst(name string) {
	p.t.Helper()
	p.wait(`document.querySelector('[data-testid="row"]')?.firstChild.textContent === ` + quote(name))
}

func TestInspectorShowsAnInstance(t *testing.T) {
	t.Parallel()
	x := inspect(t, 40)
	light := open(t, x.server, "inspector", look{height: 1100})
	dark := open(t, x.server, "inspector", look{dark: true, height: 1100})
	chinese := open(t, x.server, "inspector", look{language: "zh-CN", height: 1100})
	phone := open(t, x.server, "inspector", look{width: 360, height: 1500})
	for _, p := range []*page{light, dark, chinese, phone} {
		p.waitFirst("news")
		p.wait(element("figure-clients") + `.textContent === '6'`)
		p.wait(`parseFloat(` + element("figure-messages_out") + `.textContent) > 100`)
		p.wait(element("total-panics_recovered") + `.textContent === '0'`)
		p.wait(`document.querySelectorAll('.curve[d^="M"]').length === 4`)
		p.noHorizontalScrolling("overview")
		p.wait(`[...document.querySelectorAll('.figure small')].every((note) => {
			note.textContent = '共 984.9 MiB';
			return note.scrollWidth <= note.clientWidth;
		})`) // no note is cut
	}
	light.wait(element("state") + `.textContent.startsWith('running for')`)
	chinese.wait(element("state") + `.textContent.startsWith('已运行')`)
	light.wait(`document.documentElement.lang === 'en'`)
	chinese.wait(`document.documentElement.lang === 'zh-CN'`)
	light.wait(`/ms|s/.test(` + element("distribution-write_latency") + `.textContent)`)
	// Charts need some seconds to be worth a look.
	light.wait(`document.querySelector('.curve').getAttribute('d').split('L').length > 12`)
	light.screenshot("inspector-light")
	dark.screenshot("inspector-dark")
	chinese.screenshot("inspector-chinese")
	phone.screenshot("inspector-phone")

	if light.rows()[0] != "news" || eval[string](light, "document.title") != "tank inspector" {
		t.Errorf("rows are %q, title %q", light.rows(), eval[string](light, "document.title"))
	}
	light.write("filter", "img src")
	light.wait(`document.querySelectorAll('[data-testid="row"]').length === 1`)
	light.run(`document.querySelector('[data-testid="row"] a').click()`)
	light.wait(element("title") + `.textContent === ` + quote(hostile))
	light.wait(`document.querySelectorAll('[data-testid="row"]').length === 2`)
	if got := eval[int](light, `document.querySelectorAll('main img').length`); got != 0 {
		t.Error("a name became markup")
	}
	light.run(`history.back()`)
	light.wait(element("filter") + `?.value === 'img src'`)
}

func TestInspectorShowsATopicAndAClient(t *testing.T) {
	t.Parallel()
	x := inspect(t, 40)
	p := open(t, x.server, "inspector", look{height: 760})
	p.waitFirst("news")
	p.run(`document.querySelector('[data-testid="row"] a').click()`)
	p.waitFirst("Sol, who does not read") // has the largest outbox
	p.wait(`/KiB|MiB/.test(document.querySelector('[data-testid="row"]').textContent)`)
	p.wait(element("facts") + `.textContent.includes('Subscribers5')`)
	p.screenshot("inspector-topic")
	p.run(`document.querySelector('[data-testid="row"] a').click()`)
	p.wait(element("title") + `.textContent === 'Sol, who does not read'`)
	p.wait(`/^news[\d,]+ behind$/.test(` + element("subscriptions") + `.textContent)`)
	p.run(`history.back()`)
	p.waitFirst("Sol, who does not read")
	p.click("sort-user_id")
	p.waitFirst("Mira")
	p.click("nav-clients")
	p.waitFirst("Sol, who does not read")
	p.write("filter", "Ada")
	const rows = `[...document.querySelectorAll('[data-testid="row"]')]`
	p.wait(rows + `.length > 0 && ` + rows + `.every((row) => /ada/i.test(row.textContent + row.querySelector('a').href))`) // three digits of an id, now and then
	p.run(rows + `.find((row) => row.textContent.startsWith('Ada')).querySelector('a').click()`)
	p.wait(element("subscriptions") + `?.children.length === 40`)
	p.wait(`/Round trip[\d.]+ (ms|s)/.test(` + element("facts") + `.textContent)`)
	p.screenshot("inspector-client")
	p.run(`location.hash = '#/client?id=nobody'`)
	p.wait(`document.body.textContent.includes('not connected any more')`)
	p.run(`location.hash = '#/topic?name=nothing'`)
	p.wait(`document.body.textContent.includes('Nobody subscribes to this topic now')`)
	// The browser says that there was a 404, twice.
	p.forgive("404")
}

func TestInspectorSaysThatTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	node := brokertest.NewNetwork().Node()
	x := inspect(t, 1, tank.WithBroker(node))
	p := open(t, x.server, "inspector", look{height: 400})
	p.waitFirst("news")
	const away = `.textContent.startsWith('There is no connection to the broker')`
	p.wait(`!` + element("note") + away) // there may be gaps already: on a slow machine, queues of topics are full for a moment
	node.Cut()
	p.wait(element("note") + away)
	p.screenshot("inspector-broker")
	node.Heal()
	p.wait(element("note") + `.textContent.startsWith('Topics may have missed something')`)
}

func TestInspectorPagesThroughAHundredThousandTopics(t *testing.T) {
	x := inspect(t, 100_000)
	p := open(t, x.server, "inspector", look{})
	p.waitFirst("news")
	p.wait(element("range") + `.textContent === '1–50 of 100,005'`)
	p.click("sort-name")
	p.waitFirst(hostile) // a quotation mark comes before all letters
	p.click("sort-name")
	p.waitFirst("天气")
	p.click("page-next")
	p.wait(element("range") + `.textContent === '51–100 of 100,005'`)
	p.click("page-last")
	p.wait(element("range") + `.textContent === '100,001–100,005 of 100,005'`)
	if n := len(p.rows()); n != 5 {
		t.Errorf("the last page has %d rows, want 5", n)
	}
	p.write("filter", "sensor/0999")
	p.wait(element("range") + `.textContent === '1–50 of 100'`)
	if eval[string](p, `document.activeElement.dataset.testid`) != "filter" {
		t.Error("the filter has lost the focus")
	}
	p.click("sort-rate")
	p.wait(`document.querySelector('th[aria-sort="descending"]').textContent.startsWith('Rate')`)
	p.run(`document.activeElement.blur(); document.dispatchEvent(new KeyboardEvent('keydown', {key: '/', bubbles: true}))`)
	p.wait(`document.activeElement.dataset.testid === 'filter'`)
	if n := len(p.rows()); n != 50 {
		t.Errorf("a page has %d rows, want 50", n)
	}
}

func TestInspectorSaysWhenNobodyAnswersAndComesBack(t *testing.T) {
	t.Parallel()
	x := inspect(t, 10)
	p := open(t, x.server, "inspector", look{})
	p.waitFirst("news")
	p.click("language")
	p.wait(`document.documentElement.lang === 'zh-CN' && document.querySelector('h2').textContent === '客户端'`)
	p.click("theme")
	p.wait(`document.documentElement.dataset.theme === 'dark'`)
	x.http.Close()
	p.wait(element("state") + `.dataset.state === 'away'`)
	p.wait(`document.querySelectorAll('[data-testid="row"]').length > 10`) // what was known stays
	x.serve()
	p.wait(element("state") + `.dataset.state === 'running'`)
	do(p, "reload", chromedp.Reload())
	p.wait(`document.documentElement?.lang === 'zh-CN' && document.documentElement.dataset.theme === 'dark'`)
	p.waitFirst("news")

	grace, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	go x.tkws.Shutdown(grace)
	p.wait(element("state") + `.textContent === '已结束'`)
	p.wait(element("note") + `.hidden === false`)
	p.screenshot("inspector-ended")
}

func TestInspectorGoesWhereOneGoesWhateverIsInTheFilter(t *testing.T) {
	t.Parallel()
	x := inspect(t, 10)
	p := open(t, x.server, "inspector", look{})
	p.waitFirst("news")
	p.write("filter", "sensor")
	p.waitFirst("sensor/000000")
	p.run(`history.back()`) // the focus is in the filter
	p.waitFirst("news")
	p.run(`window.later = false; setTimeout(() => { window.later = true; }, 1000)`)
	p.wait(`window.later`)
	if got := eval[string](p, `location.hash + ' ' + `+element("filter")+`.value`); got != " " {
		t.Errorf("after going back, the address and the filter are %q", got)
	}
	const typeInto = `(field, text) => { field.value = text; field.dispatchEvent(new Event('input')); }`
	p.run(`(` + typeInto + `)(` + element("filter") + `, 'sens'); location.hash = '#/clients'; window.later = false; setTimeout(() => { window.later = true; }, 1000)`)
	p.wait(`window.later`)
	if got := eval[string](p, `location.hash`); got != "#/clients" {
		t.Errorf("who went to the clients just after writing into the filter is at %q", got)
	}
	p.run(`location.hash = '#/'`)
	p.waitFirst("news")
	p.click("sort-name")
	p.run(`(` + typeInto + `)(` + element("filter") + `, 'sens')`) // while the table is being exchanged, or just after
	p.waitFirst("sensor/000000")
}
