package inspector_test

import (
	"crypto/subtle"
	"net/http"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/inspector"
)

// The inspector refuses nobody, so it stands behind whatever a program asks its operators for.
func ExampleHandler() {
	tkws := tank.NewInstance()
	go tkws.Start()
	http.Handle("/ws", tkws)
	http.Handle("/inspector/", operatorsOnly(http.StripPrefix("/inspector/", inspector.Handler(tkws))))
}

func operatorsOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(password), []byte("a long secret from your configuration")) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="inspector"`)
			http.Error(w, "operators only", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
