package main

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/examples/internal/web"
)

//go:embed static
var static embed.FS

// policy keeps the page to its own files and its own server.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func handler(tkws *tank.Manager, m *market) http.Handler {
	files, err := fs.Sub(static, "static")
	if err != nil {
		panic(err) // only for a malformed directory name
	}
	mux := http.NewServeMux()
	mux.Handle("GET /ws", tkws)
	mux.Handle("GET /slow", onSlowLink(tkws))
	mux.HandleFunc("GET /symbols", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(m.symbols) // whoever asked may have gone
	})
	web.Handle(mux)
	mux.Handle("GET /", careful(http.FileServerFS(files)))
	return mux
}

func careful(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cache-Control", "no-cache") // embedded files have no time of change to compare
		h.ServeHTTP(w, r)
	})
}
