package test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// pooledWriter is middleware that gives its buffers back when the connection is hijacked: there is no header any more then.
type pooledWriter struct {
	http.ResponseWriter
	header *http.Header
}

func (w *pooledWriter) Header() http.Header { return *w.header }

func (w *pooledWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.header = nil
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Middleware that fails once the connection is hijacked leaves none open: net/http does not close a hijacked one.
func TestMiddlewareThatFailsOnceItIsHijacked(t *testing.T) {
	for name, middleware := range map[string]func(http.Handler) http.Handler{
		"over its header": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				header := w.Header()
				next.ServeHTTP(&pooledWriter{w, &header}, r)
			})
		},
		"having no reader": hijackingBy(func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
			conn, _, err := asserted(w)
			return conn, &bufio.ReadWriter{}, err
		}),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := wrapped(t, middleware)
				conn, err := s.listener.Dial(defaultBuffer)
				must(t, err)
				defer conn.Close()
				io.WriteString(conn, wstest.Handshake{}.String())
				synctest.Wait()
				conn.SetReadDeadline(time.Now().Add(time.Minute))
				answer, err := io.ReadAll(conn)
				if err != nil {
					t.Errorf("the connection is left open: %v, after %q", err, answer)
				}
				if st := s.Stats(); st.Refused != 1 {
					t.Errorf("%d requests count as refused", st.Refused)
				}
				if len(s.Errors) != 1 {
					t.Errorf("%d faults are reported", len(s.Errors))
				}
			})
		})
	}
}
