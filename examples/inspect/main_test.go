package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/fanqie/tank-websocket-go-server/examples/internal/chat"
	"github.com/fanqie/tank-websocket-go-server/examples/internal/servertest"
	"github.com/fanqie/tank-websocket-go-server/examples/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "a password for tests"

func serve(t *testing.T) (*chat.Chat, *httptest.Server) {
	t.Helper()
	app := chat.New(slog.New(slog.DiscardHandler), time.Hour)
	handler, err := newHandler(app, password)
	if err != nil {
		t.Fatal(err)
	}
	app.Start()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := app.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		server.Client().CloseIdleConnections()
		server.Close()
	})
	return app, server
}

func get(t *testing.T, server *httptest.Server, path, password string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if password != "" {
		r.SetBasicAuth("anybody", password)
	}
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestOperatorsSeeWhatOthersDoNot(t *testing.T) {
	_, server := serve(t)
	home := visit(t.Context(), strings.TrimPrefix(server.URL, "http://"), newPipes(), 0, slog.New(slog.DiscardHandler))
	<-home
	ws, _, err := websocket.Dial(t.Context(), server.URL+"/ws?user_id=Ada", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	for path, want := range map[string]string{
		"/inspector/":                  "tank inspector",
		"/inspector/static/js/main.js": "api/health",
		"/inspector/api/health":        `"state":"running"`,
		"/inspector/api/clients?q=Ada": `"user_id":"Ada"`,
		"/metrics":                     `tank_clients{instance="chat"} 1`,
		"/debug/vars":                  `"memstats"`,
	} {
		for _, wrong := range []string{"", password + " ", "wrong"} {
			if status, body := get(t, server, path, wrong); status != http.StatusUnauthorized || strings.Contains(body, want) {
				t.Errorf("%s with the password %q is answered with %d: %s", path, wrong, status, body)
			}
		}
		if status, body := get(t, server, path, password); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s is answered with %d, without %s: %s", path, status, want, body)
		}
	}
	if status, body := get(t, server, "/", ""); status != http.StatusOK || !strings.Contains(body, "<html") {
		t.Errorf("the chat is answered with %d", status)
	}
}

// TestOneVisitorHardlyReads: its outbox fills at once, and when that is full, it is disconnected and comes back.
func TestOneVisitorHardlyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := chat.New(slog.New(slog.DiscardHandler), time.Second)
		app.Start()
		nearby := newPipes()
		server := &http.Server{Handler: app}
		go server.Serve(nearby)
		ctx, cancel := context.WithCancel(t.Context())
		home := visit(ctx, "nearby", nearby, 1, slog.New(slog.DiscardHandler))

		queued := func() (bytes int64, since time.Time) {
			for _, c := range app.Manager.GetAllClients() {
				stats := c.Stats()
				bytes, since = stats.OutboxBytes, stats.ConnectedAt
			}
			return bytes, since
		}
		flood := func() { // small talk, but of hundreds
			for range 100 {
				if err := app.Manager.BroadcastTopicMessage("lobby", strings.Repeat("x", 100)); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(20 * time.Second)
		flood()
		time.Sleep(time.Minute)
		before, first := queued()
		if before < 1<<10 {
			t.Errorf("after a minute, %d bytes are queued", before)
		}
		for range 300 { // at 10 KB a second, 1 MiB is reached
			flood()
			time.Sleep(time.Second)
		}
		if _, again := queued(); !again.After(first) {
			t.Errorf("the connection of %v is still that of %v", again, first)
		}
		if n := app.Manager.Stats().Evicted; n < 1 {
			t.Errorf("%d clients were evicted", n)
		}
		cancel()
		<-home
		if err := app.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		server.Close()
	})
}

// TestRun starts the program as it is, with a crowd, and ends it.
func TestRun(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler()) // for a port that is free in a moment
	addr := server.Listener.Addr().String()
	server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, addr, password, 5, slog.New(slog.DiscardHandler)) }()
	client := &http.Client{}
	defer client.CloseIdleConnections()
	var vars struct {
		Tank struct{ Clients, Topics int }
	}
	for vars.Tank.Clients < 5 || vars.Tank.Topics < 6 {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/debug/vars", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("", password)
		answer, err := client.Do(r)
		if ctx.Err() != nil {
			t.Fatalf("the crowd did not come: %+v", vars)
		}
		if err != nil {
			continue // not yet
		}
		err = json.NewDecoder(answer.Body).Decode(&vars)
		answer.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func TestSlowPeersAreCutOff(t *testing.T) {
	app := chat.New(slog.New(slog.DiscardHandler), time.Hour)
	handler, err := newHandler(app, password)
	if err != nil {
		t.Fatal(err)
	}
	app.Start()
	defer app.Shutdown(context.Background())
	servertest.Check(t, web.NewServer(handler, slog.New(slog.DiscardHandler)), func(addr string) (alive func()) {
		ws, _, err := websocket.Dial(t.Context(), "ws://"+addr+"/ws?user_id=Ada", nil)
		if err != nil {
			t.Fatal(err)
		}
		return func() {
			defer ws.CloseNow()
			if err := ws.Write(t.Context(), websocket.MessageText, []byte("nonsense")); err != nil {
				t.Fatal(err)
			}
			if _, text, err := ws.Read(t.Context()); err != nil || !strings.Contains(string(text), "bad_message") {
				t.Errorf("got %s, %v", text, err)
			}
		}
	})
}
