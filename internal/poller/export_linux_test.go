package poller

import "time"

// Break makes the edge end, as an error of the kernel's does.
func (p *Poller) Break() { p.ref.Post(broken{}) }

type broken struct{}

func (broken) handle(l *lobby) { _ = l.kernel.file.SetReadDeadline(time.Unix(1, 0)) }
