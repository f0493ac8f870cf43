// Package web holds what the pages of the examples, and the servers of the larger ones, share. The pages may be mounted anywhere, so they ask for it beside themselves.
package web

import (
	"bytes"
	"embed"
	"net/http"
	"time"

	tankjs "github.com/fanqie/tank-websocket-go-server/clients/js"
)

//go:embed *.js *.css
var files embed.FS

// names are the shared files, which need each other or nothing.
var names = []string{"keys.js", "language.js", "small.css"}

// Handle serves the shared files, and the client, at the top of a mux.
func Handle(mux *http.ServeMux) {
	mux.Handle("GET /tank.js", tankjs.Handler())
	for _, name := range names {
		content, err := files.ReadFile(name)
		if err != nil {
			panic(err) // only for an embedded file that is not there
		}
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.Header().Set("Cache-Control", "no-cache") // embedded files have no time of change to compare
			http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
		})
	}
}
