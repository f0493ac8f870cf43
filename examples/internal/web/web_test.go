package web

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

// client returns the complete client that a page shows.
func client(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(text), "\n```js\n")[1:] {
		if code, _, ok := strings.Cut(part, "\n```\n"); ok && strings.Contains(code, "class Live") {
			return code + "\n"
		}
	}
	t.Fatalf("%s shows no class Live", page)
	return ""
}

var comment = regexp.MustCompile(` *(//.*|/\*.*\*/)`)

// TestDocsShowTheClientThatPagesUse: the English page shows the file as it is, the Chinese one with other comments.
func TestDocsShowTheClientThatPagesUse(t *testing.T) {
	file, err := files.ReadFile("live.js")
	if err != nil {
		t.Fatal(err)
	}
	code := string(file)
	if client(t, "protocol.md") != code {
		t.Error("docs/protocol.md does not show live.js as it is")
	}
	bare := func(code string) string { return comment.ReplaceAllString(code, "") }
	if bare(client(t, "protocol.zh-CN.md")) != bare(code) {
		t.Error("docs/protocol.zh-CN.md does not show the code of live.js")
	}
}

func TestFilesAreServed(t *testing.T) {
	mux := http.NewServeMux()
	Handle(mux)
	for name, kind := range map[string]string{
		"tank.js": "text/javascript", "live.js": "text/javascript", "keys.js": "text/javascript", "language.js": "text/javascript", "small.css": "text/css",
	} {
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/"+name, nil))
		if answer.Code != http.StatusOK || !strings.HasPrefix(answer.Header().Get("Content-Type"), kind) || answer.Body.Len() == 0 {
			t.Errorf("%s is answered with %d, %v", name, answer.Code, answer.Header())
		}
	}
}
