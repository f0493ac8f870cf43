package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestFilesAreServed(t *testing.T) {
	mux := http.NewServeMux()
	Handle(mux)
	for name, kind := range map[string]string{
		"tank.js": "text/javascript", "keys.js": "text/javascript", "language.js": "text/javascript", "small.css": "text/css",
	} {
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/"+name, nil))
		if answer.Code != http.StatusOK || !strings.HasPrefix(answer.Header().Get("Content-Type"), kind) || answer.Body.Len() == 0 {
			t.Errorf("%s is answered with %d, %v", name, answer.Code, answer.Header())
		}
	}
}
