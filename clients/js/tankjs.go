// Package tankjs serves the client of tank.v2 for browsers, so that a page imports it without a build step:
//
//	http.Handle("/tank.js", tankjs.Handler())
//	http.Handle("/tank.d.ts", tankjs.Handler())
//
// README.md describes the client, which can also be bundled as the npm package tank-websocket.
package tankjs

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

//go:embed dist/tank.min.js dist/tank.d.ts
var dist embed.FS

// file is what one URL returns.
type file struct {
	kind    string // Content-Type
	hash    string // of the content, in hexadecimal digits
	plain   []byte
	gzipped []byte
}

var (
	script = read("dist/tank.min.js", "text/javascript; charset=utf-8")
	types  = read("dist/tank.d.ts", "text/plain; charset=utf-8")
)

func read(name, kind string) file {
	content, err := dist.ReadFile(name)
	if err != nil {
		panic(err) // only for an embedded file that is not there
	}
	sum := sha256.Sum256(content)
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is valid
	_, _ = w.Write(content)                               // a buffer takes all
	_ = w.Close()
	return file{kind, hex.EncodeToString(sum[:8]), content, b.Bytes()}
}

// Handler returns a handler that serves the client as an ES module, and its TypeScript declarations where the path ends with .d.ts.
//
// A browser asks with each page load whether the module has changed, and gets 304 if not. With [Version] in the query, as in
// /tank.js?v=VERSION, it keeps the module for a year and does not ask.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		f := script
		if strings.HasSuffix(r.URL.Path, ".d.ts") {
			f = types
		}
		f.serve(w, r)
	})
}

// Version returns the version of the module for its URL. It changes exactly when the module does.
func Version() string { return script.hash }

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Vary", "Accept-Encoding")
	if r.URL.Query().Get("v") == f.hash {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache") // a page of another version asks too, and must not keep what it gets
	}
	content, tag := f.plain, f.hash
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		content, tag = f.gzipped, f.hash+"-gzip"
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// acceptsGzip reports whether gzip is among the accepted encodings (RFC 9110, section 12.5.3).
func acceptsGzip(header string) bool {
	for coding := range strings.SplitSeq(header, ",") {
		name, parameter, _ := strings.Cut(coding, ";")
		if strings.TrimSpace(name) == "gzip" {
			_, quality, weighted := strings.Cut(parameter, "q=")
			return !weighted || strings.Trim(quality, "0. ") != ""
		}
	}
	return false
}
