package brokertest

// kept reports whether a subscription is one to a name that is kept.
func (s *server) kept(sub *subscription) bool { return s.keeps && sub.Keep }

// begin tells a subscription where it stands. The offset may be that of another name.
func (s *server) begin(sub *subscription, offset uint64) {
	sub.epoch, sub.last = s.epoch, offset
	sub.node.queueBegan(sub, s.epochName(), offset)
}

// lose tells a subscription that messages are missing, up to an offset.
func (s *server) lose(sub *subscription, cause error, offset uint64) {
	sub.node.queueCall(sub, func() { sub.To.Lost(cause) })
	if s.kept(sub) {
		s.begin(sub, offset)
	}
}

// fill sends a subscription that is in force again what it has missed, as far as that is kept.
func (s *server) fill(sub *subscription) {
	t := s.topic(s.address(sub.Name, sub.Keep))
	from := sub.last
	if sub.epoch != s.epoch {
		from = 0
	}
	missed, whole := t.behind(from)
	if !whole {
		from = t.dropped
	}
	if !whole || sub.epoch != s.epoch {
		s.lose(sub, errCut, from)
	}
	for _, m := range missed {
		sub.node.queueMessage(sub, m)
	}
}
