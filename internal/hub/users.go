package hub

// users are the sessions of each user, by user id, in any order. Owned by the supervisor.
//
// Invariant: a session that is in a list has its index there as its place.
type users map[string][]*Session

func (u users) add(c *Session) {
	c.place = len(u[c.UserID])
	u[c.UserID] = append(u[c.UserID], c)
}

// remove takes a session out of the list of its user, and puts the last one into its place.
func (u users) remove(c *Session) {
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
