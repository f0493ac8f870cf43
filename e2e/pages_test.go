package e2e

import (
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const gettingStarted = "docs/getting-started.md"

// hello puts together what the page for beginners has built at its end, as a module of its own, and starts it.
func hello(t *testing.T, program string) (dir, addr string, p *process) {
	t.Helper()
	dir, addr = t.TempDir(), fixedAddr(t)
	write(t, dir, "main.go", adapt(t, program, "localhost:8080", addr))
	write(t, dir, "static/index.html", block(t, gettingStarted, "html"))
	write(t, dir, "main_test.go", block(t, gettingStarted, "go", "func Test"))
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	// As the page says, but with the library from here.
	for _, args := range [][]string{
		{"mod", "init", "example.com/hello"},
		{"mod", "edit", "-replace", library + "=" + root, "-require", library + "@v0.0.0"},
		{"mod", "tidy"},
		{"build", "-o", "hello", "."},
	} {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		run(t, cmd)
	}
	cmd := exec.Command(filepath.Join(dir, "hello"))
	cmd.Dir = dir
	return dir, addr, background(t, cmd, addr)
}

const library = "github.com/fanqie/tank-websocket-go-server"

// The page for beginners: its programs run, its page shows the time and the news, and its test passes.
func TestGettingStarted(t *testing.T) {
	t.Parallel()
	programs := map[string]string{
		"ten lines": block(t, gettingStarted, "go", "package main", `"clock"`, "log.Fatal(server.ListenAndServe())"),
		"all of it": block(t, gettingStarted, "go", "package main", "signal.NotifyContext"),
	}
	for name, program := range programs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, addr, process := hello(t, program)
			p := open(t, &server{t: t, url: "http://" + addr + "/"}, "hello", look{})
			p.forgive("/favicon.ico") // a beginner has none
			clock := `document.getElementById("clock").textContent`
			p.wait(`/^\d\d:\d\d:\d\d$/.test(` + clock + `)`)
			first := eval[string](p, clock)
			p.wait(clock + ` !== ` + quote(first))
			if name == "ten lines" {
				return
			}
			post(t, block(t, gettingStarted, "sh", "curl"), "http://"+addr+"/news")
			p.wait(`document.getElementById("news").textContent === "Hello"`)
			post(t, `curl -d text=<b>&amp; http://localhost:8080/news`, "http://"+addr+"/news")
			p.wait(`document.getElementById("news").lastChild.textContent === "<b>&amp;"`)
			again := open(t, &server{t: t, url: "http://" + addr + "/"}, "hello again", look{})
			again.forgive("/favicon.ico")
			again.wait(`document.getElementById("news").textContent === "Hello<b>&amp;"`) // the last messages

			test := exec.Command("go", "test", ".")
			test.Dir = dir
			run(t, test)

			if err := process.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := process.wait(); err != nil {
				t.Errorf("the program ended with %v", err)
			}
			next := exec.Command(filepath.Join(dir, "hello"))
			next.Dir = dir
			background(t, next, addr)
			p.run(`document.getElementById("clock").textContent = "stopped"`)
			p.wait(clock + ` !== "stopped"`)
		})
	}
}

// post does what a command with curl does, to another address.
func post(t *testing.T, command, to string) {
	t.Helper()
	fields := strings.Fields(command)
	if len(fields) != 4 || fields[0] != "curl" || fields[1] != "-d" || fields[3] != "http://localhost:8080/news" {
		t.Fatalf("this is not the command that the test knows: %q", command)
	}
	name, value, _ := strings.Cut(fields[2], "=")
	resp, err := http.PostForm(to, url.Values{name: {value}})
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Errorf("%s is answered with %s", command, resp.Status)
	}
}

// What the README has a newcomer paste into the console shows the time.
func TestReadme(t *testing.T) {
	t.Parallel()
	addr := fixedAddr(t)
	code := adapt(t, block(t, "README.md", "go", "package main"), "localhost:8080", addr)
	background(t, exec.Command(buildProgram(t, code)), addr)
	p := open(t, &server{t: t, url: "http://" + addr + "/"}, "readme", look{})
	p.forgive("404 (Not Found)") // there is no page, as the README says
	p.run(`window.logged_ = []; console.log = (...what) => window.logged_.push(...what);`)
	p.run(adapt(t, block(t, "README.md", "js", "ws://localhost:8080"), "ws://localhost:8080", "ws://"+addr))
	p.wait(`window.logged_.some((frame) => frame.topic === "clock" && /^\d\d:\d\d:\d\d$/.test(frame.data))`)
}
