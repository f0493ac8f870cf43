package docscheck

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/fanqie/tank-websocket-go-server"

// layers is the architecture: what the code of each package, tests aside, may import beside the standard library.
// "." is the root. A package that is not listed is an arrow nobody has drawn yet: think, then add it.
var layers = map[string][]string{
	"actor":            {},
	"broker":           {},
	"internal/budget":  {},
	"internal/poller":  {"actor"},
	"internal/metrics": {},
	"internal/wire":    {},
	"internal/memnet":  {}, // the network of tests, and so of tanktest alone
	"internal/wstest":  {}, // the client's side of tests, and so of tanktest alone; nothing of the server's
	"internal/link":    {"actor", "broker", "internal/wire", "topic"},
	"topic":            {"actor", "internal/budget", "internal/metrics", "internal/wire"},
	"client":           {"actor", "internal/budget", "internal/metrics", "internal/poller", "internal/wire", "github.com/coder/websocket"},
	"clients/js":       {}, // the browser's side: files that a handler serves
	"inspector":        {"."},
	"internal/hub":     {"actor", "broker", "internal/link", "internal/budget", "internal/metrics", "internal/wire", "topic", "client"},
	".":                {"actor", "broker", "internal/budget", "internal/hub", "internal/metrics", "internal/poller", "internal/wire", "client", "github.com/google/uuid"},
	"tanktest":         {".", "internal/memnet", "internal/wstest"}, // for tests of programs that use the library

	"broker/brokertest": {"actor", "broker"}, // for tests of brokers, and of programs that use several instances
}

// exampleLayer is the same for each package below examples/: what a user of the library can import.
var exampleLayer = []string{".", "actor", "clients/js", "inspector", "examples/internal/chat", "examples/internal/web"}

// permittedModules are all that a program which uses the library links beside the standard library.
var permittedModules = []string{"github.com/coder/websocket", "github.com/google/uuid"}

// mayLock is the one file with a lock in it.
const mayLock = "actor/mailbox.go"

func TestImportsFollowTheLayers(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range moduleSources(t) {
		if f.isTest() {
			continue
		}
		dir := path.Dir(f.path)
		seen[dir] = true
		allowed, ok := layers[dir]
		if strings.HasPrefix(dir, "examples/") {
			allowed, ok = exampleLayer, true
		}
		if !ok {
			t.Errorf("%s: package %s has no place in the architecture; see layers", f.path, dir)
			continue
		}
		for _, imported := range f.imports() {
			if !isStandard(imported) && !slices.Contains(allowed, shortPath(imported)) {
				t.Errorf("%s imports %s; beside the standard library it may import %q", f.path, shortPath(imported), allowed)
			}
		}
	}
	for dir := range maps.Keys(layers) {
		if !seen[dir] {
			t.Errorf("layers lists %s, which does not exist", dir)
		}
	}
}

// TestBuildReachesOnlyPermittedModules looks at all that is compiled in, however indirectly.
func TestBuildReachesOnlyPermittedModules(t *testing.T) {
	reached := make(map[string]string) // module: an example of a package
	for _, p := range listBuild(t) {
		if p.Module != nil && p.Module.Path != modulePath {
			reached[p.Module.Path] = p.ImportPath
		}
	}
	for mod, pkg := range reached {
		if !slices.Contains(permittedModules, mod) {
			t.Errorf("the build reaches module %s (package %s); permitted are %q", mod, pkg, permittedModules)
		}
	}
	for _, mod := range permittedModules {
		if _, ok := reached[mod]; !ok {
			t.Errorf("module %s is permitted, but the build does not reach it", mod)
		}
	}
}

// TestRequiresAreUsed checks go.mod: every module that is required directly is a permitted one, or some test imports it.
func TestRequiresAreUsed(t *testing.T) {
	var testImports []string
	for _, f := range moduleSources(t) {
		if f.isTest() {
			testImports = append(testImports, f.imports()...)
		}
	}
	for _, mod := range directRequires(t) {
		if slices.Contains(permittedModules, mod) {
			continue
		}
		ofModule := func(pkg string) bool { return pkg == mod || strings.HasPrefix(pkg, mod+"/") }
		if !slices.ContainsFunc(testImports, ofModule) {
			t.Errorf("go.mod requires %s, which is neither permitted (%q) nor imported by a test", mod, permittedModules)
		}
	}
}

// TestOnlyTheMailboxLocks: what others would lock, one goroutine owns.
func TestOnlyTheMailboxLocks(t *testing.T) {
	found := false
	for _, f := range moduleSources(t) {
		if f.isTest() {
			continue
		}
		free := strings.HasPrefix(f.path, "examples/") || strings.HasPrefix(f.path, "internal/memnet/")
		for _, use := range f.usesOf("sync") {
			at := fmt.Sprintf("%s:%d", f.path, use.line)
			switch use.name {
			case ".":
				t.Errorf("%s: a dot import hides what is used of package sync", at)
			case "Map":
				t.Errorf("%s: sync.Map is shared state; give it to an actor", at)
			case "Mutex", "RWMutex":
				if f.path == mayLock {
					found = true
				} else if !free {
					t.Errorf("%s: sync.%s; the only lock stands in %s, so give the state to an actor", at, use.name, mayLock)
				}
			}
		}
	}
	if !found {
		t.Errorf("there is no lock in %s: is this test still looking at the right file?", mayLock)
	}
}

// sourceFile is a Go file of this module, whatever its build constraints.
type sourceFile struct {
	path string // from the root, with slashes
	fset *token.FileSet
	ast  *ast.File
}

// moduleSources parses the Go files of the root module.
func moduleSources(t *testing.T) []sourceFile {
	t.Helper()
	atRoot(t)
	var files []sourceFile
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && (ignoredByGo(d.Name()) || hasFile(name, "go.mod")) {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		parsed, err := parser.ParseFile(fset, name, nil, 0)
		files = append(files, sourceFile{filepath.ToSlash(name), fset, parsed})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// ignoredByGo reports whether "./..." passes over a directory of that name.
func ignoredByGo(name string) bool {
	return name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
}

func hasFile(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

func (f sourceFile) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

func (f sourceFile) imports() []string {
	var list []string
	for _, spec := range f.ast.Imports {
		list = append(list, importPath(spec))
	}
	return list
}

// use is one mention of something that a package exports.
type use struct {
	name string
	line int
}

// usesOf returns what the file mentions of a package, also when it imports it by another name; "." stands for a dot
// import.
func (f sourceFile) usesOf(pkg string) []use {
	var uses []use
	line := func(n ast.Node) int { return f.fset.Position(n.Pos()).Line }
	names := make(map[string]bool)
	for _, spec := range f.ast.Imports {
		switch {
		case importPath(spec) != pkg:
		case spec.Name == nil:
			names[path.Base(pkg)] = true
		case spec.Name.Name == ".":
			uses = append(uses, use{".", line(spec)})
		default:
			names[spec.Name.Name] = true
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && names[x.Name] {
				uses = append(uses, use{sel.Sel.Name, line(sel)})
			}
		}
		return true
	})
	return uses
}

func importPath(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic(err) // the parser lets only string literals pass
	}
	return p
}

// isStandard reports whether an import path belongs to the standard library: its first element has no dot.
func isStandard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// shortPath returns the import path as it stands in layers.
func shortPath(importPath string) string {
	if importPath == modulePath {
		return "."
	}
	return strings.TrimPrefix(importPath, modulePath+"/")
}

type listedPackage struct {
	ImportPath string
	Module     *struct{ Path string }
}

// listBuild returns every package that the root module's programs and packages are built of, tests aside.
func listBuild(t *testing.T) []listedPackage {
	t.Helper()
	var packages []listedPackage
	d := json.NewDecoder(strings.NewReader(goCommand(t, "list", "-deps", "-json=ImportPath,Module", "./...")))
	for d.More() {
		var p listedPackage
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	return packages
}

// directRequires returns the modules that go.mod requires, less those marked as indirect.
func directRequires(t *testing.T) []string {
	t.Helper()
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal([]byte(goCommand(t, "mod", "edit", "-json")), &mod); err != nil {
		t.Fatal(err)
	}
	var direct []string
	for _, r := range mod.Require {
		if !r.Indirect {
			direct = append(direct, r.Path)
		}
	}
	return direct
}

// goCommand runs the go command at the root of the module and returns what it prints.
func goCommand(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}
