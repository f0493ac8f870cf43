package docscheck

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestGoInDocsCompiles vets each Go block of each page as a program of its own, in the module that the page belongs to. Those
// marked "go bench" need modules that that one does not have; bench/internal/migrating looks at them. Those marked "go nats" are vetted in
// the module broker/nats.
//
// A block with a package clause is taken as it is. Another one is completed: declarations stand at the top level of a
// package main, statements inside its function main, and what they use of the packages in assumedImports is imported.
// Statements may use a *tank.Manager named tkws that they do not declare.
func TestGoInDocsCompiles(t *testing.T) {
	programs := make(map[string]map[string]string) // by module and text, where each was found first
	for _, page := range pages(t) {
		for info, module := range map[string]string{"go": page.module(), "go nats": "broker/nats"} {
			for _, block := range page.blocks(info) {
				text, err := complete(block.text)
				if err != nil {
					t.Errorf("%s:%d: %v", page.path, block.line, err)
					continue
				}
				if programs[module] == nil {
					programs[module] = make(map[string]string)
				}
				if _, known := programs[module][text]; !known {
					programs[module][text] = fmt.Sprintf("%s-%d", strings.ReplaceAll(page.path, "/", "-"), block.line)
				}
			}
		}
	}
	if len(programs) == 0 {
		t.Error("no Go block found in any page")
	}
	for module, placeOf := range programs {
		if out, err := vet(t, module, placeOf); err != nil {
			t.Errorf("programs of module %s do not compile: %v\n%s", module, err, out)
			for text, place := range placeOf {
				if strings.Contains(out, place+"/") {
					t.Errorf("%s is\n%s", place, numbered(text))
				}
			}
		}
	}
}

// vet vets programs that import what a module and the root have, each in a folder named for its place, all in one run of the
// go command, which needs longer to start than to look at a program.
func vet(t *testing.T, module string, placeOf map[string]string) (out string, err error) {
	t.Helper()
	write := func(text string, name ...string) {
		file := filepath.Join(name...)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o777), os.WriteFile(file, []byte(text), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	for text, place := range placeOf {
		write(text, dir, place, "main.go")
	}
	real, err := filepath.Abs(filepath.FromSlash(module))
	if err != nil {
		t.Fatal(err)
	}
	goMod, err := os.ReadFile(filepath.Join(real, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	version := goLine.FindString(string(goMod))
	write("module example.test/docs\n"+version, dir, "go.mod")
	write(fmt.Sprintf("%s\nuse %q\nuse %q\n", version, dir, real), dir, "go.work")
	cmd := exec.Command("go", "vet", "./...")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK="+filepath.Join(dir, "go.work"))
	b, err := cmd.CombinedOutput()
	return string(b), err
}

var goLine = regexp.MustCompile(`(?m)^go \S+$`)

func TestGoInDocsIsFormatted(t *testing.T) {
	for _, page := range pages(t) {
		for _, block := range slices.Concat(page.blocks("go"), page.blocks("go bench"), page.blocks("go nats")) {
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
		for _, block := range slices.Concat(page.blocks("go"), page.blocks("go bench"), page.blocks("go nats")) {
			if strings.Contains(block.text, "ListenAndServe") &&
				!(strings.Contains(block.text, "ReadHeaderTimeout:") && strings.Contains(block.text, "IdleTimeout:")) {
				t.Errorf("%s:%d: this server waits for ever for a request", page.path, block.line)
			}
		}
	}
}

// TestTranslationsAgree compares what does not depend on the language: headings, code in tables, and code without comments.
// All pages in docs have a translation, and some others.
func TestTranslationsAgree(t *testing.T) {
	for _, one := range pages(t) {
		translation := strings.TrimSuffix(one.path, ".md") + ".zh-CN.md"
		if strings.HasSuffix(one.path, ".zh-CN.md") || path.Dir(one.path) != "docs" && !hasFile(".", translation) {
			continue
		}
		other := readPage(t, translation)
		same(t, one, other, "heading", page.headings)
		same(t, one, other, "row of a table", page.tableRows)
		same(t, one, other, "line of code", page.code)
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
	if len(a) != len(b) {
		t.Errorf("%s has %d of %s, and %s has %d", one.path, len(a), what, other.path, len(b))
	}
}

// TestLinksLeadSomewhere follows the links of all pages, those to pictures included, to files and headings. Those to other
// sites are not followed. A Chinese page does not show X.png where there is X.zh-CN.png.
func TestLinksLeadSomewhere(t *testing.T) {
	for _, page := range pages(t) {
		for _, link := range page.links() {
			if err := follow(t, page, link.text); err != nil {
				t.Errorf("%s:%d: link %q: %v", page.path, link.line, link.text, err)
			}
		}
	}
}

// pictures are the kinds of file that pages show.
var pictures = []string{".svg", ".png", ".gif", ".webp"}

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
	extension := path.Ext(target)
	translation := strings.TrimSuffix(target, extension) + ".zh-CN" + extension
	if info, err := os.Stat(filepath.FromSlash(target)); err != nil {
		return err
	} else if isPicture := slices.Contains(pictures, extension); isPicture && info.Size() == 0 {
		return errors.New("the picture is empty")
	} else if isPicture && strings.HasSuffix(from.path, ".zh-CN.md") && hasFile(".", translation) {
		return fmt.Errorf("the Chinese picture is %s", translation)
	}
	if u.Fragment == "" || extension != ".md" {
		return nil
	}
	anchors := readPage(t, target).anchors()
	if !slices.Contains(anchors, u.Fragment) {
		return fmt.Errorf("%s has no such heading; it has %q", target, anchors)
	}
	return nil
}

// TestCodesInProtocolPages: their tables of close codes and of error frames have exactly the codes that the code uses. The page about
// plain sockets does not have those that only tank.v2 has.
func TestCodesInProtocolPages(t *testing.T) {
	find := func(text, pattern string) (list []string) {
		for _, m := range regexp.MustCompile("(?m)^"+pattern).FindAllStringSubmatch(text, -1) {
			if code := m[1] + m[2]; code != "code" && code != "1005" { // a head; what browsers show for a close without a code
				list = append(list, code)
			}
		}
		slices.Sort(list)
		return list
	}
	refusals, ofV2, divided := strings.Cut(readPage(t, "internal/wire/refusal.go").text, "// Of tank.v2 alone.")
	if !divided {
		t.Fatal("internal/wire/refusal.go does not say which codes only tank.v2 has")
	}
	closes := readPage(t, "internal/wire/close.go").text
	for name, code := range map[string]string{"docs/protocol": refusals + closes, "docs/protocol-v2": refusals + ofV2 + closes} {
		want := find(code, `\t(?:Refused\w+ += "(\w+)"|Close\w+ += (\d+))`)
		for _, name := range []string{name + ".md", name + ".zh-CN.md"} {
			if got := find(readPage(t, name).text, "\\| (?:`([a-z_]+)`|(\\d{4})) \\|"); !slices.Equal(got, want) {
				t.Errorf("%s has the codes %q, want %q", name, got, want)
			}
		}
	}
}

// TestCloseReasonsInProtocolPages: their table of close codes has the reasons of the table in package wire.
func TestCloseReasonsInProtocolPages(t *testing.T) {
	all := func(text, pattern string) [][]string {
		return regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1)
	}
	code, numbers, want := readPage(t, "internal/wire/close.go").text, make(map[string]string), make(map[string][]string)
	for _, m := range all(code, `(Close\w+) += (\d+)`) {
		numbers[m[1]] = m[2]
	}
	for _, m := range all(code, `= Close\{(\w+), "(.+)"\}`) {
		want[numbers[m[1]]] = append(want[numbers[m[1]]], "`"+m[2]+"`")
	}
	for _, name := range []string{"docs/protocol.md", "docs/protocol.zh-CN.md"} {
		got := make(map[string][]string)
		for _, m := range all(readPage(t, name).text, "(?m)^\\| (\\d{4}) \\| (`[^|]*) \\|") {
			for _, reason := range all(m[2], "`[^`]+`") {
				got[m[1]] = append(got[m[1]], reason[0])
			}
		}
		if !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%s has the reasons %q, want %q", name, got, want)
		}
	}
}

// TestJSONInPagesIsValid looks at JSON in sentences and tables: it parses, and frames have the members of one of the protocols. The
// errors of the inspector name a parameter instead of a topic.
func TestJSONInPagesIsValid(t *testing.T) {
	frame := regexp.MustCompile(`^\{(?:"topic":".*","data":".*"|"error":\{"code":"[\w.]+","message":".*","(?:topic|parameter)":".*"\}` +
		`|"topic":".*","(?:reset|end|gap|here)":\{.*\}|"topic":".*","lost":\d+,"seq":\d+` +
		`|(?:"id":\d+,)?"error":\{"code":"\w+","message":".*","retry":(?:true|false)\})\}$`)
	member := regexp.MustCompile(`^\{(?:"id":\d+,"error"|"(?:topic|data|error)"):`)
	for _, page := range pages(t) {
		for _, m := range regexp.MustCompile("`(\\{\"[^`]*|\\[\"[^`]*)`").FindAllStringSubmatch(page.text, -1) {
			if !json.Valid([]byte(m[1])) || member.MatchString(m[1]) && !frame.MatchString(m[1]) {
				t.Errorf("%s: this is no JSON, or no frame of the protocol: %s", page.path, m[1])
			}
		}
	}
}

// assumedImports are the packages that a block without a package clause can use without saying so.
var assumedImports = map[string]string{
	"tank":    modulePath,
	"context": "context",
	"errors":  "errors",
	"expvar":  "expvar",
	"fmt":     "fmt",
	"http":    "net/http",
	"json":    "encoding/json",
	"log":     "log",
	"os":      "os",
	"slog":    "log/slog",
	"strings": "strings",
	"testing": "testing",
	"time":    "time",

	"broker":     modulePath + "/broker",
	"brokertest": modulePath + "/broker/brokertest",
	"natsbroker": modulePath + "/broker/nats",
	"tanktest":   modulePath + "/tanktest",
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
	for _, name := range slices.Sorted(maps.Keys(assumedImports)) { // so that both languages of a page have the same program
		if regexp.MustCompile(`\b` + name + `\.`).MatchString(body) {
			fmt.Fprintf(&program, "import %s %q\n", name, assumedImports[name])
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
