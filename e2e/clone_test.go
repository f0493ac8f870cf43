package e2e

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A newcomer's first two commands, as the README has them, with a clone of this repository, and a port that is free.
func TestFirstCommandsOfTheReadme(t *testing.T) {
	t.Parallel()
	git, dir := tool(t, "git", "git"), t.TempDir()
	source := filepath.Join(t.TempDir(), "tank-websocket-go-server")
	snapshot(t, git, source)
	addr := fixedAddr(t)
	commands := adapt(t, block(t, "README.md", "sh", "git clone"),
		"https://github.com/fanqie/tank-websocket-go-server", source,
		"go run ./examples/chat", "exec go run ./examples/chat -addr "+addr)
	cmd := exec.Command("bash", "-ec", commands)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // go run is not the program that it runs
	stdout, log := launch(t, cmd)
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		cmd.Wait()
		if t.Failed() {
			t.Logf("log of\n%s:\n%s", commands, log.String())
		}
	})
	s := &server{t: t}
	for lines := bufio.NewScanner(stdout); s.url == "" && lines.Scan(); {
		s.url = printedURL.FindString(lines.Text())
	}
	if s.url == "" {
		t.Fatal("the commands do not print an address")
	}
	you, ada := openChat(t, s, "You", look{}), openChat(t, s, "Ada", look{})
	you.write("composer", "it works")
	ada.waitMessage("You", "it works")
}

// snapshot makes a repository of the files here as they are, committed or not.
func snapshot(t *testing.T, git, at string) {
	t.Helper()
	in := func(dir string, args ...string) *exec.Cmd {
		cmd := exec.Command(git, append([]string{"-c", "user.name=e2e", "-c", "user.email=e2e@localhost", "-c", "safe.directory=*"}, args...)...)
		cmd.Dir = dir
		return cmd
	}
	list := run(t, in("..", "ls-files", "--cached", "--others", "--exclude-standard", "-z"))
	run(t, exec.Command(git, "init", "-q", at))
	copier := exec.Command("cp", "--parents", "-t", at)
	copier.Dir = ".."
	for _, file := range strings.Split(strings.TrimSuffix(list, "\x00"), "\x00") {
		if matches, _ := filepath.Glob(filepath.Join("..", file)); len(matches) > 0 { // else it is deleted
			copier.Args = append(copier.Args, file)
		}
	}
	run(t, copier)
	run(t, in(at, "add", "-A"))
	run(t, in(at, "commit", "-q", "-m", "snapshot"))
}
