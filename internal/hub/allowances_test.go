package hub

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/client"
)

func TestNetworkOfAnAddress(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7:1234":               "192.0.2.7",
		"[::ffff:192.0.2.7]:1234":      "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:1":     "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::]:65535":  "2001:db8:1:2::/64",
		"[2001:db8:1:3::]:1":           "2001:db8:1:3::/64",
		"[fe80::1%eth0]:1":             "fe80::/64",
		"[::1]:1":                      "::/64",
		"@":                            "@",
		"":                             "",
		"pipe":                         "pipe",
		"example.test:80":              "example.test:80",
		"192.0.2.7:not a port at all!": "192.0.2.7:not a port at all!",
	} {
		if got := networkOf(addr); got != want {
			t.Errorf("the network of %q is %q, want %q", addr, got, want)
		}
	}
}

// A user whose name is an address is not that address.
func TestSourcesOfUsersAndOfNetworksDiffer(t *testing.T) {
	if user, network := (source{user: "192.0.2.7"}), (source{network: "192.0.2.7"}); user == network {
		t.Error("they are the same")
	}
}

// spend returns what a client has left after each of so many messages, the first one being the full allowance.
func spend(t *testing.T, m *instance, messages int) []client.Allowance {
	t.Helper()
	l := serveHTTP(t, m)
	conn := dial(t, l, "ann", 64<<10)
	defer conn.Close()
	c := m.all()[0].Client
	all := []client.Allowance{c.Allowance()}
	for range messages {
		conn.Write([]byte{0x81, 0x80, 0, 0, 0, 0})
		synctest.Wait()
		all = append(all, c.Allowance())
	}
	return all
}

// TestAllowancesAgainstAModel: the model remembers every allowance for ever.
func TestAllowancesAgainstAModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			m := start(t, nil)
			spent := spend(t, m, 20) // 10 ms each
			a := newAllowances(time.Second, 1000)
			model := make(map[source]client.Allowance)
			for range rapid.IntRange(1, 30).Draw(r, "steps") {
				from := source{user: string(rapid.RuneFrom([]rune("abc")).Draw(r, "user"))}
				switch rapid.IntRange(0, 2).Draw(r, "step") {
				case 0:
					left := rapid.SampledFrom(spent).Draw(r, "left")
					a.leave(from, left)
					model[from] = left.Emptier(model[from])
				case 1:
					time.Sleep(time.Duration(rapid.IntRange(0, 300).Draw(r, "ms")) * time.Millisecond)
				case 2:
					a.expire()
				}
				got, want := a.left(from), model[from]
				if got != want && !(got.IsFull() && want.IsFull()) {
					r.Fatalf("%v has %v left, want %v", from, got, want)
				}
			}
		})
	})
}

func TestAllowancesAreBoundedAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := start(t, nil)
		spent := spend(t, m, 200)
		empty := spent[len(spent)-1]
		const most, lifetime = 100, time.Minute
		a := newAllowances(lifetime, most)
		who := func(i int) source { return source{network: fmt.Sprint(i)} }
		a.leave(who(-1), spent[0])
		if len(a.young) != 0 {
			t.Error("a full allowance is remembered")
		}
		for i := range 10 * most {
			a.leave(who(i), empty)
			if n := len(a.young) + len(a.old); n > 2*most {
				t.Fatalf("%d are remembered", n)
			}
			for j := max(0, i-most+1); j <= i; j++ {
				if a.left(who(j)) != empty {
					t.Fatalf("%d is forgotten after %d more", j, i-j)
				}
			}
		}
		turns := a.turned
		a.leave(who(10*most-1), empty) // which is known
		if a.turned != turns {
			t.Error("one that is known takes the place of others")
		}
		for range 2 {
			time.Sleep(lifetime)
			a.expire()
		}
		if n := len(a.young) + len(a.old); n != 0 {
			t.Errorf("%d are remembered for ever", n)
		}
	})
}

// The table is looked after although nobody comes or goes.
func TestAllowancesAreForgottenByAnIdleInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := start(t, func(c *Config, _ *client.Options) {
			c.HeartbeatInterval, c.HeartbeatTimeout = 25*time.Second, 10*time.Second
		})
		spend(t, m, 200)
		count := func() int {
			return see(m, func(s *supervisor) int { return len(s.allowances.young) + len(s.allowances.old) })
		}
		synctest.Wait()
		if n := count(); n != 1 {
			t.Fatalf("%d are remembered", n)
		}
		time.Sleep(3 * m.config.Refill)
		synctest.Wait()
		if n := count(); n != 0 {
			t.Fatalf("%d are remembered for ever", n)
		}
	})
}

// In a Forwarded header, and in what some middleware makes of it, an IPv6 address has brackets.
func TestNetworkOfAnAddressInBrackets(t *testing.T) {
	for _, addr := range []string{"[2001:db8::1]", "[2001:db8::ffff]", "2001:db8::1", "[2001:db8::1]:80"} {
		if got := networkOf(addr); got != "2001:db8::/64" {
			t.Errorf("the network of %s is %s", addr, got)
		}
	}
}
