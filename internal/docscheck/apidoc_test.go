package docscheck

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// publicPackages are those that promise compatibility. The last ones need not be there.
var publicPackages = []string{".", "inspector", "tanktest", "broker", "broker/brokertest"}

// withoutExample are methods for which an example has nothing to show.
var withoutExample = map[string]bool{
	"Client.String":          true,
	"CloseError.Error":       true,
	"ErrorEvent.Error":       true,
	"ErrorEvent.Unwrap":      true,
	"OutboxPolicy.String":    true,
	"Position.MarshalJSON":   true, // see Manager.Position
	"Position.UnmarshalJSON": true,
	"Protocol.String":        true, // see Client.Protocol
	"RequestError.Error":     true,
	"State.String":           true,
}

// TestExportedNamesHaveDocs looks at all that a public package exports: types, functions, methods, constants, variables.
func TestExportedNamesHaveDocs(t *testing.T) {
	for _, dir := range publicPackages {
		p := documentation(t, dir)
		if p == nil {
			continue
		}
		if !strings.HasPrefix(p.Doc, "Package "+p.Name+" ") {
			t.Errorf("package %s has no documentation of its own", p.Name)
		}
		values := append(p.Consts, p.Vars...)
		for _, typ := range p.Types {
			values = append(append(values, typ.Consts...), typ.Vars...)
			checkDoc(t, p.Name, typ.Name, typ.Doc)
		}
		for name, f := range functions(p) {
			checkDoc(t, p.Name, name, f.Doc)
		}
		for _, group := range values {
			for _, spec := range group.Decl.Specs {
				checkValueDoc(t, p.Name, group.Doc, spec.(*ast.ValueSpec))
			}
		}
	}
}

// checkDoc wants a comment in the form that tools expect: it begins with the name, maybe behind an article.
func checkDoc(t *testing.T, pkg, name, text string) {
	last := name[strings.LastIndex(name, ".")+1:]
	words := strings.Fields(text)
	if len(words) > 1 && (words[0] == "A" || words[0] == "An" || words[0] == "The") {
		words = words[1:]
	}
	if len(words) == 0 || words[0] != last {
		t.Errorf("%s.%s: the comment does not begin with the name: %.60q", pkg, name, text)
	}
}

// checkValueDoc wants a comment about each constant and variable, in front of it, behind it, or about its whole group.
func checkValueDoc(t *testing.T, pkg, group string, spec *ast.ValueSpec) {
	for _, name := range spec.Names {
		if name.IsExported() && group == "" && spec.Doc.Text() == "" && spec.Comment.Text() == "" {
			t.Errorf("%s.%s has no comment", pkg, name.Name)
		}
	}
}

// TestCallsHaveExamples wants an example for each function and method of package tank, with checked output, so that
// what the API reference shows does what it says.
func TestCallsHaveExamples(t *testing.T) {
	p := documentation(t, ".")
	for name, f := range functions(p) {
		if withoutExample[name] {
			continue
		}
		if len(f.Examples) == 0 {
			t.Errorf("%s has no example", name)
		}
		for _, e := range f.Examples {
			if e.Output == "" {
				t.Errorf("Example%s is compiled, but not run: it has no output", e.Name)
			}
		}
	}
	for _, e := range p.Examples {
		if e.Output == "" {
			t.Errorf("the example of the package is compiled, but not run")
		}
	}
}

// functions returns the exported functions and methods of a package by name, those of types it does not export aside.
func functions(p *doc.Package) map[string]*doc.Func {
	all := make(map[string]*doc.Func)
	add := func(prefix string, list []*doc.Func) {
		for _, f := range list {
			all[prefix+f.Name] = f
		}
	}
	add("", p.Funcs)
	for _, typ := range p.Types {
		add("", typ.Funcs)
		add(typ.Name+".", typ.Methods)
	}
	return all
}

// documentation returns what is exported by the package in a directory, with its examples; nil when there is none.
func documentation(t *testing.T, dir string) *doc.Package {
	t.Helper()
	atRoot(t)
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		return nil
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	p, err := doc.NewFromFiles(fset, files, modulePath+"/"+dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
