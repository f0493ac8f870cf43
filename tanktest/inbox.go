package tanktest

import "time"

// inbox holds what has come and was not looked at, however much that is: a test says what it expects in its own good time,
// and the server must not find out. One of the two channels holds one value; whoever has taken it has the inbox to himself.
type inbox struct {
	full  chan []Message // never an empty list
	empty chan struct{}
}

func newInbox() inbox {
	in := inbox{full: make(chan []Message, 1), empty: make(chan struct{}, 1)}
	in.giveBack(nil)
	return in
}

func (in inbox) grab() []Message {
	select {
	case list := <-in.full:
		return list
	case <-in.empty:
		return nil
	}
}

func (in inbox) giveBack(list []Message) {
	if len(list) == 0 {
		in.empty <- struct{}{}
	} else {
		in.full <- list
	}
}

// put adds a message.
func (in inbox) put(m Message) { in.giveBack(append(in.grab(), m)) }

// peek returns all that is there, and leaves it.
func (in inbox) peek() []Message {
	list := in.grab()
	in.giveBack(list)
	return list
}

// clear returns all that is there, and takes it.
func (in inbox) clear() []Message {
	list := in.grab()
	in.giveBack(nil)
	return list
}

// take returns the oldest message. It waits for one until nothing more will come, or for the timeout.
func (in inbox) take(ended <-chan struct{}, timeout time.Duration) (m Message, ok bool) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	var list []Message
	select {
	case list = <-in.full:
	case <-ended:
		list = in.grab() // there may be something all the same
	case <-timer.C:
		list = in.grab()
	}
	if len(list) == 0 {
		in.giveBack(nil)
		return Message{}, false
	}
	in.giveBack(list[1:])
	return list[0], true
}
