package tank_test

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestCommandsInDocsExist looks at each command that pages show, in blocks and in the middle of a sentence: the shell
// understands it, and the folders, programs, flags, scripts, steps and targets that it names are there.
func TestCommandsInDocsExist(t *testing.T) {
	for _, page := range pages(t) {
		before := ""
		for _, b := range page.blocks("sh") {
			check := exec.Command("bash", "-n")
			check.Stdin = strings.NewReader(b.text)
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("%s:%d: %v\n%s", page.path, b.line, err, out)
			}
			if err := checkCommands(page, before+b.text); err != nil {
				t.Errorf("%s:%d: %v", page.path, b.line, err)
			}
			if strings.Contains(b.text, "mkdir ") { // and that is where the page goes on
				before = b.text
			}
		}
		_, prose := page.split()
		for _, line := range prose {
			for _, span := range codeSpan.FindAllString(line.text, -1) {
				if command := strings.Trim(span, "`"); isCommand.MatchString(command) {
					if err := checkCommands(page, command); err != nil {
						t.Errorf("%s:%d: `%s`: %v", page.path, line.line, command, err)
					}
				}
			}
		}
	}
}

// isCommand tells a command in the middle of a sentence from other code.
var isCommand = regexp.MustCompile(`^(cd|make|bash|go (run|test|build|vet)) \S`)

// checkCommands runs the commands in its mind, from the root or, if that fails, from a folder above the page.
func checkCommands(from page, script string) error {
	first := (&shell{dir: "."}).run(script)
	for dir := path.Dir(from.path); first != nil && dir != "."; dir = path.Dir(dir) {
		if (&shell{dir: dir}).run(script) == nil {
			return nil
		}
	}
	return first
}

// shell is where a reader who types commands is.
type shell struct {
	dir     string // from the root of the repository
	outside bool   // in a folder that the commands have made; what happens there, tests in e2e look at
}

var (
	separator    = regexp.MustCompile(`\n|&&|;`)
	shellComment = regexp.MustCompile(`(^|\s)#.*`)
	quoted       = regexp.MustCompile(`"[^"]*"`)
	assignment   = regexp.MustCompile(`^[A-Z_]+=`)
)

func (s *shell) run(script string) error {
	script = quoted.ReplaceAllString(script, "QUOTED")
	lines := strings.Split(script, "\n")
	for i, line := range lines {
		lines[i] = shellComment.ReplaceAllString(line, "")
	}
	for _, command := range separator.Split(strings.Join(lines, "\n"), -1) {
		words := strings.Fields(command)
		for len(words) > 0 && assignment.MatchString(words[0]) {
			words = words[1:]
		}
		if len(words) == 0 {
			continue
		}
		if err := s.command(words); err != nil {
			return fmt.Errorf("%s: %w", strings.TrimSpace(command), err)
		}
	}
	return nil
}

func (s *shell) command(words []string) error {
	switch words[0] {
	case "mkdir", "sysctl", "ulimit", "curl":
		s.outside = s.outside || words[0] == "mkdir"
		return nil
	case "git":
		if len(words) != 3 || words[1] != "clone" || words[2] != "https://"+modulePath {
			return fmt.Errorf("only this repository is cloned")
		}
		return nil
	case "cd":
		return s.cd(words[1])
	case "go":
		return s.golang(words[1:])
	case "make":
		return makes(words[1:])
	case "bash":
		return s.bash(words[1:])
	case "promtool": // what it says, tests in metrics/prometheus look at
		return s.exists(words[len(words)-1])
	}
	return fmt.Errorf("nobody checks the command %q", words[0])
}

func (s *shell) cd(dir string) error {
	if s.outside || dir == path.Base(modulePath) { // what has been cloned
		return nil
	}
	s.dir = path.Join(s.dir, dir)
	info, err := os.Stat(filepath.FromSlash(s.dir))
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a folder", s.dir)
	}
	return err
}

// golang checks a command of the go tool.
func (s *shell) golang(words []string) error {
	switch {
	case words[0] == "get" && strings.HasPrefix(words[1], modulePath):
		return s.exists(strings.TrimPrefix(strings.TrimPrefix(words[1], modulePath), "/"))
	case words[0] == "mod", s.outside:
		return nil
	case words[0] == "run" && (words[1] == "." || strings.HasPrefix(words[1], "./")):
		return s.program(words[1], words[2:])
	case words[0] == "test" || words[0] == "build" || words[0] == "vet":
		return nil
	}
	return fmt.Errorf("nobody checks it")
}

func (s *shell) exists(name string) error {
	_, err := os.Stat(filepath.FromSlash(path.Join(s.dir, name)))
	return err
}

// program checks that a program is there, and has the flags it is given. NAME stands for any.
func (s *shell) program(dir string, args []string) error {
	pattern := regexp.MustCompile(`NAME|名称`).ReplaceAllString(path.Join(s.dir, dir), "*")
	sources, err := filepath.Glob(filepath.FromSlash(path.Join(pattern, "*.go")))
	if err != nil || len(sources) == 0 {
		return fmt.Errorf("there is no program in %s (%v)", dir, err)
	}
	var code strings.Builder
	for _, file := range sources {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		code.Write(text)
	}
	if !strings.Contains(code.String(), "package main\n") {
		return fmt.Errorf("%s is not a program", dir)
	}
	for _, arg := range args {
		name, isFlag := strings.CutPrefix(arg, "-")
		if isFlag && !regexp.MustCompile(`flag\.\w+\((&[\w.]+, )?"`+regexp.QuoteMeta(name)+`"`).MatchString(code.String()) {
			return fmt.Errorf("the program has no flag -%s", name)
		}
	}
	return nil
}

// makes checks targets and variables.
func makes(words []string) error {
	text, err := os.ReadFile("Makefile")
	if err != nil {
		return err
	}
	for _, word := range words {
		name, _, variable := strings.Cut(word, "=")
		pattern := `(?m)^` + regexp.QuoteMeta(name) + `:`
		if variable {
			pattern = `(?m)^` + regexp.QuoteMeta(name) + ` \?=`
		}
		if !regexp.MustCompile(pattern).Match(text) {
			return fmt.Errorf("the Makefile does not have %s", name)
		}
	}
	return nil
}

// bash checks that a script is there, and, of the one that has them, its steps.
func (s *shell) bash(words []string) error {
	if err := s.exists(words[0]); err != nil {
		return err
	}
	if path.Join(s.dir, words[0]) != ".ci/run" {
		return nil
	}
	text, err := os.ReadFile(filepath.FromSlash(".ci/run"))
	if err != nil {
		return err
	}
	var steps []string
	for _, m := range regexp.MustCompile(`(?m)^\t"(\w+)\|step_`).FindAllStringSubmatch(string(text), -1) {
		steps = append(steps, m[1])
	}
	for _, step := range words[1:] {
		if !slices.Contains(steps, step) {
			return fmt.Errorf("there is no step %s; there are %q", step, steps)
		}
	}
	return nil
}

// TestShellFindsMistakes: the reader of commands is not content with anything.
func TestShellFindsMistakes(t *testing.T) {
	for _, script := range []string{
		"cd nowhere", "go run ./examples/nothing", "go run ./examples/chat -port 1", "go run ./actor", "make nothing", "make fuzz SECONDS=1",
		"bash .ci/nothing", "bash .ci/run nothing", "rm -rf x", "git clone https://example.com/x", "cd bench && go run ./cmd/nothing",
		"go get " + modulePath + "/nothing",
	} {
		if checkCommands(page{path: "README.md"}, script) == nil {
			t.Errorf("%q is taken for good", script)
		}
	}
	for _, script := range []string{"cd bench && go run ./cmd/bench -mode full # yes", "FUZZ_SECONDS=1 bash .ci/run fuzz lint", "make soak FOR=5m"} {
		if err := checkCommands(page{path: "README.md"}, script); err != nil {
			t.Errorf("%q: %v", script, err)
		}
	}
}
