package e2e

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// What pages show is taken from the pages themselves, so that what is shown and what is tested cannot differ.

// pageText returns a page.
func pageText(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(page)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks returns the code blocks of a language in a page.
func blocks(t *testing.T, page, language string) []string {
	t.Helper()
	var list []string
	for i, part := range strings.Split("\n"+pageText(t, page), "\n```") {
		if info, code, _ := strings.Cut(part, "\n"); i%2 == 1 && info == language {
			list = append(list, code+"\n")
		}
	}
	return list
}

// block returns the one code block of a language in a page that contains all of these words.
func block(t *testing.T, page, language string, words ...string) string {
	t.Helper()
	var found []string
next:
	for _, b := range blocks(t, page, language) {
		for _, word := range words {
			if !strings.Contains(b, word) {
				continue next
			}
		}
		found = append(found, b)
	}
	if len(found) != 1 {
		t.Fatalf("%s has %d blocks of %s with %q, want one", page, len(found), language, words)
	}
	return found[0]
}

// adapt replaces what is different in a test, such as addresses. Each old text has to be there.
func adapt(t *testing.T, text string, oldnew ...string) string {
	t.Helper()
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(text, oldnew[i]) {
			t.Fatalf("there is no %q to replace in\n%s", oldnew[i], text)
		}
		text = strings.ReplaceAll(text, oldnew[i], oldnew[i+1])
	}
	return text
}

// tool finds a program that a page is about. These tests do not skip themselves: a page that was not checked is wrong
// sooner or later.
func tool(t *testing.T, name, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		for _, dir := range []string{"/usr/sbin", "/sbin"} { // which not everybody has in PATH
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return path
			}
		}
		t.Fatalf("this test needs %s: install it, on Debian and Ubuntu the package %s (%v)", name, debianPackage, err)
	}
	return path
}

// run runs a command to its end and returns what it says. It fails the test when the command does.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// write writes a file, and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// background starts a program that ends with the test, and waits until it accepts connections at an address.
func background(t *testing.T, cmd *exec.Cmd, addr string) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, exited: make(chan error, 1)}
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.exited <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		if t.Failed() {
			t.Logf("log of %s:\n%s", cmd, p.log.String())
		}
	})
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) { // between two looks
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return p
		}
		select {
		case err := <-p.exited:
			t.Fatalf("%s ended at once: %v", cmd, err)
		default:
		}
		if time.Since(began) > patience {
			t.Fatalf("%s does not accept connections at %s", cmd, addr)
		}
	}
}

// process is a program that runs in the background.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	exited chan error // has the result of the process when it has ended
	log    lockedBuffer
}

// wait returns what the program ended with.
func (p *process) wait() error {
	p.t.Helper()
	select {
	case err := <-p.exited:
		return err
	case <-time.After(patience):
		p.t.Fatal("the program did not end")
		return nil
	}
}

// dial opens a WebSocket as a page from an origin does. The answer is there also when it is a refusal.
func dial(t *testing.T, url, origin string) (*websocket.Conn, *http.Response) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: trusting}},
		HTTPHeader: http.Header{"Origin": {origin}},
	})
	if resp == nil {
		t.Fatal(err)
	}
	if conn != nil {
		t.Cleanup(func() { conn.CloseNow() })
	}
	return conn, resp
}

// read returns the next message, or what the connection ended with.
func read(t *testing.T, conn *websocket.Conn) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, data, err := conn.Read(ctx)
	return string(data), err
}
