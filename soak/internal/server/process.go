package server

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// Process is the server as the load sees it.
type Process struct {
	Address string

	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *json.Decoder
	pipe  io.Closer
}

// Spawn runs this program again as a server, and waits until it listens. It must be stopped.
func Spawn(config Config) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), Variable+"="+string(text))
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the load, which ends it in order
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.lines, p.pipe = json.NewDecoder(bufio.NewReader(stdout)), stdout
	var first Line
	if err := p.lines.Decode(&first); err != nil || first.Address == "" {
		p.Stop()
		return nil, fmt.Errorf("the server does not listen: %w", err)
	}
	p.Address = first.Address
	return p, nil
}

// Tell has the server do something.
func (p *Process) Tell(word string) error {
	_, err := io.WriteString(p.stdin, word+"\n")
	return err
}

// Follow hands on the server's samples until it reports its end.
func (p *Process) Follow(sample func(Sample)) (*End, error) {
	for {
		var l Line
		if err := p.lines.Decode(&l); err != nil {
			return nil, errors.Join(errors.New("the server ended without a report"), err)
		}
		if l.Sample != nil {
			sample(*l.Sample)
		}
		if l.End != nil {
			return l.End, nil
		}
	}
}

// Stop ends the process at once, if it has not ended by itself.
func (p *Process) Stop() {
	p.stdin.Close()
	p.cmd.Process.Kill()
	p.cmd.Wait()
}
