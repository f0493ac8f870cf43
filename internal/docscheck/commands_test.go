package docscheck

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// command is one that the repository can be asked about.
var command = regexp.MustCompile(`(?:^|\s)(cd|make|bash|git clone|go run|go get|promtool check config) ([^\n;&|]+)`)

// TestCommandsInDocsExist looks at commands in blocks, whose syntax the shell checks, and in the middle of sentences: the
// folders, programs, flags, scripts, steps and targets that they name are there.
func TestCommandsInDocsExist(t *testing.T) {
	found := 0
	for _, page := range pages(t) {
		scripts, prose := page.blocks("sh"), []passage(nil)
		for _, b := range scripts {
			check := exec.Command("bash", "-n")
			check.Stdin = strings.NewReader(b.text)
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("%s:%d: %v\n%s", page.path, b.line, err, out)
			}
		}
		_, prose = page.split()
		for _, line := range prose {
			for _, span := range codeSpan.FindAllString(line.text, -1) {
				if at := command.FindStringIndex(strings.Trim(span, "`")); at != nil && at[0] == 0 {
					scripts = append(scripts, passage{strings.Trim(span, "`"), line.line})
				}
			}
		}
		dirs := page.folders()
		for _, script := range scripts {
			for _, m := range command.FindAllStringSubmatch(shellComment.ReplaceAllString(script.text, ""), -1) {
				found++
				if words := strings.Fields(m[2]); !commandExists(dirs, m[1], words) && !strings.Contains(page.text, "mkdir "+words[0]) {
					t.Errorf("%s:%d: there is nothing for %q to work with", page.path, script.line, strings.TrimSpace(m[0]))
				} else if m[1] == "cd" {
					dirs = append(dirs, words[0])
				}
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d commands were found", found)
	}
}

var shellComment = regexp.MustCompile(`(?m)(^|\s)#.*`)

// folders are those in which a reader of the page may be: the root, and the page's own and those above it.
func (p page) folders() []string {
	list := []string{"."}
	for dir := path.Dir(p.path); dir != "."; dir = path.Dir(dir) {
		list = append(list, dir)
	}
	return list
}

// hasFileWith reports whether one of the folders has a file with that text. NAME, as pages use it, stands for any name.
func hasFileWith(dirs []string, pattern, text string) bool {
	pattern = regexp.MustCompile(`NAME|名称`).ReplaceAllString(pattern, "*")
	return slices.ContainsFunc(dirs, func(dir string) bool {
		names, err := filepath.Glob(filepath.FromSlash(path.Join(dir, pattern)))
		return err == nil && slices.ContainsFunc(names, func(name string) bool {
			code, err := os.ReadFile(name)
			return text == "" || err == nil && regexp.MustCompile(text).Match(code)
		})
	})
}

// commandExists reports whether what a command names is in one of the folders, or in the Makefile.
func commandExists(dirs []string, command string, words []string) bool {
	switch command {
	case "cd":
		return words[0] == path.Base(modulePath) || hasFileWith(dirs, words[0], "")
	case "git clone":
		return words[0] == "https://"+modulePath
	case "go get":
		name, _, _ := strings.Cut(words[0], "@")
		return hasFileWith(dirs, strings.TrimPrefix(name, modulePath), "")
	case "go run":
		return words[0] == "." || hasFileWith(dirs, words[0]+"/*.go", `(?m)^package main$`) && !slices.ContainsFunc(words[1:], func(word string) bool {
			flag, is := strings.CutPrefix(word, "-")
			return is && !hasFileWith(dirs, words[0]+"/*.go", `flag\.\w+\((&[\w.]+, )?"`+regexp.QuoteMeta(flag)+`"`)
		})
	case "make":
		return !slices.ContainsFunc(words, func(word string) bool {
			name, _, variable := strings.Cut(word, "=")
			return !hasFileWith(dirs, "Makefile", `(?m)^`+name+map[bool]string{false: `:`, true: ` \?=`}[variable])
		})
	case "bash":
		return hasFileWith(dirs, words[0], "") && (words[0] != ".ci/run" || !slices.ContainsFunc(words[1:], func(step string) bool {
			return !hasFileWith(dirs, ".ci/run", `(?m)^\t"`+step+`\|step_`)
		}))
	}
	return hasFileWith(dirs, words[len(words)-1], "")
}
