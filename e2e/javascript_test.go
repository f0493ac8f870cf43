package e2e

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// moduleSyntax is what only modules may have.
var moduleSyntax = regexp.MustCompile(`(?m)^(import .* from .*;$|export )`)

// TestJavaScriptInDocsParses gives each block of JavaScript to the browser, which does not run it, but says whether it could.
func TestJavaScriptInDocsParses(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write([]byte("<!doctype html><link rel=icon href=data:,><title>parser</title>"))
	}))
	t.Cleanup(s.Close)
	p := open(t, &server{t: t, url: s.URL + "/"}, "parser", look{})
	parse := func(code string) string {
		return eval[string](p, `(() => { try { new Function(`+quote(moduleSyntax.ReplaceAllString(code, ""))+`); return ""; } catch (e) { return String(e); } })()`)
	}
	if parse("let let") == "" {
		t.Fatal("the browser takes anything")
	}
	found := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "node_modules" {
			return fs.SkipDir
		}
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		page := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
		for _, code := range blocks(t, page, "js") {
			found++
			if complaint := parse(code); complaint != "" {
				t.Errorf("%s: %s in\n%s", page, complaint, code)
			}
		}
		return nil
	})
	if err != nil || found == 0 {
		t.Errorf("%d blocks of JavaScript were found (%v)", found, err)
	}
}
