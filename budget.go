package tank

import "errors"

var errBudget = errors.New("too much is on its way to all clients together, and the most to this one")

// handle closes the client that has the most on its way; to find it, it looks at all of them. It is called again if that is
// not enough. When nobody is left whom it could close, it is called again when there is more on its way.
func (overBudget) handle(s *supervisor) {
	budget := &s.m.clientOptions.Budget
	if !budget.IsExceeded() { // others have made room meanwhile
		budget.Eased()
		return
	}
	var largest *Client
	most := int64(0)
	for _, c := range s.clients {
		if queued := c.conn.Queued(); queued > most && !c.conn.Closing() {
			largest, most = c, queued
		}
	}
	if largest == nil || !largest.conn.Evict(errBudget) {
		budget.Eased()
	}
}
