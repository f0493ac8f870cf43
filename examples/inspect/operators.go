package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
)

// operatorsOnly lets those in who know the password. It stands for the authentication that a service has.
func operatorsOnly(password string, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(password)) // so that not even its length shows in how long the comparison takes
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, given, ok := r.BasicAuth()
		got := sha256.Sum256([]byte(given))
		if !ok || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="operators", charset="UTF-8"`)
			http.Error(w, "operators only", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
