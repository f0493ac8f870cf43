package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// TasksetProgram binds processes to cores. It is part of util-linux.
const TasksetProgram = "taskset"

// Cores are the numbers of those that this process may run on.
func Cores() ([]int, error) {
	list, err := allowed("/proc/self/status")
	if err != nil {
		return nil, err
	}
	return parseCores(list)
}

// allowed reads the list of cores from a status file, see proc(5).
func allowed(name string) (string, error) {
	status, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(status)) {
		if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			return strings.TrimSpace(list), nil
		}
	}
	return "", fmt.Errorf("%s has no Cpus_allowed_list", name)
}

// parseCores reads a list such as 0-3,8.
func parseCores(list string) (cores []int, err error) {
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil || from > to {
			return nil, fmt.Errorf("a list of cores: %q", list)
		}
		for n := from; n <= to; n++ {
			cores = append(cores, n)
		}
	}
	return cores, nil
}

// CoreList writes a list that parseCores and taskset read, with ranges where they are shorter.
func CoreList(cores []int) string {
	var parts []string
	for i := 0; i < len(cores); {
		end := i + 1
		for end < len(cores) && cores[end] == cores[end-1]+1 {
			end++
		}
		part := strconv.Itoa(cores[i])
		if end > i+1 {
			part += "-" + strconv.Itoa(cores[end-1])
		}
		parts = append(parts, part)
		i = end
	}
	return strings.Join(parts, ",")
}

// On is a command that runs on some cores only. taskset becomes the program, so the process is the program's.
func On(cores []int, command []string) []string {
	return append([]string{TasksetProgram, "-c", CoreList(cores)}, command...)
}

// bindTries is how often Bind tries: a thread may end while taskset looks at it, or may be started meanwhile by one that is not bound yet.
const bindTries = 10

// Bind binds this process, with all of its threads, to some cores, and has Go use as many. Processes that it starts inherit that.
func Bind(ctx context.Context, cores []int) error {
	list := CoreList(cores)
	var err error
	for range bindTries {
		var said bytes.Buffer
		cmd := exec.CommandContext(ctx, TasksetProgram, "-a", "-c", "-p", list, strconv.Itoa(os.Getpid()))
		cmd.Stderr = &said
		if err = cmd.Run(); err == nil && bound(list) {
			runtime.SetDefaultGOMAXPROCS()
			return nil
		}
		if err != nil {
			err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(said.Bytes()))
		}
	}
	return errors.Join(fmt.Errorf("threads are not bound to the cores %s", list), err)
}

// bound reports whether all threads of this process are. One that has ended meanwhile is no obstacle.
func bound(list string) bool {
	threads, err := filepath.Glob("/proc/self/task/*/status")
	for _, name := range threads {
		if has, e := allowed(name); e == nil && has != list {
			return false
		}
	}
	return err == nil
}
