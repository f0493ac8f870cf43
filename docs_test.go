package tank_test

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// translations are pages that say the same in two languages.
var translations = map[string]string{
	"README.md":           "README.zh-CN.md",
	"docs/protocol.md":    "docs/protocol.zh-CN.md",
	"docs/performance.md": "docs/performance.zh-CN.md",
	"docs/security.md":    "docs/security.zh-CN.md",
	"docs/guarantees.md":  "docs/guarantees.zh-CN.md",
	"docs/inspector.md":   "docs/inspector.zh-CN.md",
	"README.md":               "README.zh-CN.md",
	"docs/protocol.md":        "docs/protocol.zh-CN.md",
	"docs/performance.md":     "docs/performance.zh-CN.md",
	"docs/security.md":        "docs/security.zh-CN.md",
	"docs/guarantees.md":      "docs/guarantees.zh-CN.md",
	"docs/README.md":          "docs/README.zh-CN.md",
	"docs/getting-started.md": "docs/getting-started.zh-CN.md",
	"docs/what-happens.md":    "docs/what-happens.zh-CN.md",
	"docs/deployment.md":      "docs/deployment.zh-CN.md",
	"docs/migrating.md":       "docs/migrating.zh-CN.md",
	"docs/architecture.md":    "docs/architecture.zh-CN.md",
}

// TestGoInDocsCompiles vets each Go block of each page as a program of its own, in this module.
//
// A block with a package clause is taken as it is. Another one is completed: declarations stand at the top level of a
// package main, statements inside its function main, and what they use of the packages in assumedImports is imported.
// Statements may use a *tank.Manager named tkws that they do not declare.
func TestGoInDocsCompiles(t *testing.T) {
	programs := make(map[string]string) // a program: where it was found first
	for _, page := range pages(t) {
		for _, block := range page.blocks("go") {
			program, err := complete(block.text)
			if err != nil {
				t.Errorf("%s:%d: %v", page.path, block.line, err)
			} else if _, known := programs[program]; !known {
				programs[program] = fmt.Sprintf("%s:%d", page.path, block.line)
			}
		}
	}
	if len(programs) == 0 {
		t.Error("no Go block found in any page")
	}
	for program, place := range programs {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "main.go")
			if err := os.WriteFile(file, []byte(program), 0o666); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("go", "vet", file).CombinedOutput(); err != nil {
				t.Errorf("%s does not compile: %v\n%s\n%s", place, err, out, numbered(program))
			}
		})
	}
}

func TestGoInDocsIsFormatted(t *testing.T) {
	for _, page := range pages(t) {
		for _, block := range page.blocks("go") {
			formatted, err := format.Source([]byte(block.text))
			if err != nil {
				t.Errorf("%s:%d: %v", page.path, block.line, err)
			} else if strings.TrimSpace(string(formatted)) != strings.TrimSpace(block.text) {
				t.Errorf("%s:%d is not formatted; gofmt says:\n%s", page.path, block.line, formatted)
			}
		}
	}
}

// TestServersInDocsHaveTimeouts: what pages show is what people copy.
func TestServersInDocsHaveTimeouts(t *testing.T) {
	for _, page := range pages(t) {
		for _, block := range page.blocks("go") {
			if strings.Contains(block.text, "ListenAndServe") &&
				!(strings.Contains(block.text, "ReadHeaderTimeout:") && strings.Contains(block.text, "IdleTimeout:")) {
				t.Errorf("%s:%d: this server waits for ever for a request", page.path, block.line)
			}
		}
	}
}

// TestTranslationsAgree compares what does not depend on the language: headings, tables, and code without comments.
func TestTranslationsAgree(t *testing.T) {
	for name, otherName := range translations {
		one, other := readPage(t, name), readPage(t, otherName)
		same(t, one, other, "heading", page.headings)
		same(t, one, other, "row of a table", page.tableRows)
		same(t, one, other, "piece of code", page.code)
	}
}

// TestTestsThatDocsNameExist looks for each linked test in the file that the link leads to.
func TestTestsThatDocsNameExist(t *testing.T) {
	for _, p := range pages(t) {
		for _, m := range linkedTest.FindAllStringSubmatch(p.text, -1) {
			file := path.Join(path.Dir(p.path), m[2])
			if code, err := os.ReadFile(filepath.FromSlash(file)); err != nil || !bytes.Contains(code, []byte("\nfunc "+m[1]+"(")) {
				t.Errorf("%s: there is no %s in %s (%v)", p.path, m[1], file, err)
			}
		}
	}
}

var linkedTest = regexp.MustCompile("\\[`((?:Test|Fuzz)\\w+)`\\]\\(([^)]+)\\)")

// same shows the first difference.
func same(t *testing.T, one, other page, what string, of func(page) []passage) {
	t.Helper()
	a, b := of(one), of(other)
	for i := range min(len(a), len(b)) {
		if a[i].text != b[i].text {
			t.Errorf("one %s differs:\n%s\n%s", what, one.show(a[i]), other.show(b[i]))
			return
		}
	}
	switch n := min(len(a), len(b)); {
	case len(a) > n:
		t.Errorf("one %s is missing in %s:\n%s", what, other.path, one.show(a[n]))
	case len(b) > n:
		t.Errorf("one %s is missing in %s:\n%s", what, one.path, other.show(b[n]))
	}
}

// TestLinksLeadSomewhere follows the links of all pages to files and headings. Those to other sites are not followed.
func TestLinksLeadSomewhere(t *testing.T) {
	for _, page := range pages(t) {
		for _, link := range page.links() {
			if err := follow(t, page, link.text); err != nil {
				t.Errorf("%s:%d: link %q: %v", page.path, link.line, link.text, err)
			}
		}
	}
}

func follow(t *testing.T, from page, link string) error {
	u, err := url.Parse(link)
	if err != nil {
		return err
	}
	if u.Scheme != "" || u.Host != "" {
		return nil
	}
	target := from.path
	if u.Path != "" {
		target = path.Join(path.Dir(from.path), u.Path)
	}
	if _, err := os.Stat(filepath.FromSlash(target)); err != nil {
		return err
	}
	if u.Fragment == "" || path.Ext(target) != ".md" {
		return nil
	}
	anchors := readPage(t, target).anchors()
	if !slices.Contains(anchors, u.Fragment) {
		return fmt.Errorf("%s has no such heading; it has %q", target, anchors)
	}
	return nil
}

// page is a Markdown file.
type page struct {
	path string // from the root, with slashes
	text string
}

// passage is a part of a page and where it begins.
type passage struct {
	text string
	line int
}

// pages returns every Markdown file of the repository.
func pages(t *testing.T) []page {
	t.Helper()
	var list []page
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "artifacts"):
			return fs.SkipDir
		case !d.IsDir() && filepath.Ext(name) == ".md":
			list = append(list, readPage(t, filepath.ToSlash(name)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func readPage(t *testing.T, name string) page {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return page{name, string(text)}
}

// split separates the fenced code blocks from the lines of prose around them. A block's text begins with its info
// string on a line of its own; its line is that of the code.
func (p page) split() (blocks, prose []passage) {
	inside := false
	for i, line := range strings.Split(p.text, "\n") {
		fence := strings.HasPrefix(line, "```")
		switch {
		case fence && inside:
			inside = false
		case fence:
			inside = true
			blocks = append(blocks, passage{strings.TrimPrefix(line, "```") + "\n", i + 2})
		case inside:
			blocks[len(blocks)-1].text += line + "\n"
		default:
			prose = append(prose, passage{line, i + 1})
		}
	}
	return blocks, prose
}

// blocks returns the code blocks of a language.
func (p page) blocks(language string) []passage {
	var list []passage
	blocks, _ := p.split()
	for _, b := range blocks {
		if info, text, _ := strings.Cut(b.text, "\n"); info == language {
			list = append(list, passage{text, b.line})
		}
	}
	return list
}

// show returns the line on which a passage begins.
func (p page) show(at passage) string {
	return fmt.Sprintf("%s:%d: %s", p.path, at.line, strings.Split(p.text, "\n")[at.line-1])
}

// code returns all code blocks without comments: Go by tokens, others by lines.
func (p page) code() []passage {
	var list []passage
	blocks, _ := p.split()
	for _, b := range blocks {
		info, text, _ := strings.Cut(b.text, "\n")
		list = append(list, passage{info, b.line - 1})
		if language, _, _ := strings.Cut(info, " "); language == "go" {
			list = append(list, goTokens(text, b.line)...)
			continue
		}
		for i, line := range strings.Split(text, "\n") {
			list = append(list, passage{otherComment.ReplaceAllString(line, ""), b.line + i})
		}
	}
	return list
}

// otherComment is a comment in the other languages used. Without a space before it, // may be part of an address.
var otherComment = regexp.MustCompile(`(^|\s)//.*$|/\*.*?\*/|(^|\s)# .*$`)

// goTokens returns the tokens of Go code, which are the same however it is commented.
func goTokens(code string, firstLine int) []passage {
	var list []passage
	var s scanner.Scanner
	fset := token.NewFileSet()
	file := fset.AddFile("", fset.Base(), len(code))
	s.Init(file, []byte(code), nil, 0)
	for {
		pos, tok, literal := s.Scan()
		if tok == token.EOF {
			return list
		}
		list = append(list, passage{cmp.Or(literal, tok.String()), firstLine + file.Line(pos) - 1})
	}
}

var heading = regexp.MustCompile(`^(#{1,6}) +(.*?) *#*$`)

// headings returns the marks of the headings, which show their levels.
func (p page) headings() []passage {
	var list []passage
	_, prose := p.split()
	for _, line := range prose {
		if m := heading.FindStringSubmatch(line.text); m != nil {
			list = append(list, passage{m[1], line.line})
		}
	}
	return list
}

// tableRows returns, for each line of a table, what stands between backquotes in it, sorted.
func (p page) tableRows() []passage {
	var list []passage
	_, prose := p.split()
	for _, line := range prose {
		if strings.HasPrefix(line.text, "|") {
			spans := codeSpan.FindAllString(line.text, -1)
			slices.Sort(spans)
			list = append(list, passage{strings.Join(spans, " "), line.line})
		}
	}
	return list
}

var (
	codeSpan = regexp.MustCompile("`[^`]+`")
	anyLink  = regexp.MustCompile(`\]\(([^)\s]+)\)|^\[[^\]]+\]: +(\S+)`)
)

func (p page) links() []passage {
	var list []passage
	_, prose := p.split()
	for _, line := range prose {
		for _, m := range anyLink.FindAllStringSubmatch(line.text, -1) {
			list = append(list, passage{m[1] + m[2], line.line})
		}
	}
	return list
}

// anchors returns the fragments under which GitHub makes the page's headings available.
func (p page) anchors() []string {
	var list []string
	seen := make(map[string]int)
	_, prose := p.split()
	for _, line := range prose {
		m := heading.FindStringSubmatch(line.text)
		if m == nil {
			continue
		}
		anchor := strings.Map(func(r rune) rune {
			switch {
			case unicode.IsLetter(r), unicode.IsNumber(r), unicode.Is(unicode.Mn, r), r == '-', r == '_':
				return unicode.ToLower(r)
			case r == ' ':
				return '-'
			}
			return -1
		}, m[2])
		if n := seen[anchor]; n > 0 {
			list = append(list, fmt.Sprintf("%s-%d", anchor, n))
		} else {
			list = append(list, anchor)
		}
		seen[anchor]++
	}
	return list
}

// assumedImports are the packages that a block without a package clause can use without saying so.
var assumedImports = map[string]string{
	"tank":    modulePath,
	"context": "context",
	"errors":  "errors",
	"fmt":     "fmt",
	"http":    "net/http",
	"json":    "encoding/json",
	"log":     "log",
	"os":      "os",
	"slog":    "log/slog",
	"strings": "strings",
	"time":    "time",
}

// complete makes a program of a block, see TestGoInDocsCompiles.
func complete(block string) (string, error) {
	fset := token.NewFileSet()
	if _, err := parser.ParseFile(fset, "", block, parser.PackageClauseOnly); err == nil {
		return block, nil
	}
	body := block
	file, err := parser.ParseFile(fset, "", "package main\n"+body, 0)
	if err != nil {
		body = "func main() {\n" + block + "}\n"
		if file, err = parser.ParseFile(fset, "", "package main\n"+body, 0); err != nil {
			return "", fmt.Errorf("neither a file, nor declarations, nor statements: %w", err)
		}
		if slices.ContainsFunc(file.Unresolved, func(id *ast.Ident) bool { return id.Name == "tkws" }) {
			body = strings.Replace(body, "{\n", "{\ntkws := tank.NewInstance()\n", 1)
		}
	} else if file.Scope.Lookup("main") == nil {
		body += "func main() {}\n"
	}
	var program bytes.Buffer
	fmt.Fprintln(&program, "package main")
	for name, path := range assumedImports {
		if regexp.MustCompile(`\b` + name + `\.`).MatchString(body) {
			fmt.Fprintf(&program, "import %s %q\n", name, path)
		}
	}
	program.WriteString(body)
	return program.String(), nil
}

func numbered(text string) string {
	var b strings.Builder
	for i, line := range strings.Split(text, "\n") {
		fmt.Fprintf(&b, "%4d  %s\n", i+1, line)
	}
	return b.String()
}
