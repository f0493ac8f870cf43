package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

const (
	cookieName   = "session"
	subprotocol  = "tank"    // what the server answers with, so that it need not repeat the token
	bearer       = "bearer." // begins the subprotocol that is a token
	closeExpired = 4001      // a close code of this application's own, RFC 6455 section 7.4.2
)

// account is a demo user: who may log in, and as what.
type account struct{ password, role string }

var accounts = map[string]account{
	"alice": {"wonderland", "customer"},
	"root":  {"toor", "admin"},
}

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

// authenticate takes the token from the first subprotocol, which is all that a page can say beside the address, or else from
// the cookie. A cookie comes along with requests that other sites' pages make, too: the origin check is what keeps those out.
func (s *service) authenticate(r *http.Request) (string, error) {
	token, ok := strings.CutPrefix(firstSubprotocol(r), bearer)
	if !ok {
		cookie, err := r.Cookie(cookieName)
		if err != nil {
			return "", errors.New("neither a token in the subprotocol nor a cookie")
		}
		token = cookie.Value
	}
	c, err := s.sessions.check(token)
	if err != nil {
		return "", err
	}
	return userID(c), nil
}

func firstSubprotocol(r *http.Request) string {
	first, _, _ := strings.Cut(r.Header.Get("Sec-WebSocket-Protocol"), ",")
	return strings.TrimSpace(first)
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

// receive renews a session over its connection, which goes on.
func (s *service) receive(c *tank.Client, m tank.Message) {
	if string(m.Data) != "renew" {
		return
	}
	renewed, token, err := s.sessions.renew(sessionOf(c.UserID()))
	if err != nil {
		return // it is being closed
	}
	text, err := json.Marshal(map[string]any{"renewed": login{renewed, token}})
	if err == nil {
		err = c.Send(tank.Message{Data: text})
	}
	if err != nil && !errors.Is(err, tank.ErrClosed) {
		s.log.Warn("renewal not told", "client", c.ID(), "error", err)
	}
}

// sessionEnded closes the connections of a session.
func (s *service) sessionEnded(id, reason string) {
	for _, c := range s.tkws.GetAllClients() {
		if sessionOf(c.UserID()) == id {
			s.close(c, reason)
		}
	}
}

func (s *service) close(c *tank.Client, reason string) {
	if err := c.Close(closeExpired, reason); err != nil && !errors.Is(err, tank.ErrClosed) {
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
			s.close(c, "session ended")
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

// login is what a page is told about its session.
type login struct {
	claims
	Token string `json:"token"`
}

func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /ws", s.tkws)
	mux.HandleFunc("POST /login", s.logIn)
	mux.HandleFunc("POST /logout", s.logOut)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	return http.NewCrossOriginProtection().Handler(mux) // other sites' pages do not log anybody in or out
}

func (s *service) logIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	name, given := r.PostFormValue("name"), sha256.Sum256([]byte(r.PostFormValue("password")))
	a, known := accounts[name]
	want := sha256.Sum256([]byte(a.password))
	if right := subtle.ConstantTimeCompare(given[:], want[:]) == 1; !known || !right { // both looked at, whichever is wrong
		http.Error(w, "wrong name or password", http.StatusUnauthorized)
		return
	}
	c, token := s.sessions.begin(name, a.role)
	setCookie(w, r, token, s.sessions.lifetime)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(login{c, token}) // whoever asked may have gone
}

// logOut ends all sessions of the user whose cookie comes along, and so all of that user's connections.
func (s *service) logOut(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(cookieName); err == nil {
		if c, err := s.sessions.check(cookie.Value); err == nil {
			for _, id := range s.sessions.of(c.User) {
				s.sessions.end(id, "logged out")
			}
		}
	}
	setCookie(w, r, "", -time.Second)
	w.WriteHeader(http.StatusNoContent)
}

// of returns the sessions of a user.
func (s *sessions) of(user string) (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, live := range s.all {
		if live.User == user {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// setCookie gives the browser a token that scripts cannot read and that other sites' forms do not send along.
func setCookie(w http.ResponseWriter, r *http.Request, token string, lifetime time.Duration) {
	http.SetCookie(w, &http.Cookie{ // #nosec G124 -- a demo runs without TLS, too
		Name: cookieName, Value: token, Path: "/", MaxAge: int(lifetime.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil,
	})
}
