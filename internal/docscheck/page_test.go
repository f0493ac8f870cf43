package docscheck

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

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
	for _, name := range files(t, ".md") {
		list = append(list, readPage(t, name))
	}
	return list
}

// files lists the files of the repository, those of all its modules, whose names end like this.
func files(t *testing.T, extension string) []string {
	t.Helper()
	atRoot(t)
	var list []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "artifacts" || d.Name() == "node_modules"):
			return fs.SkipDir
		case !d.IsDir() && filepath.Ext(name) == extension:
			list = append(list, filepath.ToSlash(name))
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

// module returns the directory of the module that a page belongs to: the nearest one above it with a go.mod.
func (p page) module() string {
	dir := path.Dir(p.path)
	for dir != "." && !hasFile(filepath.FromSlash(dir), "go.mod") {
		dir = path.Dir(dir)
	}
	return dir
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

// code returns the lines of all code blocks without comments.
func (p page) code() []passage {
	var list []passage
	blocks, _ := p.split()
	for _, b := range blocks {
		for i, line := range strings.Split(b.text, "\n") {
			if line = strings.TrimSpace(comment.ReplaceAllString(line, "")); line != "" {
				list = append(list, passage{line, b.line + i - 1})
			}
		}
	}
	return list
}

// comment is one in any of the languages used. Without a space before it, // may be part of an address.
var comment = regexp.MustCompile(`(^|\s)//.*$|/\*.*?\*/|(^|\s)# .*$`)

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
	anyLink  = regexp.MustCompile(`\]\(([^)\s]+)\)|^\[[^\]]+\]: +(\S+)|(?:src|srcset|href)="([^"]+)"`)
)

func (p page) links() []passage {
	var list []passage
	_, prose := p.split()
	for _, line := range prose {
		for _, m := range anyLink.FindAllStringSubmatch(line.text, -1) {
			list = append(list, passage{m[1] + m[2] + m[3], line.line})
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
