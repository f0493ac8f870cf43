package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// claims are what a token says, and its signature proves.
type claims struct {
	Session string    `json:"session"`
	User    string    `json:"user"`
	Role    string    `json:"role"`
	Cookie  bool      `json:"cookie"`  // the token is in a cookie, where scripts do not see it, and nowhere else
	Logouts int       `json:"logouts"` // how often the user had logged out everywhere
	Expires time.Time `json:"expires"`
}

// What can be wrong with a token. None of them says what the token was: it may be somebody's.
var (
	errMalformed = errors.New("the token is malformed")
	errSignature = errors.New("the token's signature is wrong")
	errExpired   = errors.New("the token has expired")
)

// key signs tokens, with HMAC-SHA256.
type key []byte

// sign makes a token: the claims and their signature, in letters that a subprotocol and a cookie may have (RFC 9110, section
// 5.6.2).
func (k key) sign(c claims) string {
	payload, err := json.Marshal(c)
	if err != nil {
		panic(err) // not with these fields
	}
	return encode(payload) + "." + encode(k.mac(payload))
}

// verify returns the claims of a token that was signed with this key and has not expired.
func (k key) verify(token string, now time.Time) (c claims, err error) {
	first, second, _ := strings.Cut(token, ".")
	payload, err := base64.RawURLEncoding.Strict().DecodeString(first)
	if err != nil {
		return claims{}, errMalformed
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(second)
	if err != nil {
		return claims{}, errMalformed
	}
	if !hmac.Equal(signature, k.mac(payload)) { // in constant time, and before anything is believed
		return claims{}, errSignature
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return claims{}, errMalformed
	}
	if !now.Before(c.Expires) {
		return claims{}, errExpired
	}
	return c, nil
}

func (k key) mac(payload []byte) []byte {
	h := hmac.New(sha256.New, k)
	h.Write(payload)
	return h.Sum(nil)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
