package hub

import (
	"net/netip"
	"strings"
	"time"

	"github.com/fanqie/tank-websocket-go-server/client"
)

// What a closed connection has left of its rates. All functions in this file run in the supervisor's
// goroutine, but networkOf, which runs in the edge that registers a session.
//
// A connection has a rate of its own, also where others have the same user or address: a whole site may stand behind one
// proxy. So that a client gains nothing by connecting again, a new connection begins with the emptiest allowance that a closed
// one of its source has left. Connections that are open meanwhile do not count: who opens the new one before closing the old
// one begins with a full allowance.

// source is the origin of a connection: a user that the authenticator has named, or else a network address.
type source struct {
	user    string
	network string
}

// source returns the origin of a session.
func (s *Session) source() source {
	if s.Authenticated {
		return source{user: s.UserID}
	}
	return source{network: s.network}
}

// hostBits6 is how many bits of an IPv6 address name its network. The others are for its owner to choose.
const hostBits6 = 64

// networkOf returns an address without what the peer can choose freely: its port, and the second half of an IPv6 address.
func networkOf(addr string) string {
	var ip netip.Addr
	if parsed, err := netip.ParseAddrPort(addr); err == nil {
		ip = parsed.Addr()
	} else if ip, err = netip.ParseAddr(strings.Trim(addr, "[]")); err != nil {
		return addr // such as that of a Unix socket
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		return netip.PrefixFrom(ip, hostBits6).Masked().String()
	}
	return ip.String()
}

// allowances are what closed connections have left, by source. Owned by the supervisor.
//
// They are kept in two generations. After the time in which the emptiest allowance becomes full, all that are in the old one
// are full, and forgotten together.
type allowances struct {
	lifetime time.Duration
	most     int // in one generation
	young    map[source]client.Allowance
	old      map[source]client.Allowance
	turned   time.Time // when the young generation began
}

// maxAllowances is how many sources one generation holds, so at most twice as many are remembered, in some 16 MiB. When there are
// more within a lifetime, the oldest are forgotten.
const maxAllowances = 1 << 16

func newAllowances(lifetime time.Duration, most int) *allowances {
	return &allowances{lifetime: lifetime, most: most, turned: time.Now()}
}

// leave takes note of what a closed connection has left.
func (a *allowances) leave(from source, left client.Allowance) {
	a.expire()
	if left.IsFull() {
		return
	}
	left = left.Emptier(a.left(from))
	if _, known := a.young[from]; !known && len(a.young) >= a.most {
		a.turn()
	}
	if a.young == nil {
		a.young = make(map[source]client.Allowance)
	}
	a.young[from] = left
}

// left returns the emptiest allowance that is known of a source. It may be full.
func (a *allowances) left(from source) client.Allowance {
	if left, ok := a.young[from]; ok {
		return left
	}
	return a.old[from]
}

// expire forgets what has become full, at some time after it has.
func (a *allowances) expire() {
	if time.Since(a.turned) >= a.lifetime {
		a.turn()
	}
}

// turn begins a new generation.
func (a *allowances) turn() {
	a.young, a.old, a.turned = nil, a.young, time.Now()
}
