package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"

	tank "github.com/fanqie/tank-websocket-go-server"
	tankjs "github.com/fanqie/tank-websocket-go-server/clients/js"
)

// What the tests of the client share that package tankjs serves: a server, a page, and what the page must have in the end.

// tankPage has nothing on it but the client, and keeps notes of what it says.
const tankPage = `<!doctype html><link rel=icon href=data:,><title>client</title><script type="module">
	import { Tank } from "/tank.js";
	Object.assign(window, { got_: [], told_: [], states_: [], errors_: [] });
	window.connect_ = (url, options) => window.tank_ = new Tank(url, {
		onState: (state, info) => states_.push({ state, at: performance.now(), ...info }), onError: (error) => errors_.push(String(error)), ...options,
	});
	window.follow_ = (topic, got = got_) => tank_.subscribe(topic, {
		onMessage: ({ data }) => got.push(data), onJoin: (join) => told_.push(join), onGap: (gap) => told_.push(gap),
	});
</script>`

// serveTank starts an instance whose topic "stream" keeps what the tests publish, and a page that can connect to it.
func serveTank(t *testing.T, options ...tank.Option) (*tank.Manager, *server) {
	t.Helper()
	m := tank.NewInstance(append([]tank.Option{
		tank.WithTopics("stream", tank.TopicOptions{History: tank.History{Messages: 100_000}}), anyOrigin}, options...)...)
	go m.Start()
	mux := http.NewServeMux()
	mux.Handle("/ws", m)
	mux.Handle("/tank.js", tankjs.Handler())
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, tankPage) })
	s := httptest.NewServer(mux)
	t.Cleanup(func() {
		m.Shutdown(context.Background())
		s.Close()
	})
	return m, &server{t: t, url: s.URL + "/"}
}

// shortDelays makes the client come back a thousand times sooner.
const shortDelays = `const { random } = Math; Math.random = () => random() / 1000`

// openTank opens the page, connects it to a URL, and subscribes to "stream".
func openTank(t *testing.T, s *server, url, options string) *page {
	t.Helper()
	p := open(t, s, "client", look{})
	p.wait(`window.connect_`)
	p.run(`connect_(` + quote(url) + `, ` + options + `); follow_("stream")`)
	p.wait(`told_.length === 1`)
	return p
}

// numbers publishes 1, 2, 3 and so on to "stream", one each millisecond, until it is told to stop. Then it returns the last one.
func numbers(t *testing.T, m *tank.Manager) (stop func() int) {
	t.Helper()
	done, last := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		for ticker := time.NewTicker(time.Millisecond); ; <-ticker.C {
			select {
			case <-done:
				last <- n
				return
			default:
			}
			n++
			if err := m.PublishJSON(context.Background(), "stream", n); err != nil {
				t.Error(err)
			}
		}
	}()
	return func() int {
		close(done)
		return <-last
	}
}

// order lets the program of clients/js/testdata/server publish numbers.
func (s *server) order(topic string, from, to int) error {
	resp, err := http.Post(s.url+"publish", "application/json", bytes.NewBufferString(fmt.Sprintf(`{"Topic":%q,"From":%d,"To":%d}`, topic, from, to)))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// expectNumbers waits until the page has the last number. Then it must have each once, in order, and have been told that nothing is
// missing.
func (p *page) expectNumbers(last int) {
	p.t.Helper()
	p.wait(fmt.Sprintf(`got_.at(-1) === %d`, last))
	if wrong := eval[int](p, `got_.findIndex((n, i) => n !== i + 1)`); wrong >= 0 {
		p.t.Errorf("behind %d comes %s", wrong, eval[string](p, fmt.Sprintf(`String(got_[%d])`, wrong)))
	}
	if told := eval[string](p, `JSON.stringify(told_.slice(1).filter(({ recovered }) => !recovered))`); told != "[]" {
		p.t.Errorf("the page is told that something is missing: %s", told)
	}
	if errors := eval[string](p, `JSON.stringify(errors_)`); errors != "[]" {
		p.t.Errorf("the client reports errors: %s", errors)
	}
}

// online takes the network from a page, or gives it back.
func (p *page) online(is bool) {
	p.t.Helper()
	do(p, "network", command(network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{Offline: !is, DownloadThroughput: -1, UploadThroughput: -1}}}))
	do(p, "state of the network", command(network.OverrideNetworkState, network.OverrideNetworkStateParams{
		Offline: !is, DownloadThroughput: -1, UploadThroughput: -1}))
}
