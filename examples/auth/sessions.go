package main

import (
	"crypto/rand"
	"errors"
	"sync"
	"time"
)

var errLoggedOut = errors.New("the user has logged out")

// sessions issues tokens, and takes them back. A session is a chain of tokens, each of which renews the one before; nothing is kept
// of it. What is kept is how often each user has logged out everywhere: the tokens of before are no good.
type sessions struct {
	key      key
	lifetime time.Duration // of a token

	mu      sync.Mutex
	logouts map[string]int // by user
}

// begin logs somebody in, and returns the first token.
func (s *sessions) begin(user, role string, cookie bool) (claims, string) {
	s.mu.Lock()
	logouts := s.logouts[user]
	s.mu.Unlock()
	return s.renew(claims{Session: rand.Text(), User: user, Role: role, Cookie: cookie, Logouts: logouts})
}

// renew issues another token for the same session. The tokens before it stay good until they expire, for requests that have not
// arrived yet.
func (s *sessions) renew(c claims) (claims, string) {
	c.Expires = time.Now().Add(s.lifetime)
	return c, s.key.sign(c)
}

// check returns what a token says, if it is good.
func (s *sessions) check(token string) (claims, error) {
	c, err := s.key.verify(token, time.Now())
	if err == nil {
		err = s.live(c)
	}
	return c, err
}

// live returns an error when the user has logged out since.
func (s *sessions) live(c claims) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.logouts[c.User] != c.Logouts {
		return errLoggedOut
	}
	return nil
}

// logOut takes back all tokens of a user.
func (s *sessions) logOut(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logouts[user]++
}
