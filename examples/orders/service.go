package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// accounts are the identities of the demo's tokens, which are no secret. The value is a role. examples/auth has tokens that are signed.
var accounts = map[string]tank.Identity{
	"demo-ada": {UserID: "ada", Value: "customer"},
	"demo-lin": {UserID: "lin", Value: "customer"},
	"demo-sam": {UserID: "sam", Value: "staff"},
}

// Order is what the topics carry: orders:USER those of a user, and orders:all each.
type Order struct {
	ID   int    `json:"id"`
	User string `json:"user"`
	Item int    `json:"item"` // of so many in the catalogue
	Step int    `json:"step"` // placed, packed, shipped, delivered
}

const items, delivered, maxOrders = 6, 3, 40

// service pushes each order to its owner and to the staff.
type service struct {
	tkws     *tank.Manager
	lifetime time.Duration // of credentials
	mu       sync.Mutex    // held while publishing, so that a snapshot comes before all that is not in it, and a list fits its position
	placed   int
	orders   []Order // the latest maxOrders; they stand for a database
}

func newService(log *slog.Logger, lifetime time.Duration) *service {
	s := &service{lifetime: lifetime, placed: 5, orders: []Order{
		{1, "ada", 4, 3}, {2, "lin", 0, 2}, {3, "ada", 1, 1}, {4, "lin", 5, 1}, {5, "ada", 2, 0}}}
	s.tkws = tank.NewInstance(tank.WithLogger(log), tank.WithDrain(2*time.Second, 100), tank.WithUpgrader(tank.Upgrader{Subprotocols: []string{"tank"}}),
		tank.WithTopics("orders:*", tank.TopicOptions{History: tank.History{Messages: 1000, Age: time.Hour}}), // for a lid that was closed
		tank.WithAuthenticator(s.authenticate), tank.WithSubscribeAuthorizer(authorize), tank.WithConnectHandler(s.connected),
		tank.WithRequestHandler(s.answer), tank.WithMessageHandler(func(c *tank.Client, _ tank.Message) { s.place(c.UserID()) }),
		tank.WithDisconnectHandler(func(c *tank.Client, d tank.Disconnect) {
			log.Info("disconnected", "user", c.UserID(), "code", int(d.Code))
		}))
	return s
}

// authenticate looks for a token where a page can put it: in a subprotocol of a handshake, beside tank.v2 or tank, and in the header of
// another request.
func (s *service) authenticate(r *http.Request) (tank.Identity, error) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	for offer := range strings.SplitSeq(strings.Join(r.Header.Values("Sec-WebSocket-Protocol"), ","), ",") {
		if offered, ok := strings.CutPrefix(strings.TrimSpace(offer), "bearer."); ok {
			token = offered
		}
	}
	who, ok := accounts[token]
	if !ok {
		return who, errors.New("unknown token")
	}
	who.Expires = time.Now().Add(s.lifetime)
	return who, nil
}

// authorize lets customers see their own orders, and the staff those of each customer and of all.
func authorize(c *tank.Client, topic string) error {
	if topic == "orders:"+c.UserID() || c.Value() == "staff" && strings.HasPrefix(topic, "orders:") {
		return nil
	}
	return errors.New("not this user's orders")
}

// list answers a page that asks what its user sees: which orders there are, on which topic they change, and behind which position.
func (s *service) list(w http.ResponseWriter, r *http.Request) {
	who, err := s.authenticate(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	of := who.UserID
	if who.Value == "staff" {
		of = "all"
	}
	s.mu.Lock() // so that the orders are exactly those of the position
	at, err := s.tkws.Position("orders:" + of)
	orders := s.ordersOf(of)
	s.mu.Unlock()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]any{"role": who.Value, "topic": "orders:" + of, "at": at, "orders": orders}) // whoever asked may have gone
}

// connected greets a plain socket, and subscribes it to what concerns it. A page asks for the list, and subscribes by itself.
func (s *service) connected(c *tank.Client, _ *http.Request) error {
	if c.Protocol() == tank.V2 {
		return nil
	}
	hello, err := json.Marshal(map[string]any{"user": c.UserID(), "role": c.Value()})
	err = errors.Join(err, c.Send(tank.Message{Data: hello}), s.subscribe(c, c.UserID()))
	if c.Value() == "staff" {
		err = errors.Join(err, s.subscribe(c, "all"))
	}
	if err != nil { // the client is to come back, which 3003 would forbid
		return errors.Join(err, &tank.CloseError{Code: tank.CloseTryAgainLater, Reason: "no snapshot"})
	}
	return nil
}

// subscribe sends the orders that there are behind the subscription.
func (s *service) subscribe(c *tank.Client, user string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	snapshot, err := json.Marshal(s.ordersOf(user))
	return errors.Join(err, c.Subscribe("orders:"+user), c.SendTopic("orders:"+user, string(snapshot)))
}

// ordersOf returns the orders of a user, or of all.
func (s *service) ordersOf(user string) []Order {
	return slices.DeleteFunc(slices.Clone(s.orders), func(o Order) bool { return user != "all" && user != o.User })
}

// answer places an order for a page, which is told which one that is.
func (s *service) answer(c *tank.Client, r tank.Request) (any, error) {
	var what string
	if err := r.Decode(&what); err != nil {
		return nil, err
	}
	if what != "place an order" {
		return nil, &tank.RequestError{Code: "bad_message", Message: `want "place an order"`}
	}
	return s.place(c.UserID()), nil
}

func (s *service) place(user string) Order {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.placed++
	o := Order{ID: s.placed, User: user, Item: rand.IntN(items)} // #nosec G404 -- a demo's taste
	s.orders = append(s.orders[max(0, len(s.orders)-maxOrders+1):], o)
	s.publish(o)
	return o
}

// advance moves on an order that has not been delivered, most times.
func (s *service) advance() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.orders, func(o Order) bool { return o.Step < delivered && rand.IntN(3) == 0 }); i >= 0 { // #nosec G404 -- a demo's pace
		s.orders[i].Step++
		s.publish(s.orders[i])
	}
}

// publish pushes an order to all whom it concerns. Where that fails, pages load their list again. The library logs what goes wrong.
func (s *service) publish(o Order) {
	for _, topic := range []string{"orders:" + o.User, "orders:all"} {
		if err := tank.TopicOf[Order](s.tkws, topic).Publish(context.Background(), o); err != nil {
			_ = s.tkws.Reset(topic)
		}
	}
}
