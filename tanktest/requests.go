package tanktest

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// requests knows the requests that are being handled. http.Server forgets one that became a connection, whether its handler
// has returned or not. Whoever has taken the map from the channel has it to himself.
type requests struct {
	open chan map[*http.Request]string
	left chan struct{} // holds a value when one has left
}

func newRequests() requests {
	q := requests{open: make(chan map[*http.Request]string, 1), left: make(chan struct{}, 1)}
	q.open <- make(map[*http.Request]string)
	return q
}

// count passes requests on as they are.
func (q requests) count(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		open := <-q.open
		open[r] = r.Method + " " + quote(r.URL.RequestURI())
		q.open <- open
		defer q.leave(r)
		h.ServeHTTP(w, r)
	})
}

// remoteAddrHeader has the address of RemoteAddr. The handler does not see it.
const remoteAddrHeader = "Tanktest-Remote-Addr"

// claimAddress passes requests on as if they came from where RemoteAddr says.
func claimAddress(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if addr := r.Header.Get(remoteAddrHeader); addr != "" {
			r.RemoteAddr = addr
			r.Header.Del(remoteAddrHeader)
		}
		h.ServeHTTP(w, r)
	})
}

func (q requests) leave(r *http.Request) {
	open := <-q.open
	delete(open, r)
	q.open <- open
	select {
	case q.left <- struct{}{}:
	default:
	}
}

// await waits until no request is left, or for the timeout, and returns those that are.
func (q requests) await(timeout time.Duration) []string {
	expired := time.After(timeout)
	for {
		open := <-q.open
		list := make([]string, 0, len(open))
		for _, request := range open {
			list = append(list, request)
		}
		q.open <- open
		if len(list) == 0 {
			return nil
		}
		select {
		case <-q.left:
		case <-expired:
			slices.Sort(list)
			return list
		}
	}
}

// transport ends requests with a context beside their own: with the test, because one whose answer nobody reads or closes
// keeps goroutines.
type transport struct {
	*http.Transport
	ended context.Context
}

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	context.AfterFunc(t.ended, cancel)
	return t.Transport.RoundTrip(r.WithContext(ctx))
}
