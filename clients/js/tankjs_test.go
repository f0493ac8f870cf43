package tankjs_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	tankjs "github.com/fanqie/tank-websocket-go-server/clients/js"
)

// get asks a mux on which the handler is mounted as the documentation says.
func get(method, url string, header ...string) *http.Response {
	mux := http.NewServeMux()
	mux.Handle("/tank.js", tankjs.Handler())
	mux.Handle("/tank.d.ts", tankjs.Handler())
	r := httptest.NewRequest(method, url, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func file(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestHandlerServesTheModule(t *testing.T) {
	for url, want := range map[string]struct{ kind, file string }{
		"/tank.js":   {"text/javascript; charset=utf-8", "dist/tank.min.js"},
		"/tank.d.ts": {"text/plain; charset=utf-8", "dist/tank.d.ts"},
	} {
		r := get("GET", url)
		h := r.Header
		if r.StatusCode != 200 || h.Get("Content-Type") != want.kind || h.Get("Cache-Control") != "no-cache" ||
			h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Vary") != "Accept-Encoding" || h.Get("Content-Encoding") != "" {
			t.Errorf("%s: %d %v", url, r.StatusCode, h)
		}
		if body(t, r.Body) != file(t, want.file) {
			t.Errorf("%s is not %s", url, want.file)
		}
	}
	if text := file(t, "dist/tank.min.js"); !strings.Contains(text, "as Tank") || strings.Contains(text, "window") {
		t.Error("dist/tank.min.js is no module that exports Tank, or needs a window")
	}
}

func TestHandlerCaches(t *testing.T) {
	tag := get("GET", "/tank.js").Header.Get("ETag")
	if r := get("GET", "/tank.js", "If-None-Match", tag); r.StatusCode != http.StatusNotModified || body(t, r.Body) != "" {
		t.Errorf("with its own tag %s: %d", tag, r.StatusCode)
	}
	if r := get("GET", "/tank.js", "If-None-Match", `"other"`); r.StatusCode != 200 {
		t.Errorf("with another tag: %d", r.StatusCode)
	}
	if c := get("GET", "/tank.js?v="+tankjs.Version()).Header.Get("Cache-Control"); c != "public, max-age=31536000, immutable" {
		t.Errorf("with the version: %s", c)
	}
	if c := get("GET", "/tank.js?v=old").Header.Get("Cache-Control"); c != "no-cache" {
		t.Errorf("with another version: %s", c)
	}
	if !strings.Contains(tag, tankjs.Version()) {
		t.Errorf("the tag %s does not have the version %s", tag, tankjs.Version())
	}
}

func TestHandlerCompresses(t *testing.T) {
	for accepted, want := range map[string]bool{
		"gzip": true, "br, gzip;q=0.8": true, "gzip;q=1.0, br": true, "": false, "br": false, "gzip;q=0": false, "gzip; q=0.0": false, "xgzip": false,
	} {
		r := get("GET", "/tank.js", "Accept-Encoding", accepted)
		if got := r.Header.Get("Content-Encoding") == "gzip"; got != want {
			t.Errorf("%q: compressed is %v", accepted, got)
		}
	}
	r := get("GET", "/tank.js", "Accept-Encoding", "gzip")
	content := body(t, r.Body)
	if len(content) > 4_000 {
		t.Errorf("the module has %d bytes", len(content))
	}
	z, err := gzip.NewReader(bytes.NewReader([]byte(content)))
	if err != nil {
		t.Fatal(err)
	}
	if body(t, z) != file(t, "dist/tank.min.js") {
		t.Error("it is not what was compressed")
	}
	if tag := get("GET", "/tank.js").Header.Get("ETag"); r.Header.Get("ETag") == tag {
		t.Errorf("both encodings have the tag %s", tag)
	}
	if r := get("GET", "/tank.js", "Accept-Encoding", "gzip", "If-None-Match", r.Header.Get("ETag")); r.StatusCode != http.StatusNotModified {
		t.Errorf("with its own tag: %d", r.StatusCode)
	}
}

func TestHandlerRefusesOtherMethods(t *testing.T) {
	if r := get("POST", "/tank.js"); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %v", r.StatusCode, r.Header)
	}
	if r := get("HEAD", "/tank.js"); r.StatusCode != 200 || body(t, r.Body) != "" {
		t.Errorf("HEAD: %d", r.StatusCode)
	}
}
