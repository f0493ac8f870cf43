package suite

import (
	"fmt"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/proc"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/report"
)

// layout is on which cores the server and the load generator run.
type layout struct{ server, load []int }

// loadCores is how many cores the load generator needs, which reads in one thread and writes in another.
const loadCores = 2

// layouts are those of a machine with so many cores: one core for the server, two, four and so on, as long as enough are left for the
// load generator, which has the same ones each time; and at last all cores for both. With two cores there are none left, so both run on
// one core and then on two.
func layouts(cores []int) (list []layout) {
	most := 0 // cores of a server that shares none
	for n := 1; n+loadCores <= len(cores); n *= 2 {
		most = n
	}
	for n := 1; n <= most; n *= 2 {
		list = append(list, layout{cores[:n], cores[most:]})
	}
	for n := 1; most == 0 && n < len(cores); n *= 2 {
		list = append(list, layout{cores[:n], cores[:n]})
	}
	return append(list, layout{cores, cores})
}

// shared reports whether the two run on the same cores.
func (l layout) shared() bool { return l.server[0] == l.load[0] }

func (l layout) name() string {
	name := "1 core"
	if n := len(l.server); n > 1 {
		name = fmt.Sprintf("%d cores", n)
	}
	if l.shared() {
		name += ", shared"
	}
	return name
}

func (l layout) report() report.Layout {
	return report.Layout{Name: l.name(), Server: proc.CoreList(l.server), Load: proc.CoreList(l.load), Shared: l.shared()}
}

// machineLayouts are those of this machine, or of the part of it that this process may use. Where that is not known, there is one.
func machineLayouts() []layout {
	cores, err := proc.Cores()
	if err != nil {
		cores = []int{0}
	}
	return layouts(cores)
}

// CountLayouts returns how many layouts the mode cores has here.
func CountLayouts() int { return len(machineLayouts()) }
