package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// subprotocol is what the server answers a plain socket with that offers a token, so that it need not repeat the token. A page offers
// tank.v2 beside its token, and gets that.
const subprotocol = "tank"

// service lets people log in, and decides who may subscribe to what.
type service struct {
	tkws     *tank.Manager
	sessions *sessions
	log      *slog.Logger
}

func newService(log *slog.Logger, lifetime time.Duration) *service {
	s := &service{log: log}
	signing := make(key, sha256.Size)
	rand.Read(signing) // which does not fail
	s.sessions = &sessions{key: signing, lifetime: lifetime, logouts: make(map[string]int)}
	s.tkws = tank.NewInstance(
		tank.WithAuthenticator(s.authenticate),
		tank.WithConnectHandler(s.connected),
		tank.WithSubscribeAuthorizer(s.authorize),
		tank.WithRequestHandler(s.answerRequest),
		tank.WithMessageHandler(s.receive),
		tank.WithUpgrader(tank.Upgrader{Subprotocols: []string{subprotocol}}),
		tank.WithLogger(log),
	)
	return s
}

// authenticate says whose connection it is going to be, and until when.
func (s *service) authenticate(r *http.Request) (tank.Identity, error) {
	token, _ := tokenOf(r)
	who, err := s.sessions.check(token)
	return identity(who), err
}

func identity(who claims) tank.Identity {
	return tank.Identity{UserID: who.User, Value: who, Expires: who.Expires}
}

// connected looks again: who has logged out since authenticate was not connected yet, and so was not closed by CloseUser.
func (s *service) connected(c *tank.Client, _ *http.Request) error {
	who, _ := tank.ValueOf[claims](c)
	if err := s.sessions.live(who); err != nil {
		return &tank.CloseError{Code: tank.CloseNormal, Reason: "logged out"} // the code of CloseUser
	}
	return nil
}

// authorize decides by topic: orders are their owner's, admin: is for admins, news for everybody who is logged in.
func (s *service) authorize(c *tank.Client, topic string) error {
	who, _ := tank.ValueOf[claims](c)
	kind, name, _ := strings.Cut(topic, ":")
	switch {
	case topic == "news":
		return nil
	case kind == "orders" && name == who.User:
		return nil
	case kind == "admin" && who.Role == "admin":
		return nil
	}
	return errors.New("not this user's topic")
}

// answerRequest renews a session over its connection, for a page. It runs in the connection's own goroutine.
func (s *service) answerRequest(c *tank.Client, r tank.Request) (any, error) {
	var text string
	if err := r.Decode(&text); err != nil {
		return nil, err
	}
	return s.renewOver(c, text)
}

// receive is answerRequest for plain sockets, which get the answer as a message.
func (s *service) receive(c *tank.Client, m tank.Message) {
	text := string(m.Data)
	if m.Binary {
		text = ""
	}
	renewed, err := s.renewOver(c, text)
	var refused *tank.RequestError
	switch {
	case errors.As(err, &refused):
		s.send(c, map[string]map[string]string{"error": {"code": refused.Code, "message": refused.Message}}) // as the library's error frames
	case err == nil:
		s.send(c, map[string]login{"renewed": renewed})
	case !errors.Is(err, tank.ErrClosed):
		s.log.Warn("not renewed", "client", c.ID(), "error", err)
	}
}

// renewOver renews the session of a connection that asks for it.
func (s *service) renewOver(c *tank.Client, text string) (login, error) {
	who, _ := tank.ValueOf[claims](c)
	switch {
	case text != "renew":
		return login{}, &tank.RequestError{Code: "bad_message", Message: `want "renew"`}
	case who.Cookie:
		return login{}, &tank.RequestError{Code: "bad_message", Message: "the token is in a cookie, which a message cannot set: POST /renew does"}
	case s.sessions.live(who) != nil:
		return login{}, tank.ErrClosed // it is being closed
	}
	who, token := s.sessions.renew(who)
	return s.loginOf(who, token), c.Renew(identity(who))
}

// renewConnection lets a connection go on until the new token expires, and tells it: the token came another way.
func (s *service) renewConnection(c *tank.Client, who claims, token string) {
	switch err := c.Renew(identity(who)); {
	case err == nil:
		s.send(c, map[string]login{"renewed": s.loginOf(who, token)})
	case !errors.Is(err, tank.ErrClosed):
		s.log.Warn("not renewed", "client", c.ID(), "error", err)
	}
}

// send tells one connection something.
func (s *service) send(c *tank.Client, what any) {
	text, err := json.Marshal(what)
	if err == nil {
		err = c.Send(tank.Message{Data: text, JSON: true})
	}
	if err != nil && !errors.Is(err, tank.ErrClosed) {
		s.log.Warn("not told", "client", c.ID(), "error", err)
	}
}

// publish has something to say on every topic, until the context ends.
func (s *service) publish(ctx context.Context, every time.Duration) {
	clock := time.NewTicker(every)
	defer clock.Stop()
	topics := []string{"news", "orders:alice", "orders:root", "admin:audit"}
	for {
		select {
		case now := <-clock.C:
			for _, topic := range topics {
				if err := s.tkws.BroadcastTopicMessage(topic, now.Format(time.TimeOnly)); err != nil {
					return
				}
			}
		case <-ctx.Done():
			return
		}
	}
}
