package tank

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/hub"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Identity says who a client is. The authenticator returns it.
type Identity struct {
	// UserID is what Client.UserID returns: up to 128 bytes of UTF-8 without control characters. It must not be empty, unless the
	// identity is anonymous: then a UUID takes its place.
	UserID string
	// Value is what Client.Value returns: a session, a set of roles, whatever the application needs to know. Several goroutines
	// may read it.
	Value any
	// Expires is when the credentials do. Within a second after that, the client is closed with 3000 "credentials expired", unless
	// Client.Renew has moved it on. A time that has passed is refused. Zero: never.
	Expires time.Time
	// Anonymous says that nothing proves the UserID. Client.Authenticated is false then, and Limits.ConnectionsPerUser does not
	// apply.
	Anonymous bool
}

// Value returns the Value of the client's Identity, which the last Renew has set, or the authenticator; nil without one.
func (c *Client) Value() any {
	if value := c.session.Value.Load(); value != nil {
		return *value
	}
	return nil
}

// ValueOf returns Client.Value as a T, and whether it is one. It is false for a nil client.
func ValueOf[T any](c *Client) (value T, ok bool) {
	if c != nil {
		value, ok = c.Value().(T)
	}
	return value, ok
}

// Authenticated reports whether an authenticator has named the user. Without one, and for an anonymous identity, it is false.
func (c *Client) Authenticated() bool { return c.session.Authenticated }

// Renew gives the client a new Value, and a new time at which its credentials expire. The user has to be the same. Then the
// subscribe authorizer is asked about all topics of the client, those of Client.Subscribe included, in the caller's goroutine. A
// subscription that it refuses ends, with an error frame "forbidden" and an unsubscribe event. Renew blocks as long as the authorizer
// does. While another call of it asks the authorizer, it returns at once, and that call asks again; so an authorizer must not call it
// each time that it is asked.
//
// It returns ErrInvalidIdentity, and nothing has changed, for another user, an identity that is anonymous while the client is
// authenticated or the reverse, and credentials that have expired; and ErrClosed when the connection or the instance has ended or
// is about to.
func (c *Client) Renew(who Identity) error {
	if err := c.checkRenewal(who); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidIdentity, err)
	}
	if err := c.m.hub.Renew(&c.session, who.Expires, who.Value); err != nil {
		return err
	}
	if c.m.config.authorizeSubscribe != nil {
		c.reauthorizeAll()
	}
	return nil
}

// maxRenewals is how many times in a row a client's topics are looked at because it was renewed meanwhile.
const maxRenewals = 100

// reauthorizeAll asks the authorizer about all topics. While one call is at it, another one, maybe the authorizer's own, only has it
// begin again.
func (c *Client) reauthorizeAll() {
	if c.renewals.Add(1) > 1 {
		return
	}
	asked := false
	defer func() {
		if !asked { // also when the authorizer ends the goroutine
			c.report(CodeInternal, "renewal failed", "", nil)
			c.session.Client.Close(wire.InternalError)
		}
	}()
	for range maxRenewals {
		seen := c.renewals.Load()
		for _, topic := range c.Topics() {
			c.reauthorize(topic)
		}
		if asked = c.renewals.CompareAndSwap(seen, 0); asked {
			return
		}
	}
}

func (c *Client) checkRenewal(who Identity) error {
	switch {
	case who.Anonymous && c.Authenticated():
		return errors.New("the client is authenticated, and the identity is anonymous")
	case !who.Anonymous && !c.Authenticated():
		return errors.New("the client is not authenticated, and the identity is not anonymous")
	case who.UserID != c.UserID() && (who.UserID != "" || !who.Anonymous):
		return fmt.Errorf("the client's user is %s and not %s", wire.Quote(c.UserID()), wire.Quote(who.UserID))
	}
	return checkExpiry(who.Expires)
}

// reauthorize ends a subscription that the authorizer does not allow any more. Any goroutine may call it.
func (c *Client) reauthorize(topic string) {
	err := c.authorize(topic, "subscription ended", func() error { return c.m.config.authorizeSubscribe(c, topic) })
	if err == nil {
		return
	}
	why := hub.EndReason{Code: wire.RefusedForbidden, Message: "the subscription is not allowed any more"}
	if c.m.hub.Unsubscribe(&c.session, topic, why) == nil && c.Protocol() == V1 {
		c.answer(0, topic, err)
	}
}

var errExpired = errors.New("credentials expired")

func checkExpiry(expires time.Time) error {
	if !expires.IsZero() && !expires.After(time.Now()) {
		return errExpired
	}
	return nil
}

// identify makes a Client of who the request comes from, and says when the credentials expire. When it refuses, it has answered the
// request.
func (m *Manager) identify(w http.ResponseWriter, r *http.Request) (c *Client, expires time.Time, ok bool) {
	who := Identity{Anonymous: true}
	var invalid error
	if m.config.authenticate == nil {
		who.UserID, invalid = userIDFromQuery(r.URL.RawQuery)
	} else {
		var err error
		if who, err = m.authenticate(r); err != nil {
			m.refuse(w, http.StatusUnauthorized, &ErrorEvent{Code: CodeAuth, Message: "authentication failed", Err: forbidden(err)})
			return nil, expires, false
		}
	}
	id := uuid.NewString()
	who.UserID = cmp.Or(strings.Clone(who.UserID), id) // a piece of the request would keep all of it
	if invalid == nil {
		invalid = wire.CheckUserID(who.UserID)
	}
	if invalid != nil {
		err := fmt.Errorf("%w: %w", ErrInvalidUserID, invalid)
		m.refuse(w, http.StatusBadRequest, &ErrorEvent{Code: CodeUpgrade, Message: "request refused", Err: err})
		return nil, expires, false
	}
	c = &Client{m: m, session: hub.Session{ID: id, UserID: who.UserID, Authenticated: !who.Anonymous}}
	if who.Value != nil {
		c.session.Value.Store(&who.Value)
	}
	return c, who.Expires, true
}

// authenticate asks the authenticator.
func (m *Manager) authenticate(r *http.Request) (who Identity, err error) {
	err = actor.Try(func() error {
		who, err = m.config.authenticate(r)
		return err
	})
	switch {
	case err != nil:
		return who, err
	case who.UserID == "" && !who.Anonymous:
		return who, errors.New("the user id is empty, and the identity is not anonymous")
	}
	return who, checkExpiry(who.Expires)
}

// userIDFromQuery returns the query parameter user_id, or "" when there is none. The error is no url.EscapeError, which is a
// piece of the query and would keep all of it.
func userIDFromQuery(query string) (string, error) {
	values, err := url.ParseQuery(query)
	switch {
	case values.Has("user_id"): // whatever else is malformed is none of our business
		return values.Get("user_id"), nil
	case err != nil:
		return "", errors.New(err.Error())
	}
	return "", nil
}
