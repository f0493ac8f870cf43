package inspector

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed static
var static embed.FS

// file is a part of the page.
type file struct {
	content []byte
	etag    string
}

// files are all parts, by their path from where the handler is mounted.
var files = readFiles()

func readFiles() map[string]file {
	all := make(map[string]file)
	err := fs.WalkDir(static, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := static.ReadFile(name)
		sum := sha256.Sum256(content)
		all[name] = file{content, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
		return err
	})
	if err != nil {
		panic(err) // only for an embedded file that is not there
	}
	return all
}

// servePage serves a part of the page, by what the path ends with.
func servePage(w http.ResponseWriter, r *http.Request) {
	if right := withSlash(r); right != "" {
		w.Header().Set("Location", right)
		w.WriteHeader(http.StatusPermanentRedirect)
		return
	}
	name := "static/index.html"
	if p := "/" + r.URL.Path; !strings.HasSuffix(p, "/") {
		name = p[strings.LastIndex(p, "/static/")+1:]
	}
	f, ok := files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-cache") // but ask whether it is still the same
	w.Header().Set("ETag", f.etag)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(f.content))
}

// withSlash returns where a request for the page should go instead when its address has no slash at its end, without which
// the page would look for its parts in the wrong place; or "". What http.StripPrefix has left says nothing about that.
func withSlash(r *http.Request) string {
	address, query, _ := strings.Cut(r.RequestURI, "?")
	if r.URL.Path != "" || address == "" || strings.HasSuffix(address, "/") {
		return ""
	}
	if query != "" {
		query = "?" + query
	}
	return "./" + path.Base(address) + "/" + query // relative, RFC 9110 section 10.2.2; a colon in it makes no scheme
}
