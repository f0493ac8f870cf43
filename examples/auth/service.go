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
		tank.WithTokenHandler(s.renewed),
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

// renewed says what a token is worth that a page sends over its connection, before the one in force expires.
func (s *service) renewed(_ *tank.Client, token string) (tank.Identity, error) {
	who, err := s.sessions.check(token)
	return identity(who), err
}

// receive is renewed for plain sockets, which send their token as a message, and get the answer as one.
func (s *service) receive(c *tank.Client, m tank.Message) {
	token, ok := strings.CutPrefix(string(m.Data), "token:")
	if m.Binary || !ok {
		s.refuse(c, "bad_message", "want token:TOKEN")
		return
	}
	if who, err := s.sessions.check(token); err != nil || who.User != c.UserID() {
		s.refuse(c, "forbidden", "the token is refused")
	} else {
		s.renewConnection(c, who)
	}
}

// refuse answers a plain socket as the library's error frames do.
func (s *service) refuse(c *tank.Client, code, message string) {
	s.send(c, map[string]map[string]string{"error": {"code": code, "message": message}})
}

// renewConnection lets a connection go on until the new token expires, and tells it so.
func (s *service) renewConnection(c *tank.Client, who claims) {
	switch err := c.Renew(identity(who)); {
	case err == nil:
		s.send(c, map[string]login{"renewed": s.loginOf(who, "")})
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
