package inspector

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strings"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// Handler returns the inspector of an instance, which may be mounted anywhere, with http.StripPrefix or without. It works
// before Start and after Shutdown, too, and says so. It blocks only while the instance is asked, which does not wait for
// clients. It panics when m is nil.
func Handler(m *tank.Manager) http.Handler {
	if m == nil {
		panic("inspector: Handler: instance is nil")
	}
	h := &handler{
		m:         m,
		health:    newCache(func(_ string, before *health) *health { return before.next(m) }),
		topics:    newCache(func(_ string, before *topicTable) *topicTable { return newTopicTable(m, before) }),
		clients:   newCache(func(string, *clientTable) *clientTable { return newClientTable(m.GetAllClients()) }),
		audiences: newCache(func(topic string, _ *audience) *audience { return newAudience(m, topic) }),
	}
	h.answers = map[string]func(*http.Request) (any, error){
		"api/health":  h.showHealth,
		"api/topics":  h.showTopics,
		"api/topic":   h.showTopic,
		"api/clients": h.showClients,
		"api/client":  h.showClient,
	}
	return h
}

type handler struct {
	// Immutable.
	m         *tank.Manager
	health    *cache[*health]
	topics    *cache[*topicTable]
	clients   *cache[*clientTable]
	audiences *cache[*audience] // by topic
	answers   map[string]func(*http.Request) (any, error)
}

// ServeHTTP answers by what the path ends with, because where it begins depends on how the handler is mounted.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		respond(w, r, nil, &problem{http.StatusMethodNotAllowed, "method_not_allowed", "the inspector is read-only", ""})
		return
	}
	if dir, name := path.Split("/" + r.URL.Path); strings.HasSuffix(dir, "/api/") && name != "" {
		h.serveAPI(w, r, "api/"+name)
		return
	}
	servePage(w, r)
}

// secure keeps the page to its own files and its own server, whatever somebody might manage to smuggle into it.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
}

func (h *handler) serveAPI(w http.ResponseWriter, r *http.Request, path string) {
	answer, ok := h.answers[path]
	if !ok {
		respond(w, r, nil, notFound("there is no %s", quote(path)))
		return
	}
	value, err := answer(r)
	respond(w, r, value, err)
}

// respond writes a value, or what went wrong, as JSON.
func respond(w http.ResponseWriter, r *http.Request, value any, err error) {
	status := http.StatusOK
	if err != nil {
		p := asProblem(err)
		status, value = p.status, map[string]any{"error": p}
	}
	text, err := json.Marshal(value)
	if err != nil {
		http.Error(w, fmt.Sprint("inspector: ", err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(append(text, '\n')) // whoever asked may have gone
	}
}
