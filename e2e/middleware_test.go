//lint:file-ignore SA1019 services use what is deprecated, too

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/CAFxX/httpcompression"
	"github.com/NYTimes/gziphandler"
	"github.com/coder/websocket"
	gingzip "github.com/gin-contrib/gzip"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/gorilla/handlers"
	"github.com/klauspost/compress/gzhttp"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/cors"
	"github.com/urfave/negroni"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// wraps puts an instance behind middleware or into a router, at the path /ws.
type wraps func(http.Handler) http.Handler

// middlewares are those that docs/deployment.md speaks of, and what a handshake is answered behind each.
var middlewares = []struct {
	name   string
	wrap   wraps
	status int
}{
	{"net/http", func(h http.Handler) http.Handler { return h }, 101},
	{"net/http StripPrefix", func(h http.Handler) http.Handler { return http.StripPrefix("/ws", h) }, 101},
	{"net/http ServeMux", func(h http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("GET /ws", h)
		return mux
	}, 101},
	{"net/http TimeoutHandler", func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Minute, "") }, 501},
	{"net/http MaxBytesHandler", func(h http.Handler) http.Handler { return http.MaxBytesHandler(h, 1) }, 101},

	{"NYTimes gziphandler", gziphandler.GzipHandler, 101},
	{"CAFxX httpcompression", compressing, 101},
	{"klauspost gzhttp", func(h http.Handler) http.Handler { return gzhttp.GzipHandler(h) }, 101},

	{"echo", echoWith(), 101},
	{"echo Gzip", echoWith(echomiddleware.Gzip()), 101},
	{"echo Gzip with a length", echoWith(echomiddleware.GzipWithConfig(echomiddleware.GzipConfig{MinLength: 1000})), 101},
	{"echo Timeout", echoWith(echomiddleware.TimeoutWithConfig(echomiddleware.TimeoutConfig{Timeout: time.Minute})), 501},
	{"echo ContextTimeout", echoWith(echomiddleware.ContextTimeout(time.Minute)), 101},
	{"echo Logger, Recover", echoWith(echomiddleware.LoggerWithConfig(echomiddleware.LoggerConfig{Output: io.Discard}), echomiddleware.Recover()), 101},
	{"echo BodyDump", echoWith(echomiddleware.BodyDump(func(echo.Context, []byte, []byte) {})), 101},
	{"echo RequestID, CORS, Secure", echoWith(echomiddleware.RequestID(), echomiddleware.CORS(), echomiddleware.Secure()), 101},

	{"chi Logger, Recoverer, RealIP", chiWith(quietly, chimiddleware.Recoverer, chimiddleware.RealIP), 101},
	{"chi Compress", chiWith(chimiddleware.Compress(5)), 101},
	{"chi Compress of everything", chiWith(chimiddleware.Compress(5, "text/*", "")), 101},
	{"chi Timeout", chiWith(chimiddleware.Timeout(time.Minute)), 101},

	{"gin", ginWith(), 101},
	{"gin Logger, Recovery", ginWith(gin.LoggerWithWriter(io.Discard), gin.RecoveryWithWriter(io.Discard)), 101},
	{"gin-contrib gzip", ginWith(gingzip.Gzip(gingzip.DefaultCompression)), 101},

	{"otelhttp", func(h http.Handler) http.Handler { return otelhttp.NewHandler(h, "ws") }, 101},
	{"promhttp", instrumented, 101},

	{"gorilla CombinedLogging", func(h http.Handler) http.Handler { return handlers.CombinedLoggingHandler(io.Discard, h) }, 101},
	{"gorilla Compress", handlers.CompressHandler, 101},
	{"gorilla Recovery", func(h http.Handler) http.Handler { return handlers.RecoveryHandler()(h) }, 101},
	{"negroni", func(h http.Handler) http.Handler {
		n := negroni.New(negroni.NewRecovery(), quietNegroni())
		n.UseHandler(h)
		return n
	}, 101},
	{"rs/cors", cors.AllowAll().Handler, 101},
	{"h2c", func(h http.Handler) http.Handler { return h2c.NewHandler(h, &http2.Server{}) }, 101},
}

func compressing(h http.Handler) http.Handler {
	adapt, err := httpcompression.DefaultAdapter()
	if err != nil {
		panic(err)
	}
	return adapt(h)
}

func echoWith(use ...echo.MiddlewareFunc) wraps {
	return func(h http.Handler) http.Handler {
		e := echo.New()
		e.Use(use...)
		e.GET("/ws", echo.WrapHandler(h))
		return e
	}
}

func chiWith(use ...func(http.Handler) http.Handler) wraps {
	return func(h http.Handler) http.Handler {
		r := chi.NewRouter()
		r.Use(use...)
		r.Handle("/ws", h)
		return r
	}
}

// quietly is chi's Logger, writing nowhere.
var quietly = chimiddleware.RequestLogger(&chimiddleware.DefaultLogFormatter{Logger: log.New(io.Discard, "", 0), NoColor: true})

func ginWith(use ...gin.HandlerFunc) wraps {
	gin.SetMode(gin.ReleaseMode)
	return func(h http.Handler) http.Handler {
		r := gin.New()
		r.Use(use...)
		r.GET("/ws", gin.WrapH(h))
		return r
	}
}

func instrumented(h http.Handler) http.Handler {
	labels := []string{"code", "method"}
	h = promhttp.InstrumentHandlerCounter(prometheus.NewCounterVec(prometheus.CounterOpts{Name: "a"}, labels), h)
	h = promhttp.InstrumentHandlerDuration(prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "b"}, labels), h)
	h = promhttp.InstrumentHandlerResponseSize(prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "c"}, labels), h)
	return promhttp.InstrumentHandlerInFlight(prometheus.NewGauge(prometheus.GaugeOpts{Name: "d"}), h)
}

func quietNegroni() *negroni.Logger {
	l := negroni.NewLogger()
	l.ALogger = log.New(io.Discard, "", 0)
	return l
}

// instance is a running one that sends back what it is sent.
func instance(t *testing.T) *tank.Manager {
	m := tank.NewInstance(tank.WithCompression(1, 0), tank.WithLogger(slog.New(slog.DiscardHandler)),
		tank.WithMessageHandler(func(c *tank.Client, m tank.Message) {
			if err := c.Send(m); err != nil {
				t.Error(err)
			}
		}))
	go m.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := m.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return m
}

// accepting are what clients accept: Go's client nothing, if asked to, and browsers what they send with every request.
var accepting = map[string]string{"nothing": "", "what browsers do": "gzip, deflate, br, zstd"}

func TestMiddleware(t *testing.T) {
	t.Parallel()
	for _, c := range middlewares {
		for what, encodings := range accepting {
			t.Run(c.name+", accepting "+what, func(t *testing.T) {
				t.Parallel()
				m := instance(t)
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				said := &shared{}
				server := &http.Server{Handler: c.wrap(m), ErrorLog: log.New(said, "", 0), ReadTimeout: 2 * time.Second, WriteTimeout: 2 * time.Second}
				go server.Serve(l)
				use(t, m, l.Addr().String(), encodings, c.status)
				server.Close()
				if text := said.String(); text != "" {
					t.Logf("the server has logged: %s", text)
				}
			})
		}
	}
}

// TestFiber: its adaptor for net/http has no connection to give away.
func TestFiber(t *testing.T) {
	t.Parallel()
	for what, encodings := range accepting {
		t.Run("accepting "+what, func(t *testing.T) {
			m := instance(t)
			app := fiber.New(fiber.Config{DisableStartupMessage: true})
			app.Get("/ws", adaptor.HTTPHandler(m))
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go app.Listener(l)
			t.Cleanup(func() { app.Shutdown() })
			use(t, m, l.Addr().String(), encodings, 501)
		})
	}
}

// TestHTTP2 is a request over HTTP/2 without TLS. It cannot be upgraded, and its answer has no headers of HTTP/1.1.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	m := instance(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h2c.NewHandler(m, &http2.Server{})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Get("http://" + l.Addr().String() + "/ws")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.ProtoMajor != 2 || answer.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("answered with %s %s", answer.Proto, answer.Status)
	}
	for _, key := range []string{"Connection", "Upgrade"} {
		if v, ok := answer.Header[key]; ok {
			t.Errorf("the answer has %s: %q", key, v)
		}
	}
}

// use connects, and uses the connection if there should be one: subscribes, is published to, and sends.
func use(t *testing.T, m *tank.Manager, addr, encodings string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	header := http.Header{"Origin": {"http://" + addr}}
	if encodings != "" {
		header.Set("Accept-Encoding", encodings)
	}
	conn, answer, err := websocket.Dial(ctx, "ws://"+addr+"/ws?user_id=ann", &websocket.DialOptions{
		HTTPClient:      &http.Client{Transport: transport},
		HTTPHeader:      header,
		CompressionMode: websocket.CompressionNoContextTakeover,
	})
	if answer == nil {
		t.Fatal(err)
	}
	if answer.StatusCode != status {
		t.Fatalf("answered with %s, want %d", answer.Status, status)
	}
	if status != http.StatusSwitchingProtocols {
		expectNothingOfTheHandshake(t, ctx, m, answer)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	for _, key := range []string{"Content-Encoding", "Content-Length", "Content-Type", "Transfer-Encoding"} {
		if v, ok := answer.Header[key]; ok {
			t.Errorf("the answer has %s: %q", key, v)
		}
	}
	if e := next(t, ctx, m.ConnEvents); e.EventType != tank.EventConnect || e.UserID != "ann" {
		t.Errorf("got %+v", e)
	}
	send(t, ctx, conn, "sub:news")
	if e := next(t, ctx, m.ConnEvents); e.EventType != tank.EventSubscribe {
		t.Fatalf("got %+v", e)
	}
	large := strings.Repeat("x", 10_000)
	if err := m.Publish(ctx, "news", large); err != nil {
		t.Fatal(err)
	}
	receive(t, ctx, conn, fmt.Sprintf(`{"topic":"news","data":"%s"}`, large))
	send(t, ctx, conn, "up "+large)
	receive(t, ctx, conn, "up "+large)
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
}

// expectNothingOfTheHandshake looks at the answer to a handshake that has failed.
func expectNothingOfTheHandshake(t *testing.T, ctx context.Context, m *tank.Manager, answer *http.Response) {
	t.Helper()
	for key := range answer.Header {
		if key == "Upgrade" || strings.HasPrefix(key, "Sec-Websocket") || key == "Connection" && answer.Header.Get(key) != "close" {
			t.Errorf("the answer has %s: %q", key, answer.Header[key])
		}
	}
	if e := next(t, ctx, m.Errors); e.Code != tank.CodeUpgrade {
		t.Errorf("got %v", e)
	}
	if n := m.GetClientCount(); n != 0 || len(m.ConnEvents) > 0 {
		t.Errorf("%d clients, %d events", n, len(m.ConnEvents))
	}
}

// next returns the next event.
func next[E any](t *testing.T, ctx context.Context, events <-chan E) (e E) {
	t.Helper()
	select {
	case e = <-events:
	case <-ctx.Done():
		t.Fatal("there is no event")
	}
	return e
}

func send(t *testing.T, ctx context.Context, conn *websocket.Conn, text string) {
	t.Helper()
	if err := conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, ctx context.Context, conn *websocket.Conn, want string) {
	t.Helper()
	_, data, err := conn.Read(ctx)
	if err != nil || string(data) != want {
		t.Fatalf("got %.100q (%v), want %.100q", data, err, want)
	}
}

// shared is a buffer for several goroutines.
type shared struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
