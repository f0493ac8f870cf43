package proc

import (
	"bytes"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// Machine is where figures were measured, without which they mean nothing.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memory_bytes"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Arch   string `json:"arch"`
}

// ThisMachine describes it as far as it can.
func ThisMachine() Machine {
	m := Machine{CPU: "unknown", Cores: runtime.NumCPU(), Kernel: "unknown", Go: runtime.Version(), Arch: runtime.GOARCH}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		// The number alone: what follows names the builder's machine and is nobody's business.
		number, _, _ := strings.Cut(string(bytes.TrimSpace(release)), "-")
		m.Kernel = number
	}
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) == nil {
		m.Memory = int64(uint64(info.Totalram) * uint64(info.Unit))
	}
	return m
}

// openFiles is how many a process is allowed to have here: 10,000 connections need as many, and no more are opened.
const openFiles = 20_000

// RaiseOpenFiles raises the limit of open files for this process and those it starts, as far as it may.
func RaiseOpenFiles() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = min(limit.Max, openFiles)
	// Having been set by hand, it is inherited; what Go raises by itself at the start is not.
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}
