package control

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
)

// maxTemplate bounds a template in bytes.
const maxTemplate = 1 << 20

// server has the endpoints.
type server struct {
	contender contender.Contender

	mu    sync.Mutex
	flood *flood // nil: none
}

// Handler returns the endpoints for a contender.
func Handler(c contender.Contender) http.Handler {
	s := &server{contender: c}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /publish", s.publish)
	mux.HandleFunc("POST /flood", s.startFlood)
	mux.HandleFunc("POST /credit", s.raiseCredit)
	mux.HandleFunc("POST /unflood", s.stopFlood)
	mux.HandleFunc("POST /settle", func(w http.ResponseWriter, _ *http.Request) {
		debug.FreeOSMemory()
		answer(w, struct{}{}, nil)
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		answer(w, Stats{s.contender.Subscriptions(), s.contender.Dropped(), s.contender.Received(), m.Mallocs, m.HeapAlloc}, nil)
	})
	mux.HandleFunc("GET /position", s.position)
	return mux
}

func (s *server) position(w http.ResponseWriter, r *http.Request) {
	keeper, ok := s.contender.(contender.Keeper)
	if !ok {
		answer(w, nil, contender.ErrUnsupported)
		return
	}
	p, err := keeper.Position(r.URL.Query().Get("topic"))
	answer(w, p, err)
}

func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// jobOf reads a request for /publish or /flood.
func jobOf(r *http.Request) (Job, string, error) {
	job, err := parseJob(r.URL.Query())
	if err != nil {
		return job, "", err
	}
	template, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxTemplate))
	return job, string(template), err
}

func (s *server) publish(w http.ResponseWriter, r *http.Request) {
	job, template, err := jobOf(r)
	if err != nil {
		answer(w, nil, err)
		return
	}
	result, err := Publish(s.contender, job, template)
	answer(w, result, err)
}

var (
	errFlooding    = errors.New("control: a flood is on")
	errNotFlooding = errors.New("control: no flood is on")
)

func (s *server) startFlood(w http.ResponseWriter, r *http.Request) {
	job, template, err := jobOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && s.flood != nil {
		err = errFlooding
	}
	if err == nil {
		s.flood, err = startFlood(s.contender, job, template)
	}
	answer(w, struct{}{}, err)
}

func (s *server) raiseCredit(w http.ResponseWriter, r *http.Request) {
	credit, err := strconv.Atoi(r.URL.Query().Get("messages"))
	s.mu.Lock()
	f := s.flood
	s.mu.Unlock()
	if err == nil && f != nil {
		f.raise(credit)
	}
	answer(w, struct{}{}, err)
}

func (s *server) stopFlood(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	f := s.flood
	s.flood = nil
	s.mu.Unlock()
	if f == nil {
		answer(w, nil, errNotFlooding)
		return
	}
	answer(w, f.stop(), nil)
}
