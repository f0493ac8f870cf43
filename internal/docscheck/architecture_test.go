package docscheck

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

const architecturePage = "docs/architecture.md"

// TestArchitecturePageShowsTheImports: what the page's table says that a package imports, its code imports, and nothing
// else; and each of those imports leads to a package that stands higher in the drawing.
func TestArchitecturePageShowsTheImports(t *testing.T) {
	shown, real, rank := importsShown(t), importsOfCode(t), drawing(t)
	for _, dir := range slices.Sorted(maps.Keys(real)) {
		imports, ok := shown[dir]
		if !ok {
			t.Errorf("%s: package %s is not in the table of layers", architecturePage, name(dir))
			continue
		}
		if !slices.Equal(imports, real[dir]) {
			t.Errorf("%s: package %s imports %q; the table says %q", architecturePage, name(dir), real[dir], imports)
		}
		for _, imported := range real[dir] {
			if above, is := rank[imported]; is && above >= rank[dir] {
				t.Errorf("%s: in the drawing, %s does not stand above %s, which imports it", architecturePage, name(imported), name(dir))
			}
		}
		if _, drawn := rank[dir]; !drawn {
			t.Errorf("%s: package %s is not in the drawing of layers", architecturePage, name(dir))
		}
	}
	for dir := range rank {
		if _, ok := shown[dir]; !ok {
			t.Errorf("%s: the drawing has %s, and the table has not", architecturePage, name(dir))
		}
	}
	for dir := range shown {
		if _, ok := real[dir]; !ok {
			t.Errorf("%s: the table has package %s, which does not exist", architecturePage, name(dir))
		}
	}
}

// name is what the page calls the package in a directory.
func name(dir string) string {
	if dir == "." {
		return "tank"
	}
	return dir
}

// directory is the opposite of name.
func directory(name string) string {
	if name == "tank" {
		return "."
	}
	return name
}

// importsOfCode returns, for each package that programs link, what its code imports beside the standard library, sorted.
func importsOfCode(t *testing.T) map[string][]string {
	imports := make(map[string][]string)
	for _, f := range moduleSources(t) {
		dir := path.Dir(f.path)
		if f.isTest() || strings.HasPrefix(dir, "examples/") {
			continue
		}
		list := imports[dir]
		for _, imported := range f.imports() {
			if !isStandard(imported) {
				list = append(list, shortPath(imported))
			}
		}
		slices.Sort(list)
		imports[dir] = slices.Compact(list)
	}
	return imports
}

// importsShown returns the same as the table says it: a row for each package, with its imports in the second column.
func importsShown(t *testing.T) map[string][]string {
	shown := make(map[string][]string)
	for _, row := range layersSection(t, false) {
		cells := strings.Split(row, "|")
		if len(cells) < 4 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		var imports []string
		for _, span := range codeSpan.FindAllString(cells[2], -1) {
			imports = append(imports, directory(strings.Trim(span, "`")))
		}
		slices.Sort(imports)
		shown[directory(strings.Trim(strings.TrimSpace(cells[1]), "`"))] = imports
	}
	return shown
}

// drawing returns on which line of the drawing each package stands. The packages of a line are the words before its
// comment, arrows aside.
func drawing(t *testing.T) map[string]int {
	rank := make(map[string]int)
	for i, line := range layersSection(t, true) {
		packages, _, _ := strings.Cut(line, "#")
		for _, word := range strings.Fields(packages) {
			if word != "^" {
				rank[directory(word)] = i
			}
		}
	}
	return rank
}

// layersSection returns the lines of the section about layers: those of its code, or those of its prose.
func layersSection(t *testing.T, code bool) []string {
	t.Helper()
	_, text, found := strings.Cut(readPage(t, architecturePage).text, "\n## Layers\n")
	if !found {
		t.Fatalf("%s has no section about layers", architecturePage)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	blocks, prose := page{architecturePage, text}.split()
	if code {
		if len(blocks) != 1 {
			t.Fatalf("%s has %d drawings of layers", architecturePage, len(blocks))
		}
		return strings.Split(blocks[0].text, "\n")[1:]
	}
	var lines []string
	for _, line := range prose {
		lines = append(lines, line.text)
	}
	return lines
}
