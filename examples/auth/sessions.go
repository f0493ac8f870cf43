package main

import (
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"time"
)

var errLoggedOut = errors.New("the session has ended")

// sessions are the logins that have not ended. A token alone would do to let somebody in; they are there to end connections
// when a token expires or its owner logs out.
type sessions struct {
	key      key
	lifetime time.Duration // of a token
	ended    func(id string, why ending)

	mu  sync.Mutex
	all map[string]*session // by id
}

type session struct {
	claims
	cookie bool        // its token is in a cookie, where scripts do not see it, and nowhere else
	timer  *time.Timer // ends it when its last token expires
}

// begin logs somebody in, and returns the first token.
func (s *sessions) begin(user, role string, cookie bool) (session, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := rand.Text()
	live := &session{
		claims: claims{Session: id, User: user, Role: role, Expires: time.Now().Add(s.lifetime)},
		cookie: cookie,
		timer:  time.AfterFunc(s.lifetime, func() { s.end(id, expired) }),
	}
	s.all[id] = live
	return *live, s.key.sign(live.claims)
}

// renew gives a session that has not ended a new token, and as much time again. The tokens before it stay good until they
// expire, for requests that have not arrived yet.
func (s *sessions) renew(id string) (session, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	live := s.all[id]
	if live == nil || !live.timer.Reset(s.lifetime) { // the timer has fired, and waits for mu to end it
		return session{}, "", errLoggedOut
	}
	live.Expires = time.Now().Add(s.lifetime)
	return *live, s.key.sign(live.claims), nil
}

// end ends a session, and with it its connections. It does nothing when the session has ended.
func (s *sessions) end(id string, why ending) {
	s.mu.Lock()
	live := s.all[id]
	delete(s.all, id)
	s.mu.Unlock()
	if live != nil {
		live.timer.Stop()
		s.ended(id, why)
	}
}

// forget ends all of them, and leaves their connections alone: Shutdown ends those.
func (s *sessions) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, live := range s.all {
		live.timer.Stop()
		delete(s.all, id)
	}
}

// find returns the session of that id, if it has not ended.
func (s *sessions) find(id string) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	live := s.all[id]
	if live == nil {
		return session{}, false
	}
	return *live, true
}

// of returns the ids of the sessions of a user.
func (s *sessions) of(user string) (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, live := range s.all {
		if live.User == user {
			ids = append(ids, id)
		}
	}
	return ids
}

// check returns the session that a token is for.
func (s *sessions) check(token string) (session, error) {
	c, err := s.key.verify(token, time.Now())
	if err != nil {
		return session{}, err
	}
	live, ok := s.find(c.Session)
	if !ok {
		return session{}, errLoggedOut
	}
	return live, nil
}

// The library knows a connection by its user id: here the user and the session, so that one login can be ended, and its
// connections are told apart from those of another one.

func userID(c claims) string { return c.User + "/" + c.Session }

func sessionOf(userID string) string {
	_, id, _ := strings.Cut(userID, "/")
	return id
}
