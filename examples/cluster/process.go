package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// brokerCommand is the first argument that makes this program the NATS server. Its address and the folder of its files follow.
const brokerCommand = "broker"

// readyWithin is how long the NATS server may take to start.
const readyWithin = 10 * time.Second

// brokerMain runs the NATS server until standard input ends, so that it does not outlive the program that has started it.
func brokerMain(args []string) int {
	signal.Ignore(os.Interrupt, syscall.SIGTERM) // meant for the program that has started it, which says goodbye to pages first
	if err := serveNATS(args); err != nil {
		fmt.Fprintln(os.Stderr, "broker:", err)
		return 1
	}
	return 0
}

func serveNATS(args []string) error {
	if len(args) != 2 {
		return errors.New("want an address and a folder")
	}
	host, portText, err := net.SplitHostPort(args[0])
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return err
	}
	s, err := server.NewServer(&server.Options{Host: host, Port: port, JetStream: true, StoreDir: args[1], NoLog: true, NoSigs: true})
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(readyWithin) {
		return fmt.Errorf("no server at %s after %v", args[0], readyWithin)
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	s.Shutdown()
	// Nobody is there to start it again.
	return errors.Join(err, os.RemoveAll(filepath.Join(args[1], server.JetStreamStoreDir)), os.Remove(args[1])) // #nosec G703 -- its own files
}

// process is the NATS server as a process, which can be killed and started again at the same address, with the same files.
type process struct {
	addr string
	dir  string // outlives the process, and so does what the server has stored

	mu    sync.Mutex
	cmd   *exec.Cmd     // nil: killed, or ended by itself
	ended chan struct{} // closed when cmd has ended
	since time.Time     // when it was started, or has ended
}

var errRunning = errors.New("the broker runs already")

// start returns when the server takes connections.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return errRunning
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, brokerCommand, p.addr, p.dir) // #nosec G204 -- this program, with an address and a folder of its own
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // which ends with this program, however that ends
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return errors.Join(errors.New("the broker has not started"), cmd.Process.Kill(), cmd.Wait())
	}
	p.cmd, p.ended, p.since = cmd, make(chan struct{}), time.Now()
	go p.wait(cmd, in, p.ended)
	return nil
}

// wait notes the end of a process, whoever has ended it.
func (p *process) wait(cmd *exec.Cmd, in io.Closer, ended chan struct{}) {
	_ = cmd.Wait() // killed, mostly
	_ = in.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd, p.since = nil, time.Now()
	close(ended)
}

// kill ends the server with signal 9, and returns when it is gone. Nothing happens if there is none.
func (p *process) kill() error {
	p.mu.Lock()
	cmd, ended := p.cmd, p.ended
	p.mu.Unlock()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-ended
	return nil
}

// status returns the id of the process, or 0, and since when that is so.
func (p *process) status() (pid int, since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		pid = p.cmd.Process.Pid
	}
	return pid, p.since
}
