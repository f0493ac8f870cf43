package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/examples/internal/servertest"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const lifetime = time.Hour

// fixture is the service, served in a bubble.
type fixture struct {
	*testing.T
	*service
	server *tanktest.Server
	logged *bytes.Buffer
}

func bubble(t *testing.T, test func(*fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{T: t, logged: new(bytes.Buffer)}
		f.service = newService(slog.New(slog.NewTextHandler(f.logged, nil)), lifetime)
		f.server = tanktest.ServeHandler(t, newServer(f.service).Handler, f.tkws)
		f.server.Patience = 2 * lifetime
		test(f)
	})
}

func as(token string) tanktest.DialOption { return tanktest.Subprotocols("bearer."+token, "tank") }

// connect is a connection that has been greeted.
func (f *fixture) connect(user, role string) *tanktest.Client {
	f.Helper()
	c := f.server.Dial("/ws", as("demo-"+user))
	c.ExpectText(`{"role":"` + role + `","user":"` + user + `"}`)
	return c
}

// on reads the next message, which has to be of this topic.
func on[T any](f *fixture, c *tanktest.Client, topic string) (value T) {
	f.Helper()
	m := c.Next()
	if err := json.Unmarshal([]byte(m.Data), &value); err != nil || m.Topic != topic {
		f.Fatalf("got %v, want a %T on %s: %v", m, value, topic, err)
	}
	return value
}

// list is what a page is told that asks what its user sees.
func (f *fixture) list(user string) (l struct {
	Role, Topic string
	At          tank.Position
	Orders      []Order
}) {
	f.Helper()
	r, err := http.NewRequestWithContext(f.Context(), http.MethodGet, f.server.URL+"/orders", nil)
	if err != nil {
		f.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer demo-"+user)
	answer, err := f.server.Client().Do(r)
	if err != nil {
		f.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&l); err != nil || answer.StatusCode != http.StatusOK || l.At.Epoch == "" {
		f.Fatalf("answered with %s: %+v, %v", answer.Status, l, err)
	}
	return l
}

// page is a connection as a page makes it.
func (f *fixture) page(user string) *tanktest.ClientV2 {
	f.Helper()
	return f.server.DialV2("/ws", tanktest.Subprotocols("bearer.demo-"+user))
}

// expectOrder reads the next message of a page, which has to be this order.
func (f *fixture) expectOrder(c *tanktest.ClientV2, topic string, id int) {
	f.Helper()
	var got Order
	if m := c.Next(); m.Topic != topic || json.Unmarshal([]byte(m.Data), &got) != nil || got.ID != id {
		f.Fatalf("got %v, want order %d on %s", m, id, topic)
	}
}

func (f *fixture) get(path string) (status int, body string) {
	f.Helper()
	answer, err := f.server.Client().Get(f.server.URL + path)
	if err != nil {
		f.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		f.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestOnlyTokensLetIn(t *testing.T) {
	bubble(t, func(f *fixture) {
		for _, refused := range [][]tanktest.DialOption{nil, {as("")}, {as("demo-bob")}, {tanktest.Subprotocols("tank")}} {
			if answer := f.server.DialRefused("/ws?user_id=ada", refused...); answer.StatusCode != http.StatusUnauthorized {
				t.Errorf("answered with %s", answer.Status)
			}
		}
		if got := f.connect("ada", "customer").Response().Header.Get("Sec-WebSocket-Protocol"); got != "tank" {
			t.Errorf("the subprotocol is %q", got)
		}
	})
}

func TestRolesDecideWhoSeesWhat(t *testing.T) {
	bubble(t, func(f *fixture) {
		ada, sam := f.connect("ada", "customer"), f.connect("sam", "staff")
		for _, o := range on[[]Order](f, ada, "orders:ada") {
			if o.User != "ada" {
				t.Errorf("ada sees %+v", o)
			}
		}
		for _, topic := range []string{"orders:lin", "orders:all", "orders:", "orders", "news"} {
			ada.Send("sub:" + topic)
			ada.ExpectRefusal("forbidden", topic)
		}
		if n := len(on[[]Order](f, sam, "orders:sam")); n != 0 {
			t.Errorf("sam has %d orders", n)
		}
		if n := len(on[[]Order](f, sam, "orders:all")); n != len(f.orders) {
			t.Errorf("sam sees %d of %d orders", n, len(f.orders))
		}
		sam.Subscribe("orders:lin")
		sam.Send("sub:news")
		sam.ExpectRefusal("forbidden", "news")

		f.place("lin")
		ada.ExpectNothing()
		want := map[string]bool{"orders:lin": true, "orders:all": true}
		for range 2 {
			m := sam.Next()
			if !want[m.Topic] {
				t.Errorf("got %v", m)
			}
			delete(want, m.Topic)
		}
	})
}

func TestOrdersArePlacedAndMoveOn(t *testing.T) {
	bubble(t, func(f *fixture) {
		f.orders = nil
		c := f.connect("ada", "customer")
		on[[]Order](f, c, "orders:ada")
		c.Send("place an order")
		first := on[Order](f, c, "orders:ada")
		if first.ID != 6 || first.User != "ada" || first.Step != 0 {
			t.Errorf("got %+v", first)
		}
		for step := 1; step <= delivered; step++ {
			for f.orders[0].Step < step {
				f.advance()
			}
			if first.Step = step; on[Order](f, c, "orders:ada") != first {
				t.Errorf("at step %d it is another order", step)
			}
		}
		f.advance()
		c.ExpectNothing()
		for range 2 * maxOrders {
			f.place("lin")
		}
		if len(f.orders) != maxOrders || f.orders[0].ID != 7+maxOrders {
			t.Errorf("%d orders are kept, from %+v", len(f.orders), f.orders[0])
		}
	})
}

// placeMany begins to place orders of ada's, up to number 505, and says when it is done.
func (f *fixture) placeMany() (placed <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 500 {
			f.place("ada")
		}
	}()
	return done
}

// TestASnapshotComesBeforeWhatIsNotInIt, however many orders are placed meanwhile.
func TestASnapshotComesBeforeWhatIsNotInIt(t *testing.T) {
	bubble(t, func(f *fixture) {
		placed := f.placeMany()
		for range 20 {
			c := f.connect("ada", "customer")
			list := on[[]Order](f, c, "orders:ada")
			last := list[len(list)-1].ID
			<-placed
			c.Sync()
			for last < 505 {
				last++
				if got := on[Order](f, c, "orders:ada"); got.ID != last {
					t.Fatalf("got %+v, want order %d", got, last)
				}
			}
			c.ExpectNothing()
		}
	})
}

func TestPagesAreToldWhatTheyMaySee(t *testing.T) {
	bubble(t, func(f *fixture) {
		if status, body := f.get("/orders"); status != http.StatusUnauthorized {
			t.Errorf("without a token it is %d %s", status, body)
		}
		for user, want := range map[string]struct {
			role, topic string
			orders      int
		}{"ada": {"customer", "orders:ada", 3}, "lin": {"customer", "orders:lin", 2}, "sam": {"staff", "orders:all", 5}} {
			l := f.list(user)
			if l.Role != want.role || l.Topic != want.topic || len(l.Orders) != want.orders {
				t.Errorf("%s is told %+v", user, l)
			}
			c := f.page(user)
			if got := c.Response().Header.Get("Sec-WebSocket-Protocol"); got != "tank.v2" {
				t.Errorf("the subprotocol is %q", got)
			}
			c.ExpectNothing() // a page subscribes by itself
			if got := c.Subscribe(l.Topic, tanktest.Since(l.At)); !got.Recovered {
				t.Errorf("behind the list: %+v", got)
			}
		}
		f.page("ada").SubscribeRefused("forbidden", "orders:all")
	})
}

// TestAListMissesAndDoublesNothing, however many orders are placed meanwhile, and neither does a page that comes back.
func TestAListMissesAndDoublesNothing(t *testing.T) {
	bubble(t, func(f *fixture) {
		placed := f.placeMany()
		for range 20 {
			l := f.list("ada")
			last := l.Orders[len(l.Orders)-1].ID
			c := f.page("ada")
			if got := c.Subscribe(l.Topic, tanktest.Since(l.At)); !got.Recovered {
				t.Fatalf("behind the list: %+v", got)
			}
			<-placed
			for last < 505 {
				last++
				f.expectOrder(c, l.Topic, last)
			}
			c.ExpectNothing()
		}

		c := f.page("ada")
		c.Subscribe("orders:ada")
		c.Cut()
		for range 3 {
			f.place("ada")
			f.place("lin")
		}
		if got := c.Resume()["orders:ada"]; !got.Recovered {
			t.Errorf("after a cut: %+v", got)
		}
		for _, id := range []int{506, 508, 510} {
			f.expectOrder(c, "orders:ada", id)
		}
		c.ExpectNothing()
	})
}

func TestPagesPlaceOrders(t *testing.T) {
	bubble(t, func(f *fixture) {
		c := f.page("ada")
		c.Subscribe("orders:ada")
		var placed Order
		if err := json.Unmarshal(c.Request("place an order"), &placed); err != nil || placed.ID != 6 || placed.User != "ada" {
			t.Errorf("told %+v, %v", placed, err)
		}
		f.expectOrder(c, "orders:ada", 6)
		c.RequestRefused("bad_message", "place two orders")
		c.RequestRefused("bad_message", 7)
		c.ExpectNothing()
	})
}

func TestCredentialsExpire(t *testing.T) {
	bubble(t, func(f *fixture) {
		began, c := time.Now(), f.connect("ada", "customer")
		c.Next()
		if reason := c.ExpectClose(int(tank.CloseUnauthorized)); reason != "credentials expired" {
			t.Errorf("the reason is %q", reason)
		}
		if after := c.EndedAt().Sub(began) - lifetime; after < 0 || after > time.Second {
			t.Errorf("it ended %v after its credentials", after)
		}
		f.connect("ada", "customer") // with new ones
	})
}

func TestDisconnectionsAreLogged(t *testing.T) {
	bubble(t, func(f *fixture) {
		f.connect("ada", "customer").Close(1000, "")
		f.connect("sam", "staff").Cut()
		synctest.Wait()
		for _, want := range []string{"msg=disconnected user=ada code=1000", "msg=disconnected user=sam code=1006"} {
			if !strings.Contains(f.logged.String(), want) {
				t.Errorf("the log has no %s:\n%s", want, f.logged)
			}
		}
	})
}

func TestMetricsAndReadiness(t *testing.T) {
	bubble(t, func(f *fixture) {
		c := f.connect("ada", "customer")
		status, metrics := f.get("/metrics")
		for _, want := range []string{`tank_clients{instance="orders"} 1`, `tank_topics{instance="orders"} 1`, `tank_running{instance="orders"} 1`} {
			if status != http.StatusOK || !strings.Contains(metrics, want) {
				t.Errorf("answered with %d, without %s:\n%s", status, want, metrics)
			}
		}
		if status, body := f.get("/readyz"); status != http.StatusOK {
			t.Errorf("not ready: %d %s", status, body)
		}

		done := make(chan error, 1)
		go func() { done <- f.tkws.Shutdown(f.Context()) }()
		c.Next() // the snapshot
		synctest.Wait()
		if status, _ := f.get("/readyz"); status != http.StatusServiceUnavailable {
			t.Errorf("ready while it drains: %d", status)
		}
		c.ExpectClose(int(tank.CloseGoingAway))
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestThePage(t *testing.T) {
	bubble(t, func(f *fixture) {
		status, body := f.get("/")
		for token, who := range accounts {
			if user, ok := strings.CutPrefix(token, "demo-"); !ok || user != who.UserID || !strings.Contains(body, " "+user+": [") {
				t.Errorf("the page of status %d does not know %s", status, token)
			}
		}
	})
}

func TestSlowPeersAreCutOff(t *testing.T) {
	s := newService(slog.New(slog.DiscardHandler), lifetime)
	go s.tkws.Start()
	defer s.tkws.Shutdown(context.Background())
	servertest.Check(t, newServer(s), func(addr string) (alive func()) {
		ws, _, err := websocket.Dial(t.Context(), "ws://"+addr+"/ws", &websocket.DialOptions{Subprotocols: []string{"bearer.demo-ada", "tank"}})
		if err != nil {
			t.Fatal(err)
		}
		return func() {
			defer ws.CloseNow()
			for _, want := range []string{`{"role":"customer"`, `{"topic":"orders:ada","data":"[`, `{"topic":"orders:ada","data":"{`} {
				_, text, err := ws.Read(t.Context())
				if err != nil || !strings.HasPrefix(string(text), want) {
					t.Fatalf("got %s, %v, want %s", text, err, want)
				}
				if strings.HasSuffix(want, "[") {
					if err := ws.Write(t.Context(), websocket.MessageText, []byte("place an order")); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	})
}
