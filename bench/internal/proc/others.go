package proc

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Load is how much the machine has worked, and how much of that this process and the servers that it has ended did.
type Load struct {
	at        time.Time
	busy, own time.Duration
}

// NowLoad reads the load.
func NowLoad() Load {
	return Load{time.Now(), busy(), used(syscall.RUSAGE_SELF) + used(syscall.RUSAGE_CHILDREN)}
}

// Others returns the share of the machine's processor time that went to anybody else since before, the neighbours of a
// virtual machine included: 0 is a quiet machine, 1 one that had no time for us.
func (l Load) Others(before Load, cores int) float64 {
	others := (l.busy - before.busy) - (l.own - before.own)
	return max(0, others.Seconds()/(l.at.Sub(before.at).Seconds()*float64(cores)))
}

// busy is the time the processors were not idle, from /proc/stat; 0 where that cannot be read.
func busy() (sum time.Duration) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(stat), "\n")
	const userHZ = 100 // of all architectures that Go knows on Linux
	for i, field := range strings.Fields(first) {
		switch i { // see proc(5)
		case 1, 2, 3, 6, 7, 8: // user, nice, system, irq, softirq, steal
			ticks, _ := strconv.ParseInt(field, 10, 64)
			sum += time.Duration(ticks) * time.Second / userHZ
		}
	}
	return sum
}

// Own is the processor time of this process.
func Own() time.Duration { return used(syscall.RUSAGE_SELF) }

func used(who int) time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(who, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
