package actor

// NewMailbox returns an empty mailbox whose owner is idle, see Mailbox.init.
func NewMailbox[M any](limit int, wake func()) *Mailbox[M] {
	b := new(Mailbox[M])
	b.init(limit, wake)
	return b
}
