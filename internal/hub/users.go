package hub

import "slices"

// users are the sessions of each user, by user id, in any order, less those whose user has no other id than their own. Owned by the
// supervisor.
//
// Invariant: a session that is in a list has its index there as its place.
type users map[string][]*Session

func (u users) add(c *Session) {
	if c.UserID == c.ID {
		return
	}
	c.place = int32(len(u[c.UserID])) // #nosec G115 -- 2^31 do not fit into memory
	u[c.UserID] = append(u[c.UserID], c)
}

// remove takes a session out of the list of its user, and puts the last one into its place.
func (u users) remove(c *Session) {
	if c.UserID == c.ID {
		return
	}
	list := u[c.UserID]
	last := len(list) - 1
	moved := list[last]
	list[c.place], moved.place = moved, c.place
	list[last] = nil
	if last == 0 {
		delete(u, c.UserID)
		return
	}
	u[c.UserID] = list[:last]
}

// sessionsOf returns the sessions of a user, less those that are rejected, in any order.
func (s *supervisor) sessionsOf(user string) []*Session {
	list := s.users[user]
	if c := s.sessions[user]; c != nil && c.UserID == c.ID {
		return append(slices.Clip(list), c)
	}
	return list
}
