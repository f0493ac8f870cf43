package web

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// NewServer returns a server that bounds what a slow or idle HTTP peer can hold on to. An upgraded connection is out of its hands: there the
// instance's heartbeat and limits rule.
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// PageURL is where a browser on this machine finds the page, also when the server listens on all addresses.
func PageURL(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("http://localhost:%d/", tcp.Port)
	}
	return fmt.Sprintf("http://%s/", addr)
}
