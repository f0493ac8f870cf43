package tank

// users are the clients of each user, by user id, in any order. Owned by the supervisor.
//
// Invariant: a client that is in a list has its index there as its place.
type users map[string][]*Client

func (u users) add(c *Client) {
	c.place = len(u[c.userID])
	u[c.userID] = append(u[c.userID], c)
}

// remove takes a client out of the list of its user, and puts the last one into its place.
func (u users) remove(c *Client) {
	list := u[c.userID]
	last := len(list) - 1
	moved := list[last]
	list[c.place], moved.place = moved, c.place
	list[last] = nil
	if last == 0 {
		delete(u, c.userID)
		return
	}
	u[c.userID] = list[:last]
}
