package inspector_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/inspector"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watched is a running instance and its inspector.
type watched struct {
	*tank.Manager
	t        *testing.T
	listener *memnet.Listener
	handler  http.Handler
}

func watch(t *testing.T, opts ...tank.Option) *watched {
	t.Helper()
	opts = append([]tank.Option{tank.WithHeartbeat(24*time.Hour, time.Hour)}, opts...) // nobody answers
	w := &watched{tank.NewInstance(opts...), t, memnet.Listen(), nil}
	w.handler = inspector.Handler(w.Manager)
	go w.Start()
	server := &http.Server{Handler: w.Manager}
	go server.Serve(w.listener)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		w.Shutdown(ctx)
		server.Close()
	})
	return w
}

// connect makes a connection, from which nothing is read, and returns its end of the server's.
func (w *watched) connect(user string, buffer int) *tank.Client {
	w.t.Helper()
	conn, err := w.listener.Dial(buffer)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	if _, err := wstest.Upgrade(conn, wstest.Handshake{Target: "/?user_id=" + url.QueryEscape(user)}); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
	all := w.GetAllClients()
	return all[len(all)-1]
}

// ask returns the answer to a request.
func (w *watched) ask(method, target string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	w.handler.ServeHTTP(answer, httptest.NewRequest(method, target, nil))
	return answer
}

// get decodes the JSON that is at a path.
func get[T any](w *watched, target string) T {
	w.t.Helper()
	answer := w.ask(http.MethodGet, target)
	var value T
	d := json.NewDecoder(answer.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&value); err != nil || answer.Code != http.StatusOK {
		w.t.Fatalf("%s is answered with %d: %v", target, answer.Code, err)
	}
	return value
}

type page[R any] struct {
	Time                              time.Time
	Total, Matched, Page, Size, Pages int
	Sort                              string
	Items                             []R
	Topic                             *topic
	Present                           []string
}

// member is a client among the subscribers of a topic.
type member struct {
	tank.ClientStats
	Lag int
}

// standing is a topic among those of a client.
type standing struct {
	Name string
	Seq  uint64
	Lag  int
}

// client is what is known of a client.
type client struct {
	Time        time.Time
	Client      tank.ClientStats
	Topics      []standing
	TopicsTotal int `json:"topics_total"`
}

type topic struct {
	Name            string
	Subscribers     int
	SubscribersV2   int `json:"subscribers_v2"`
	Users           int
	Epoch           string
	Seq             uint64
	Kept            int
	KeptBytes       int64     `json:"kept_bytes"`
	OldestKeptAt    time.Time `json:"oldest_kept_at"`
	Lingering       bool
	Published       uint64
	Delivered       uint64
	Dropped         uint64
	MailboxDepth    int `json:"mailbox_depth"`
	Restarts        uint64
	CreatedAt       time.Time `json:"created_at"`
	LastPublishedAt time.Time `json:"last_published_at"`
	Rate            float64
}

type health struct {
	Time       time.Time
	State      string
	Stats      tank.Stats
	Interval   float64
	Samples    []map[string]float64
	Histograms map[string]struct {
		Bounds         []float64
		Counts, Recent []uint64
		Sum            float64
	}
}

func names(p page[topic]) (list []string) {
	for _, t := range p.Items {
		list = append(list, t.Name)
	}
	return list
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func bubble(t *testing.T, test func(*testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func TestTopicsAreSortedFilteredAndPaged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t)
		ann, bob := w.connect("ann", 1<<20), w.connect("bob", 1<<20)
		for i := range 25 {
			must(t, ann.Subscribe(fmt.Sprintf("News %02d", i)))
			if i%5 == 0 {
				must(t, bob.Subscribe(fmt.Sprintf("News %02d", i)))
			}
		}
		must(t, ann.Subscribe("sports"))
		for range 3 {
			must(t, w.BroadcastTopicMessage("sports", "x"))
		}
		must(t, w.BroadcastTopicMessage("News 07", "x"))
		synctest.Wait()
		for _, tt := range []struct {
			query                 string
			want                  []string
			total, matched, pages int
		}{
			{"size=3", []string{"News 00", "News 05", "News 10"}, 26, 26, 9}, // by subscribers
			{"size=3&page=2", []string{"News 15", "News 20", "News 01"}, 26, 26, 9},
			{"size=2&sort=name", []string{"News 00", "News 01"}, 26, 26, 13},
			{"size=2&sort=-name", []string{"sports", "News 24"}, 26, 26, 13},
			{"size=2&sort=-published", []string{"sports", "News 07"}, 26, 26, 13},
			{"size=2&sort=-delivered", []string{"sports", "News 07"}, 26, 26, 13},
			{"size=1&sort=subscribers", []string{"News 01"}, 26, 26, 26},
			{"q=news+1", []string{"News 10", "News 15", "News 11", "News 12", "News 13", "News 14", "News 16", "News 17", "News 18", "News 19"}, 26, 10, 1},
			{"q=SPORT", []string{"sports"}, 26, 1, 1},
			{"q=nothing", nil, 26, 0, 0},
			{"size=20&page=2&sort=name", []string{"News 20", "News 21", "News 22", "News 23", "News 24", "sports"}, 26, 26, 2},
			{"size=20&page=3", nil, 26, 26, 2},
			{"size=500&page=1073741824", nil, 26, 26, 1},
		} {
			p := get[page[topic]](w, "/api/topics?"+tt.query)
			if got := names(p); !slices.Equal(got, tt.want) || p.Items == nil || p.Total != tt.total || p.Matched != tt.matched || p.Pages != tt.pages {
				t.Errorf("%s: got %q and %+v, want %q", tt.query, got, p, tt.want)
			}
		}
	})
}

func TestRatesAreThoseSinceTheLastLook(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t)
		ann := w.connect("ann", 1<<20)
		must(t, ann.Subscribe("news"))
		publish := func(topic string, n int) {
			for range n {
				must(t, w.BroadcastTopicMessage(topic, "x"))
			}
			synctest.Wait()
		}
		publish("news", 20)
		time.Sleep(10 * time.Second)
		rate := func(name string) float64 {
			for _, row := range get[page[topic]](w, "/api/topics").Items {
				if row.Name == name {
					return row.Rate
				}
			}
			t.Fatalf("there is no topic %s", name)
			return 0
		}
		if got := rate("news"); got != 2 {
			t.Errorf("at the first look, the rate is %v, want that of its life, 2", got)
		}
		publish("news", 20)
		must(t, ann.Subscribe("fresh"))
		time.Sleep(time.Second)
		publish("fresh", 3)
		time.Sleep(time.Second)
		if got := rate("news"); got != 10 {
			t.Errorf("the rate is %v, want 10", got)
		}
		if got := rate("fresh"); got != 1.5 {
			t.Errorf("the rate of a new topic is %v, want that of its life, 1.5", got)
		}
		must(t, ann.Unsubscribe("news"))
		synctest.Wait()
		must(t, ann.Subscribe("news"))
		time.Sleep(4 * time.Second)
		publish("news", 8)
		if got := rate("news"); got != 2 {
			t.Errorf("the rate of a topic that began anew is %v, want 2", got)
		}
	})
}

func TestATopicHasItsMembersAndTheirOutboxes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, tank.WithLimits(tank.Limits{WriteTimeout: time.Hour}), tank.WithTopics("news*", tank.TopicOptions{Presence: tank.Presence{Enabled: true}}))
		must(t, w.connect("reads", 1<<20).Subscribe("news/<b>&?#"))
		must(t, w.connect("slow", 1).Subscribe("news/<b>&?#"))
		w.connect("elsewhere", 1<<20)
		must(t, w.BroadcastTopicMessage("news/<b>&?#", strings.Repeat("x", 1000)))
		synctest.Wait()
		p := get[page[member]](w, "/api/topic?name="+url.QueryEscape("news/<b>&?#"))
		if len(p.Items) != 2 || p.Items[0].UserID != "slow" || p.Items[0].OutboxBytes < 1000 || p.Items[1].OutboxBytes != 0 {
			t.Errorf("members are %+v", p.Items)
		}
		if p.Topic == nil || p.Topic.Name != "news/<b>&?#" || p.Topic.Subscribers != 2 || p.Topic.Users != 2 || p.Topic.Published != 1 {
			t.Errorf("topic is %+v", p.Topic)
		}
		if p.Items[0].Lag != 1 || p.Items[1].Lag != 0 || p.Items[0].Protocol != "v1" || !slices.Equal(p.Present, []string{"reads", "slow"}) {
			t.Errorf("members are %+v, present are %q", p.Items, p.Present)
		}
		c := get[client](w, "/api/client?id="+p.Items[0].ID)
		if c.Client.UserID != "slow" || !slices.Equal(c.Topics, []standing{{"news/<b>&?#", 1, 1}}) || c.TopicsTotal != 1 {
			t.Errorf("client is %+v", c)
		}
	})
}

// TestWhoLags: of many subscribers, those who are behind come first when that is asked for.
func TestWhoLags(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, tank.WithLimits(tank.Limits{WriteTimeout: time.Hour}))
		for _, user := range []string{"late", "reads", "never"} {
			c := w.connect(user, map[string]int{"never": 1}[user]+map[string]int{"reads": 1 << 20, "late": 1500}[user])
			must(t, c.Subscribe("news"))
		}
		for range 3 {
			must(t, w.BroadcastTopicMessage("news", strings.Repeat("x", 1000)))
			synctest.Wait()
		}
		var got []string
		for _, m := range get[page[member]](w, "/api/topic?name=news&sort=-lag").Items {
			got = append(got, fmt.Sprint(m.UserID, " ", m.Lag))
		}
		if !slices.Equal(got, []string{"never 3", "late 2", "reads 0"}) {
			t.Errorf("members lag: %q", got)
		}
	})
}

// TestTopicsThatLinger are shown until they end, with what is known of their numbering; others with what they keep.
func TestTopicsThatLinger(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, tank.WithTopics("kept", tank.TopicOptions{History: tank.History{Messages: 2}}))
		ann := w.connect("ann", 1<<20)
		must(t, ann.Subscribe("brief"))
		at, err := w.Position("brief")
		must(t, err)
		for range 3 {
			must(t, w.Publish(t.Context(), "brief", "message"))
			must(t, w.Publish(t.Context(), "kept", "message"))
		}
		must(t, ann.Unsubscribe("brief"))
		time.Sleep(time.Second)
		rows := get[page[topic]](w, "/api/topics?sort=name").Items
		if len(rows) != 2 {
			t.Fatalf("topics are %+v", rows)
		}
		if r := rows[0]; r.Name != "brief" || !r.Lingering || r.Epoch != at.Epoch || r.Seq != 3 || r.Kept != 0 {
			t.Errorf("the topic that lingers is %+v", r)
		}
		if r := rows[1]; r.Name != "kept" || r.Lingering || r.Seq != 3 || r.Kept != 2 || r.KeptBytes == 0 || r.OldestKeptAt.IsZero() {
			t.Errorf("the topic that keeps messages is %+v", r)
		}
		if r := get[page[member]](w, "/api/topic?name=brief"); r.Topic == nil || !r.Topic.Lingering || len(r.Items) != 0 {
			t.Errorf("got %+v", r)
		}
		time.Sleep(3 * time.Minute)
		if got := names(get[page[topic]](w, "/api/topics")); !slices.Equal(got, []string{"kept"}) {
			t.Errorf("topics are %q", got)
		}
	})
}

func TestClientsAreSortedFilteredAndPaged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, tank.WithLimits(tank.Limits{WriteTimeout: time.Hour}))
		address := ""
		for i, name := range []string{"ann", "bob", "cyd", "dan"} {
			c := w.connect(name, 1<<20)
			if name == "bob" {
				address = c.RemoteAddr()
			}
			for n := range i {
				must(t, c.Subscribe(fmt.Sprint("topic ", n)))
			}
			time.Sleep(time.Second)
		}
		for query, want := range map[string]string{
			"":                          "ann bob cyd dan", // nothing is in their outboxes
			"sort=-user_id":             "dan cyd bob ann",
			"sort=-connected_at&size=2": "dan cyd",
			"sort=-subscriptions":       "dan cyd bob ann",
			"q=B":                       "bob",
			"q=" + address:              "bob",
			"page=2&size=3":             "dan",
		} {
			// Ids are hexadecimal, so they may have a b in them.
			var got []string
			for _, c := range get[page[tank.ClientStats]](w, "/api/clients?"+query).Items {
				if query != "q=B" || c.UserID == "bob" || !strings.Contains(c.ID, "b") {
					got = append(got, c.UserID)
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%q: got %q, want %q", query, got, want)
			}
		}
	})
}

func TestHealthHasRatesAndDistributions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t)
		ann := w.connect("ann", 1<<20)
		must(t, ann.Subscribe("news"))
		must(t, w.BroadcastTopicMessage("news", "x"))
		synctest.Wait()
		first := get[health](w, "/api/health")
		if first.State != "running" || first.Stats.Clients != 1 || len(first.Samples) != 0 || first.Interval != 1 {
			t.Errorf("the first look is %+v", first)
		}
		if got := first.Histograms["batch_messages"]; got.Sum != 1 || got.Recent[0] != 1 {
			t.Errorf("at the first look, all is recent: got %+v", got)
		}
		for range 400 {
			time.Sleep(2 * time.Second)
			for range 6 {
				must(t, w.BroadcastTopicMessage("news", "x"))
				synctest.Wait()
			}
			w.ask(http.MethodGet, "/api/health")
		}
		last := get[health](w, "/api/health")
		if n := len(last.Samples); n != 300 {
			t.Errorf("%d samples are kept, want 300", n)
		}
		for _, s := range last.Samples {
			if s["published"] != 3 || s["messages_out"] != 3 || s["clients"] != 1 || s["panics"] != 0 {
				t.Fatalf("a sample is %v, want 3 messages per second", s)
			}
		}
		if got := last.Histograms["batch_messages"]; got.Sum != 2401 || got.Recent[0] < 180 || got.Recent[0] > 186 {
			t.Errorf("got %+v, want 2401 batches, and those of a minute", got)
		}
	})
}

func TestAllPhases(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := tank.NewInstance()
		w := &watched{Manager: m, t: t, handler: inspector.Handler(m)}
		look := func(want string) {
			t.Helper()
			time.Sleep(time.Second)
			if got := get[health](w, "/api/health").State; got != want {
				t.Errorf("state is %q, want %q", got, want)
			}
			if got := get[page[topic]](w, "/api/topics"); got.Total != 0 {
				t.Errorf("%s: topics are %+v", want, got)
			}
			if got := get[page[tank.ClientStats]](w, "/api/clients"); got.Total != 0 {
				t.Errorf("%s: clients are %+v", want, got)
			}
		}
		look("new")
		go m.Start()
		look("running")
		must(t, m.Shutdown(t.Context()))
		look("closed")
	})
}

func TestWhatMakesNoSenseIsAnsweredWithAProblem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t)
		long := strings.Repeat("x", 300)
		for target, want := range map[string]struct {
			status                int
			code, parameter, says string
		}{
			"/api/topics?sort=color":    {400, "bad_parameter", "sort", `"color"`},
			"/api/topics?sort=" + long:  {400, "bad_parameter", "sort", `xx"...`},
			"/api/topics?page=0":        {400, "bad_parameter", "page", `"0"`},
			"/api/topics?page=-1":       {400, "bad_parameter", "page", `"-1"`},
			"/api/topics?size=501":      {400, "bad_parameter", "size", `"501"`},
			"/api/topics?size=1e2":      {400, "bad_parameter", "size", `"1e2"`},
			"/api/topics?szie=5":        {400, "bad_parameter", `"szie"`, `"szie"`},
			"/api/topics?page=1&page=2": {400, "bad_parameter", "page", "2 times"},
			"/api/clients?sort=name":    {400, "bad_parameter", "sort", `"name"`},
			"/api/topics?q=%zz":         {400, "bad_parameter", "", "malformed"},
			"/api/health?q=x":           {400, "bad_parameter", `"q"`, `"q"`},
			"/api/topic?name=nobody":    {404, "not_found", "", `"nobody"`},
			"/api/topic":                {404, "not_found", "", `""`},
			"/api/topic?name=%FF%00%0A": {404, "not_found", "", `"\xff\x00\n"`},
			"/api/client?id=" + long:    {404, "not_found", "", `xx"...`},
			"/api/nothing":              {404, "not_found", "", `"api/nothing"`},
		} {
			answer := w.ask(http.MethodGet, target)
			var got struct {
				Error struct{ Code, Message, Parameter string }
			}
			if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil {
				t.Errorf("%s: %v", target, err)
			}
			if e := got.Error; answer.Code != want.status || e.Code != want.code || e.Parameter != want.parameter || !strings.Contains(e.Message, want.says) || len(e.Message) > 300 {
				t.Errorf("%s is answered with %d %+v, want %+v", target, answer.Code, e, want)
			}
		}
	})
}

func TestItIsReadOnly(t *testing.T) {
	w := &watched{t: t, handler: inspector.Handler(tank.NewInstance())}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "QUERY"} {
		for _, path := range []string{"/", "/api/health", "/static/index.html"} {
			if answer := w.ask(method, path); answer.Code != http.StatusMethodNotAllowed || answer.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s is answered with %d", method, path, answer.Code)
			}
		}
	}
	for _, path := range []string{"/", "/api/health"} {
		if answer := w.ask(http.MethodHead, path); answer.Code != http.StatusOK || answer.Body.Len() != 0 {
			t.Errorf("HEAD %s is answered with %d and %d bytes", path, answer.Code, answer.Body.Len())
		}
	}
}

func TestItWorksWhereverItIsMounted(t *testing.T) {
	h := inspector.Handler(tank.NewInstance())
	mux := http.NewServeMux()
	mux.Handle("/one/", http.StripPrefix("/one/", h))
	mux.Handle("/two/", http.StripPrefix("/two", h))
	mux.Handle("/three/deep/", h)
	mux.Handle("/four", http.StripPrefix("/four", h))
	mux.Handle("GET /four/{rest...}", http.StripPrefix("/four", h))
	mux.Handle("/api/static/", h)
	mux.Handle("/tank:five", http.StripPrefix("/tank:five", h)) // which would be a scheme at the beginning of a reference
	mux.Handle("/tank:five/", http.StripPrefix("/tank:five", h))
	server := httptest.NewServer(mux)
	defer server.Close()
	client := server.Client()
	defer client.CloseIdleConnections()
	for _, at := range []string{"/one", "/two", "/three/deep", "/four", "/api/static", "/tank:five"} {
		for path, contentType := range map[string]string{
			"": "text/html; charset=utf-8", "/": "text/html; charset=utf-8", "/?x=y": "text/html; charset=utf-8",
			"/api/health": "application/json", "/static/index.html": "text/html; charset=utf-8",
		} {
			resp, err := client.Get(server.URL + at + path)
			must(t, err)
			resp.Body.Close()
			if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != contentType {
				t.Errorf("%s%s is answered with %s, %s", at, path, resp.Status, resp.Header.Get("Content-Type"))
			}
			if got, _, _ := strings.Cut(resp.Request.URL.Path, "?"); !strings.HasPrefix(got, at+"/") {
				t.Errorf("%s%s leads to %s", at, path, got)
			}
			h := resp.Header
			if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") ||
				strings.Contains(csp, "unsafe") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s%s has headers %v", at, path, h)
			}
			if want := map[bool]string{true: "no-store", false: "no-cache"}[contentType == "application/json"]; h.Get("Cache-Control") != want {
				t.Errorf("%s%s has Cache-Control %q, want %q", at, path, h.Get("Cache-Control"), want)
			}
		}
		for _, path := range []string{"/static/nothing", "/static/../inspector.go", "/nothing"} {
			resp, err := client.Get(server.URL + at + path)
			must(t, err)
			resp.Body.Close()
			if resp.StatusCode != http.StatusNotFound {
				t.Errorf("%s%s is answered with %s", at, path, resp.Status)
			}
		}
	}
}

func TestUnchangedFilesAreNotSentAgain(t *testing.T) {
	w := &watched{t: t, handler: inspector.Handler(tank.NewInstance())}
	etag := w.ask(http.MethodGet, "/").Header().Get("ETag")
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("If-None-Match", etag)
	answer := httptest.NewRecorder()
	w.handler.ServeHTTP(answer, r)
	if etag == "" || answer.Code != http.StatusNotModified {
		t.Errorf("answered with %d for ETag %q, want 304", answer.Code, etag)
	}
}

// TestWhatMessagesSayIsNotShown looks everywhere while messages wait in a topic's outboxes.
func TestWhatMessagesSayIsNotShown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const secret = "xyzzy"
		w := watch(t, tank.WithLimits(tank.Limits{WriteTimeout: time.Hour}))
		c := w.connect("slow", 1)
		must(t, c.Subscribe("news"))
		for range 50 {
			must(t, w.BroadcastTopicMessage("news", secret))
			must(t, w.BroadcastMessage([]byte(secret)))
			must(t, c.Send(tank.Message{Data: []byte(secret)}))
		}
		synctest.Wait()
		for _, path := range []string{"api/health", "api/topics", "api/topic?name=news", "api/clients", "api/client?id=" + c.ID()} {
			answer := w.ask(http.MethodGet, "/"+path)
			if answer.Code != 200 || strings.Contains(answer.Body.String(), secret) {
				t.Errorf("%s is answered with %d: %s", path, answer.Code, answer.Body)
			}
		}
	})
}

// TestManyWhoLookShareWhatWasFoundOut: an expensive look is not taken for each of them.
func TestManyWhoLookShareWhatWasFoundOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t)
		times := make(map[time.Time]bool)
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				for range 100 {
					p := get[page[topic]](w, "/api/topics")
					mu.Lock()
					times[p.Time] = true
					mu.Unlock()
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
		wg.Wait()
		if n := len(times); n < 8 || n > 12 {
			t.Errorf("within 10 s, topics were looked at %d times, want once a second", n)
		}
	})
}

func TestASubscriberOfNoTopicAndTooManyTopics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := watch(t, tank.WithLimits(tank.Limits{Subscriptions: math.MaxInt}))
		c := w.connect("ann", 1<<20)
		if got := get[client](w, "/api/client?id="+c.ID()); got.Topics == nil || len(got.Topics) != 0 || got.TopicsTotal != 0 {
			t.Errorf("got %+v, want no topics", got)
		}
		for i := range 1500 {
			must(t, c.Subscribe(fmt.Sprintf("topic %04d", i)))
		}
		if got := get[client](w, "/api/client?id="+c.ID()); len(got.Topics) != 1000 || got.TopicsTotal != 1500 || got.Topics[999].Name != "topic 0999" {
			t.Errorf("got %d topics of %d", len(got.Topics), got.TopicsTotal)
		}
	})
}
