package main

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/examples/internal/web"
)

//go:embed static
var static embed.FS

// policy keeps the page to its own files, its own server and the nodes.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; " +
	"frame-ancestors 'none'; connect-src 'self'"

// pageHandler serves the page, and the desk that its buttons talk to.
func pageHandler(desk *tank.Manager, ports []int) http.Handler {
	files, err := fs.Sub(static, "static")
	if err != nil {
		panic(err) // only for a malformed directory name
	}
	policy := policy + websocketsOf(ports)
	mux := http.NewServeMux()
	mux.Handle("GET /ws", desk)
	web.Handle(mux)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache") // embedded files have no time of change to compare
		http.FileServerFS(files).ServeHTTP(w, r)
	})
	return mux
}

// websocketsOf is the part of a policy for the nodes, which listen on these ports of the host that the page is from.
func websocketsOf(ports []int) (sources string) {
	for _, port := range ports {
		sources += fmt.Sprintf(" ws://*:%d", port)
	}
	return sources
}
