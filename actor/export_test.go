package actor

// NewMailbox returns an empty mailbox whose owner is idle, see Mailbox.init.
func NewMailbox[M any](limit int, wake func()) *Mailbox[M] {
	b := new(Mailbox[M])
	b.init(limit, waker(wake))
	return b
}

type waker func()

func (w waker) schedule() { w() }
