// Package proc starts the servers, watches what they use, ends them, and says what machine this is. Linux only.
package proc

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// CPU returns the time that all threads of a process have spent on processors, in user and in kernel mode, the
// ended ones included. It is the process's CPU clock, which is that of /proc/PID/stat in nanoseconds instead of
// hundredths of a second.
func CPU(pid int) (time.Duration, error) {
	const schedulerClock = 2              // CPUCLOCK_SCHED of the kernel, which has no name in Go
	id := int32(^pid)<<3 | schedulerClock // as clock_getcpuclockid(3) makes it
	var ts syscall.Timespec
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(id), uintptr(unsafe.Pointer(&ts)), 0) // #nosec G103 -- the system call takes a pointer
	if errno != 0 {
		return 0, fmt.Errorf("CPU clock of process %d: %w", pid, errno)
	}
	return time.Duration(ts.Nano()), nil
}

// Resident returns a process's resident memory in bytes, from /proc/PID/status. What the kernel keeps for its sockets
// is not part of it.
func Resident(pid int) (int64, error) {
	name := fmt.Sprintf("/proc/%d/status", pid)
	status, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no VmRSS", name)
}
