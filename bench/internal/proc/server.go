package proc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/control"
)

// Server is a contender's process and the way to its control endpoints.
type Server struct {
	control.Ready
	PID int

	cmd    *exec.Cmd
	stdin  io.Closer
	stderr *tail
	http   *http.Client
}

// startTime is how long a server has to say that it is ready.
const startTime = 10 * time.Second

// Start starts a server and waits until it is ready. It must be stopped. When this process dies in whatever way, the
// server's standard input ends, and so does the server.
func Start(ctx context.Context, command ...string) (*Server, error) {
	s := &Server{cmd: exec.Command(command[0], command[1:]...), stderr: &tail{}, http: &http.Client{Transport: &http.Transport{}}}
	s.cmd.Stderr = s.stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the orchestrator, who ends it in order
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.PID = s.cmd.Process.Pid
	line := make(chan []byte, 1)
	go func() {
		r := bufio.NewReader(stdout)
		first, _ := r.ReadBytes('\n')
		line <- first
		_, _ = io.Copy(io.Discard, r)
	}()
	select {
	case first := <-line:
		err = json.Unmarshal(first, &s.Ready)
	case <-time.After(startTime):
		err = fmt.Errorf("not ready after %v", startTime)
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		s.Stop()
		return nil, fmt.Errorf("starting %s: %w%s", strings.Join(command, " "), err, s.Said())
	}
	return s, nil
}

// Stop ends the process at once and waits for its end.
func (s *Server) Stop() {
	_ = s.cmd.Process.Kill()
	s.stdin.Close()
	_ = s.cmd.Wait()
	s.http.CloseIdleConnections()
}

// Said is the end of what the server wrote on standard error, for error messages; call it after Stop.
func (s *Server) Said() string {
	if len(s.stderr.last) == 0 {
		return ""
	}
	return "; it said: " + string(bytes.TrimSpace(s.stderr.last))
}

// tail keeps the end of what is written to it.
type tail struct{ last []byte }

func (t *tail) Write(b []byte) (int, error) {
	const keep = 500
	t.last = append(t.last, b...)
	t.last = t.last[max(0, len(t.last)-keep):]
	return len(b), nil
}

// Publish has the server do a job, and returns when it has.
func (s *Server) Publish(ctx context.Context, job control.Job, template string) (control.Published, error) {
	var p control.Published
	err := s.call(ctx, http.MethodPost, "/publish?"+job.Query(), template, &p)
	return p, failed(p, err)
}

func failed(p control.Published, err error) error {
	if err == nil && p.Failed > 0 {
		err = fmt.Errorf("%d of %d messages could not be published: %s", p.Failed, p.Messages, p.Error)
	}
	return err
}

// Flood has the server begin to publish as far as its credit goes.
func (s *Server) Flood(ctx context.Context, job control.Job, template string) error {
	return s.call(ctx, http.MethodPost, "/flood?"+job.Query(), template, nil)
}

// Credit tells how many messages of the flood have arrived.
func (s *Server) Credit(ctx context.Context, messages int64) error {
	query := url.Values{"messages": {strconv.FormatInt(messages, 10)}}
	return s.call(ctx, http.MethodPost, "/credit?"+query.Encode(), "", nil)
}

// Unflood ends the flood and returns what it was.
func (s *Server) Unflood(ctx context.Context) (control.Published, error) {
	var p control.Published
	err := s.call(ctx, http.MethodPost, "/unflood", "", &p)
	return p, failed(p, err)
}

// Settle has the server give back the memory that it does not need.
func (s *Server) Settle(ctx context.Context) error {
	return s.call(ctx, http.MethodPost, "/settle", "", nil)
}

// Stats is what the server says of itself.
func (s *Server) Stats(ctx context.Context) (st control.Stats, err error) {
	err = s.call(ctx, http.MethodGet, "/stats", "", &st)
	return st, err
}

// Position is where a topic of the server stands.
func (s *Server) Position(ctx context.Context, topic string) (p contender.Position, err error) {
	err = s.call(ctx, http.MethodGet, "/position?"+url.Values{"topic": {topic}}.Encode(), "", &p)
	return p, err
}

func (s *Server) call(ctx context.Context, method, path, body string, answer any) error {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+s.Control+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := s.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, resp.Status, bytes.TrimSpace(said))
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(said, answer)
}
