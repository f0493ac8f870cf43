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

// subprotocol is what the server answers with when a token was offered before it, so that it need not repeat the token.
const subprotocol = "tank"

// ending is why a connection is closed, in close codes of this application's own (RFC 6455, section 7.4.2).
type ending struct {
	code   int
	reason string
}

var (
	expired   = ending{4001, "token expired"}
	loggedOut = ending{4002, "logged out"}
	tooLate   = ending{4003, "session ended"} // while the connection was being made
)

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
	s.sessions = &sessions{key: signing, lifetime: lifetime, ended: s.sessionEnded, all: make(map[string]*session)}
	s.tkws = tank.NewInstance(
		tank.WithAuthenticator(s.authenticate),
		tank.WithSubscribeAuthorizer(s.authorize),
		tank.WithMessageHandler(s.receive),
		tank.WithUpgrader(tank.Upgrader{Subprotocols: []string{subprotocol}}),
		tank.WithLogger(log),
	)
	return s
}

// authenticate says whose connection it is going to be.
func (s *service) authenticate(r *http.Request) (tank.Identity, error) {
	token, _ := tokenOf(r)
	live, err := s.sessions.check(token)
	if err != nil {
		return tank.Identity{}, err
	}
	return tank.Identity{UserID: userID(live.claims)}, nil
}

// authorize decides by topic: orders are their owner's, admin: is for admins, news for everybody who is logged in.
func (s *service) authorize(c *tank.Client, topic string) error {
	who, live := s.sessions.find(sessionOf(c.UserID()))
	if !live {
		return errLoggedOut
	}
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

// receive renews a session over its connection, which goes on. It runs in the connection's own goroutine.
func (s *service) receive(c *tank.Client, m tank.Message) {
	id := sessionOf(c.UserID())
	live, ok := s.sessions.find(id)
	switch {
	case !ok: // it is being closed
	case m.Binary || string(m.Data) != "renew":
		s.send(c, refusal("bad_message", `want "renew"`))
	case live.cookie:
		s.send(c, refusal("bad_message", "the token is in a cookie, which a message cannot set: POST /renew does"))
	default:
		if renewed, token, err := s.sessions.renew(id); err == nil {
			s.send(c, map[string]login{"renewed": s.loginOf(renewed, token)})
		}
	}
}

// refusal looks like the library's error frames.
func refusal(code, message string) map[string]map[string]string {
	return map[string]map[string]string{"error": {"code": code, "message": message}}
}

// send tells one connection something.
func (s *service) send(c *tank.Client, what any) {
	text, err := json.Marshal(what)
	if err == nil {
		err = c.Send(tank.Message{Data: text})
	}
	if err != nil && !errors.Is(err, tank.ErrClosed) {
		s.log.Warn("not told", "client", c.ID(), "error", err)
	}
}

// connections returns those of a session. It looks at all that there are, which is no matter for thousands; for more, keep
// a table of Client.ID by session, from ConnEvents, and ask GetClient.
func (s *service) connections(session string) (list []*tank.Client) {
	for _, c := range s.tkws.GetAllClients() {
		if sessionOf(c.UserID()) == session {
			list = append(list, c)
		}
	}
	return list
}

// sessionEnded closes the connections of a session.
func (s *service) sessionEnded(id string, why ending) {
	for _, c := range s.connections(id) {
		s.close(c, why)
	}
}

func (s *service) close(c *tank.Client, why ending) {
	if err := c.Close(tank.CloseCode(why.code), why.reason); err != nil && !errors.Is(err, tank.ErrClosed) {
		s.log.Warn("not closed", "client", c.ID(), "error", err)
	}
}

// watch closes those who were let in just before their session ended, and so were not there yet to be closed with it. It
// returns after Shutdown.
func (s *service) watch() {
	for e := range s.tkws.ConnEvents {
		if e.EventType != tank.EventConnect {
			continue
		}
		if _, live := s.sessions.find(sessionOf(e.UserID)); live {
			continue
		}
		if c := s.tkws.GetClient(e.ClientID); c != nil {
			s.close(c, tooLate)
		}
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
