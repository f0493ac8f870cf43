package docscheck

import (
	"bytes"
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fences are the kinds of code block that pages may have, by what stands behind the three backquotes: where each is
// checked. A kind that is not listed is checked by nobody, so it may not be used.
var fences = map[string]struct {
	file, test string
	only       []string // pages that the test knows; nil: all
}{
	"go":        {"internal/docscheck/docs_test.go", "TestGoInDocsCompiles", nil},
	"go bench":  {"bench/internal/migrating/migrating_test.go", "TestProgramsBeforeAndAfterDoTheSame", []string{"docs/migrating.md"}},
	"go nats":   {"internal/docscheck/docs_test.go", "TestGoInDocsCompiles", []string{"docs/scale-out.md"}},
	"sh":        {"internal/docscheck/commands_test.go", "TestCommandsInDocsExist", nil},
	"js":        {"e2e/javascript_test.go", "TestJavaScriptInDocsParses", nil},
	"html":      {"e2e/pages_test.go", "TestGettingStarted", []string{"docs/getting-started.md"}},
	"json":      {"internal/docscheck/fences_test.go", "TestJSONInDocsParses", nil},
	"nginx":     {"e2e/proxies_test.go", "TestChatBehindProxies", []string{"docs/deployment.md", "examples/chat/README.md"}},
	"caddyfile": {"e2e/proxies_test.go", "TestChatBehindProxies", []string{"docs/deployment.md"}},
	"ini":       {"e2e/deployment_test.go", "TestSystemdTakesTheUnit", []string{"docs/deployment.md"}},
	"yaml":      {"e2e/kubernetes_test.go", "TestKubernetesObjectsFitTogether", []string{"docs/deployment.md"}},
	"text":      {"internal/docscheck/fences_test.go", "TestTextInDocsIsNoCode", nil},

	"yaml prometheus": {"metrics/prometheus/promtool_test.go", "TestPromtoolAcceptsTheConfigurationOfTheReadme",
		[]string{"metrics/prometheus/README.md"}},
}

// TestCodeInDocsIsChecked: each block of each page is of a kind that some test looks at, and on a page that it knows. Pages in
// Chinese have the same blocks, see TestTranslationsAgree.
func TestCodeInDocsIsChecked(t *testing.T) {
	for info, f := range fences {
		if text, err := os.ReadFile(filepath.FromSlash(f.file)); err != nil || !bytes.Contains(text, []byte("\nfunc "+f.test+"(")) {
			t.Errorf("there is no %s in %s, which is to check %q (%v)", f.test, f.file, info, err)
		}
	}
	for _, page := range pages(t) {
		blocks, _ := page.split()
		for _, b := range blocks {
			info, _, _ := strings.Cut(b.text, "\n")
			original := strings.Replace(page.path, ".zh-CN.md", ".md", 1)
			if f, known := fences[info]; !known {
				t.Errorf("%s:%d: nobody checks code of the kind %q", page.path, b.line-1, info)
			} else if f.only != nil && !slices.Contains(f.only, original) {
				t.Errorf("%s:%d: %s does not know that there is %s on this page", page.path, b.line-1, f.test, info)
			}
		}
	}
}

// TestNoIndentedCodeInDocs: code is fenced, or it would escape the tests. Lines are indented in lists, too.
func TestNoIndentedCodeInDocs(t *testing.T) {
	for _, page := range pages(t) {
		_, prose := page.split()
		list, before := false, ""
		for _, line := range prose {
			switch {
			case listItem.MatchString(line.text):
				list = true
			case line.text != "" && !strings.HasPrefix(line.text, " "):
				list = false
			case !list && before == "" && (strings.HasPrefix(line.text, "    ") || strings.HasPrefix(line.text, "\t")):
				t.Errorf("%s: this is code without a fence", page.show(line))
			}
			before = line.text
		}
	}
}

var listItem = regexp.MustCompile(`^\s*([-*+]|\d+\.) `)

func TestJSONInDocsParses(t *testing.T) {
	for _, page := range pages(t) {
		for _, b := range page.blocks("json") {
			if !json.Valid([]byte(b.text)) {
				t.Errorf("%s:%d: this is not JSON", page.path, b.line)
			}
		}
	}
}

// TestTextInDocsIsNoCode: what is called text is what a socket carries, or a drawing.
func TestTextInDocsIsNoCode(t *testing.T) {
	frame := regexp.MustCompile(`^(wss?://\S+|(un)?sub:\S+|\{.*\})$`)
	for _, page := range pages(t) {
		for _, b := range page.blocks("text") {
			if path.Base(strings.Replace(page.path, ".zh-CN", "", 1)) == path.Base(architecturePage) {
				continue // see TestArchitecturePageShowsTheImports
			}
			for _, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
				if !frame.MatchString(line) {
					t.Errorf("%s:%d: %q is neither an address nor a message", page.path, b.line, line)
				} else if strings.HasPrefix(line, "{") && !json.Valid([]byte(line)) {
					t.Errorf("%s:%d: %s is not JSON", page.path, b.line, line)
				}
			}
		}
	}
}

// TestPagesThatCommentsNameExist: comments in Go name pages by their paths from the root, or from the file's own folder; a name
// without a path is that of some page.
func TestPagesThatCommentsNameExist(t *testing.T) {
	found := 0
	for _, f := range files(t, ".go") {
		text, err := os.ReadFile(filepath.FromSlash(f))
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			_, comment, _ := strings.Cut(line, "//")
			for _, m := range namedPage.FindAllStringSubmatch(comment, -1) {
				found++
				root, folder := page{path: "x.md"}, page{path: path.Dir(f) + "/x.md"}
				isBase := func(name string) bool { return m[2] == "" && path.Base(name) == m[1] }
				if err := follow(t, root, m[0]); err != nil && follow(t, folder, m[0]) != nil && !slices.ContainsFunc(files(t, ".md"), isBase) {
					t.Errorf("%s:%d: %s: %v", f, i+1, m[0], err)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no comment names a page: is this test still looking at the right thing?")
	}
}

var namedPage = regexp.MustCompile(`((?:[\w-]+/)*[\w.-]+\.md)(#[\w-]+)?`)

// TestMeasuredMemoryIsInTheResults: figures about memory in docs/deployment.md are those of tank in the benchmark's results.
func TestMeasuredMemoryIsInTheResults(t *testing.T) {
	results := readPage(t, "bench/results/results.md").text
	_, memory, _ := strings.Cut(readPage(t, "docs/deployment.md").text, "\n## Memory\n")
	figures := regexp.MustCompile(`(?m)\| ([\d.]+ (?:B|KiB|MiB)) \|$`).FindAllStringSubmatch(memory, -1)
	for _, m := range figures {
		if !regexp.MustCompile(`(?m)^\| tank .*\| ` + regexp.QuoteMeta(m[1]) + ` \|`).MatchString(results) {
			t.Errorf("docs/deployment.md: the results do not have %s", m[1])
		}
	}
	if len(figures) == 0 {
		t.Error("docs/deployment.md has no figures about memory")
	}
}
