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
	ended    func(s string, reason string)

	mu  sync.Mutex
	all map[string]*session // by id
}

type session struct {
	claims
	timer *time.Timer // ends it when its last token expires
}

// begin logs somebody in.
func (s *sessions) begin(user, role string) (claims, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := rand.Text()
	c := claims{Session: id, User: user, Role: role, Expires: time.Now().Add(s.lifetime)}
	s.all[id] = &session{c, time.AfterFunc(s.lifetime, func() { s.expire(id) })}
	return c, s.key.sign(c)
}

// renew gives a session that has not ended a new token, and as much time again.
func (s *sessions) renew(id string) (claims, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	live := s.all[id]
	if live == nil || !live.timer.Reset(s.lifetime) {
		return claims{}, "", errLoggedOut
	}
	live.Expires = time.Now().Add(s.lifetime)
	return live.claims, s.key.sign(live.claims), nil
}

func (s *sessions) expire(id string) { s.end(id, "token expired") }

// end ends a session, and with it its connections.
func (s *sessions) end(id, reason string) {
	s.mu.Lock()
	live := s.all[id]
	delete(s.all, id)
	s.mu.Unlock()
	if live != nil {
		live.timer.Stop()
		s.ended(id, reason)
	}
}

// endAll ends all of them.
func (s *sessions) endAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, live := range s.all {
		live.timer.Stop()
		delete(s.all, id)
	}
}

// find returns the session of that id, if it has not ended.
func (s *sessions) find(id string) (claims, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	live := s.all[id]
	if live == nil {
		return claims{}, false
	}
	return live.claims, true
}

// check returns the session that a token is for.
func (s *sessions) check(token string) (claims, error) {
	c, err := s.key.verify(token, time.Now())
	if err != nil {
		return claims{}, err
	}
	if _, live := s.find(c.Session); !live {
		return claims{}, errLoggedOut
	}
	return c, nil
}

// The library knows a connection by its user id: here the user and the session, so that one login can be ended, and its
// connections are told apart from those of another one.

func userID(c claims) string { return c.User + "/" + c.Session }

func sessionOf(userID string) string {
	_, id, _ := strings.Cut(userID, "/")
	return id
}
