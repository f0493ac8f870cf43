package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// server is one of the example programs, running.
type server struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	exited chan error // has the result of the process when it has ended
}

var printedURL = regexp.MustCompile(`http://\S+/`)

// start starts an example program and waits until it has printed where its page is. It ends with the test.
func start(t *testing.T, program, addr string, flags ...string) *server {
	t.Helper()
	s := &server{t: t, cmd: exec.Command(filepath.Join(binaries, program), append([]string{"-addr", addr}, flags...)...), exited: make(chan error, 1)}
	stdout, logged := launch(t, s.cmd)
	urls := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if url := printedURL.FindString(lines.Text()); url != "" && len(urls) == 0 {
				urls <- url
			}
		}
		io.Copy(io.Discard, stdout)
		s.exited <- s.cmd.Wait()
	}()
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("log of %s:\n%s", program, logged.String())
		}
	})
	select {
	case s.url = <-urls:
	case err := <-s.exited:
		t.Fatalf("%s ended at once: %v\n%s", program, err, logged.String())
	case <-time.After(patience):
		t.Fatalf("%s did not print its address", program)
	}
	return s
}

// launch starts a process, and returns what it prints and what it logs.
func launch(t *testing.T, cmd *exec.Cmd) (stdout io.Reader, logged *lockedBuffer) {
	t.Helper()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	logged = new(lockedBuffer)
	cmd.Stderr = logged
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return stdout, logged
}

var nextPort atomic.Int32

// fixedAddr is an address for a server that has to come back at the same place. Its port is below those that systems
// give out on demand, so that nobody else gets it while the server is away.
func fixedAddr(t *testing.T) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 21000+nextPort.Add(1))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

// addr is where the server listens.
func (s *server) addr() string { return strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/") }

// behindLink is the same program, behind a link that can be cut.
func (s *server) behindLink(t *testing.T) (*server, *cutter) {
	t.Helper()
	link := newCutter(t, s.addr())
	return &server{t: t, url: "http://" + link.listener.Addr().String() + "/"}, link
}

// kill ends the program without a chance to say anything.
func (s *server) kill() {
	s.t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	s.wait()
}

// terminate asks the program to end, as an init system does.
func (s *server) terminate() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
}

// wait returns what the program ended with.
func (s *server) wait() error {
	s.t.Helper()
	select {
	case err := <-s.exited:
		return err
	case <-time.After(patience):
		s.t.Fatal("the program did not end")
		return nil
	}
}

// lockedBuffer is a buffer that a process writes while a test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
