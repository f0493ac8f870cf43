package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// phase is a time in an instance's life.
type phase int

const (
	beforeStart phase = iota
	running
	shuttingDown
	afterShutdown
	phases
)

func (p phase) String() string {
	return [...]string{"before Start", "while running", "during Shutdown", "after Shutdown"}[p]
}

// anything in row.want leaves the result open.
const anything = "*"

// row is one public method, called at any time.
type row struct {
	call func() string
	// want is what each call returns in each phase. In "A once, B", one call returns A and all others B. "" means that the
	// method cannot be called then, or not without leaving the phase.
	want [phases]string
}

// subject is what the rows are about.
type subject struct {
	m    *tank.Manager
	kept *tank.Client // connected until Shutdown
	left *tank.Client // connected until it is told to close
}

const isBusy, isClosed, isInvalid, isNotFound = "busy", "closed", "invalid", "not found"

// result is what an error is.
func result(err error) string {
	for text, target := range map[string]error{isBusy: tank.ErrBusy, isClosed: tank.ErrClosed, isInvalid: tank.ErrInvalidTopic, isNotFound: tank.ErrNotFound} {
		if errors.Is(err, target) {
			return text
		}
	}
	return fmt.Sprint(err)
}

// rows are all public methods of Manager and Client, by name.
func (x *subject) rows() map[string]row {
	status := func(serve func(http.ResponseWriter, *http.Request)) func() string {
		return func() string {
			answer := httptest.NewRecorder()
			serve(answer, httptest.NewRequest(http.MethodGet, "/", nil))
			return fmt.Sprint(answer.Code)
		}
	}
	done := func(call func()) func() string {
		return func() string {
			call()
			return "done"
		}
	}
	return map[string]row{
		"Manager.BroadcastMessage":      {func() string { return result(x.m.BroadcastMessage([]byte("x"))) }, [phases]string{"<nil>", "<nil>", isClosed, isClosed}},
		"Manager.BroadcastTopicMessage": {func() string { return result(x.m.BroadcastTopicMessage("kept", "x")) }, [phases]string{"<nil>", "<nil>", isClosed, isClosed}},
		//lint:ignore SA1019 a deprecated method has to work, too
		"Manager.CloseClient": {func() string { return fmt.Sprint(x.m.CloseClient("nobody")) }, [phases]string{"0", "0", "0", "0"}},
		"Manager.CloseUser":   {func() string { return fmt.Sprint(x.m.CloseUser("twice")) }, [phases]string{"0", "2 once, 0", "0", "0"}},
		"Manager.PublishJSON": {func() string { return result(x.m.PublishJSON(context.Background(), "kept", 1)) }, [phases]string{"<nil>", "<nil>", isClosed, isClosed}},
		"Manager.History":     {func() string { return result(second(x.m.History(context.Background(), "kept", tank.Position{}, 1))) }, [phases]string{"<nil>", "<nil>", isClosed, isClosed}},
		"Manager.Position":    {func() string { return result(second(x.m.Position("kept"))) }, [phases]string{"<nil>", "<nil>", isClosed, isClosed}},
		"Manager.Presence":    {func() string { return result(second(x.m.Presence("kept"))) }, [phases]string{"<nil>", "<nil>", isClosed, isClosed}},
		"Manager.PublishMessage": {func() string {
			return result(second(x.m.PublishMessage(context.Background(), tank.Publication{Topic: "kept", Data: "x"})))
		}, [phases]string{"<nil>", "<nil>", isClosed, isClosed}},
		"Manager.Reset":                   {func() string { return result(x.m.Reset("kept")) }, [phases]string{"<nil>", "<nil>", isClosed, isClosed}},
		"Manager.Ready":                   {func() string { return result(x.m.Ready()) }, [phases]string{isBusy, "<nil>", isClosed, isClosed}},
		"Manager.SendToUser":              {func() string { return fmt.Sprint(x.m.SendToUser("kept", tank.Message{Data: []byte("x")})) }, [phases]string{"0", "1", "0", "0"}},
		"Manager.Subscribe":               {func() string { return x.firstStep() }, [phases]string{"ended", "ended", "ended", "ended"}},
		"Manager.UnsubscribeUser":         {func() string { return fmt.Sprint(x.m.UnsubscribeUser("kept", "never")) }, [phases]string{"0", "0", "0", "0"}},
		"Manager.GetAllTopics":            {func() string { return fmt.Sprint(len(x.m.GetAllTopics())) }, [phases]string{"0", anything, anything, "0"}},
		"Manager.GetLingeringTopics":      {func() string { return fmt.Sprint(len(x.m.GetLingeringTopics())) }, [phases]string{anything, anything, anything, "0"}},
		"Manager.GetAllClients":           {func() string { return fmt.Sprint(len(x.m.GetAllClients())) }, [phases]string{"0", anything, "1", "0"}},
		"Manager.GetClient":               {func() string { return fmt.Sprint(x.m.GetClient(x.kept.ID()) == x.kept) }, [phases]string{"", "true", "true", "false"}},
		"Manager.GetClientCount":          {func() string { return fmt.Sprint(x.m.GetClientCount()) }, [phases]string{"0", anything, "1", "0"}},
		"Manager.GetTopicSubscriberCount": {func() string { return fmt.Sprint(x.m.GetTopicSubscriberCount("kept")) }, [phases]string{"0", "1", "1", "0"}},
		"Manager.GetTopicSubscribers":     {func() string { return fmt.Sprint(len(x.m.GetTopicSubscribers("kept"))) }, [phases]string{"0", "1", "0", "0"}},
		"Manager.HandleConnection":        {status(x.m.HandleConnection), [phases]string{"503", "426", "503", "503"}},
		"Manager.Histograms":              {func() string { return fmt.Sprint(len(x.m.Histograms().WriteLatency.Counts)) }, [phases]string{"19", "19", "19", "19"}},
		"Manager.IsRunning":               {func() string { return fmt.Sprint(x.m.IsRunning()) }, [phases]string{"false", "true", "false", "false"}},
		"Manager.Publish":                 {func() string { return result(x.m.Publish(context.Background(), "kept", "x")) }, [phases]string{"<nil>", "<nil>", isClosed, isClosed}},
		"Manager.ServeHTTP":               {status(x.m.ServeHTTP), [phases]string{"503", "426", "503", "503"}},
		"Manager.SetHTTPServer":           {done(func() { x.m.SetHTTPServer(&http.Server{ReadHeaderTimeout: time.Second}) }), [phases]string{"done", "done", "done", "done"}},
		"Manager.Shutdown":                {func() string { return result(x.m.Shutdown(context.Background())) }, [phases]string{"", "", "<nil>", "<nil>"}},
		"Manager.Start":                   {done(x.m.Start), [phases]string{"", "done", "done", "done"}},
		"Manager.Stats":                   {func() string { return string(x.m.Stats().State) }, [phases]string{"new", "running", "closing", "closed"}},
		"Client.Authenticated":            {func() string { return fmt.Sprint(x.kept.Authenticated()) }, [phases]string{"", "false", "false", "false"}},
		"Client.IsSubscribed":             {func() string { return fmt.Sprint(x.kept.IsSubscribed("kept")) }, [phases]string{"", "true", "true", "false"}},
		"Client.Renew":                    {func() string { return result(x.kept.Renew(tank.Identity{UserID: "kept", Anonymous: true})) }, [phases]string{"", "<nil>", isClosed, isClosed}},
		"Client.SendTopic":                {func() string { return result(x.kept.SendTopic("never", "x")) }, [phases]string{"", isNotFound, isClosed, isClosed}},
		"Client.Value":                    {func() string { return fmt.Sprint(x.kept.Value()) }, [phases]string{"", "<nil>", "<nil>", "<nil>"}},
		"Client.Close":                    {func() string { return result(x.left.Close(4000, "enough")) }, [phases]string{"", "<nil> once, closed", isClosed, isClosed}},
		"Client.ID":                       {func() string { return fmt.Sprint(len(x.kept.ID())) }, [phases]string{"", "36", "36", "36"}},
		"Client.Lag":                      {func() string { return fmt.Sprint(x.kept.Lag("kept")) }, [phases]string{"", anything, anything, "0"}},
		"Client.Protocol":                 {func() string { return x.kept.Protocol().String() }, [phases]string{"", "v1", "v1", "v1"}},
		"Client.RemoteAddr":               {func() string { return x.kept.RemoteAddr()[:8] }, [phases]string{"", "192.0.2.", "192.0.2.", "192.0.2."}},
		"Client.Send":                     {func() string { return result(x.kept.Send(tank.Message{Data: []byte("x")})) }, [phases]string{"", "<nil>", isClosed, isClosed}},
		"Client.Stats":                    {func() string { return fmt.Sprint(x.kept.Stats().Closing) }, [phases]string{"", "false", anything, "true"}},
		"Client.String":                   {func() string { return x.kept.String() }, [phases]string{"", anything, anything, anything}},
		"Client.Subscribe":                {func() string { return result(x.kept.Subscribe("more")) }, [phases]string{"", "<nil>", isClosed, isClosed}},
		"Client.Topics":                   {func() string { return fmt.Sprint(x.kept.Topics()) }, [phases]string{"", anything, "[kept more]", "[]"}},
		"Client.Unsubscribe":              {func() string { return result(x.kept.Unsubscribe("never")) }, [phases]string{"", isNotFound, isNotFound, isClosed}},
		"Client.UserID":                   {func() string { return x.kept.UserID() }, [phases]string{"", "kept", "kept", "kept"}},
	}
}

func second[T any](_ T, err error) error { return err }

// firstStep returns the error of the first step of a loop, whose context ends at once.
func (x *subject) firstStep() string {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, err := range x.m.Subscribe(ctx, "listened") {
		if errors.Is(err, context.Canceled) {
			return "ended"
		}
		return result(err)
	}
	return "nothing"
}

// check compares the results of n calls in one phase with what the row says.
func (r row) check(results map[string]int, n int, p phase) error {
	want := map[string]int{}
	if first, others, ok := strings.Cut(r.want[p], " once, "); ok {
		want[first], want[others] = 1, n-1
	} else {
		want[first] = n
	}
	if r.want[p] != anything && !maps.Equal(results, want) {
		return fmt.Errorf("returned %v, want %v", results, want)
	}
	return nil
}

// TestRowsAreComplete fails when a public method is not among the rows.
func TestRowsAreComplete(t *testing.T) {
	listed := (&subject{m: tank.NewInstance()}).rows()
	for _, of := range []reflect.Type{reflect.TypeFor[*tank.Manager](), reflect.TypeFor[*tank.Client]()} {
		for i := range of.NumMethod() {
			name := of.Elem().Name() + "." + of.Method(i).Name
			if _, ok := listed[name]; !ok {
				t.Errorf("%s is missing in the rows, so nobody calls it at all times", name)
			}
			delete(listed, name)
		}
	}
	for name := range listed {
		t.Errorf("there is no %s", name)
	}
}

// callAll begins n calls of each row at once. The function that it returns checks what has become of them.
func (x *subject) callAll(t *testing.T, p phase, n int, calls *sync.WaitGroup) (check func()) {
	var mu sync.Mutex
	results := map[string]map[string]int{}
	rows := x.rows()
	maps.DeleteFunc(rows, func(_ string, r row) bool { return r.want[p] == "" })
	for name, r := range rows {
		of := map[string]int{}
		results[name] = of
		for range n {
			calls.Go(func() {
				got := r.call()
				mu.Lock()
				defer mu.Unlock()
				of[got]++
			})
		}
	}
	return func() {
		for name, r := range rows {
			if err := r.check(results[name], n, p); err != nil {
				t.Errorf("%v: %s %v", p, name, err)
			}
		}
	}
}

// TestEveryMethodAThousandTimesInEachPhase calls all methods at the same time, phase by phase.
func TestEveryMethodAThousandTimesInEachPhase(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const each = 1000
		clients := make(chan *tank.Client, 1)
		m := tank.NewInstance(
			tank.WithLimits(tank.Limits{OutboxBytes: 64 << 20, CloseTimeout: time.Minute}),
			tank.WithMessageHandler(func(c *tank.Client, _ tank.Message) { clients <- c }))
		s := mount(t, m)
		x := &subject{m: m}
		var calls, transitions sync.WaitGroup

		check := x.callAll(t, beforeStart, each, &calls)
		calls.Wait()
		check()

		for range each {
			transitions.Go(m.Start)
		}
		time.Sleep(time.Second) // so that there is an uptime
		kept, left := s.dial("kept"), s.dial("left")
		kept.subscribe(s, "kept")
		kept.send("here I am")
		x.kept = <-clients
		left.send("here I am")
		x.left = <-clients
		twice := []*peer{s.dial("twice"), s.dial("twice")}
		checkRunning := x.callAll(t, running, each, &calls)
		synctest.Wait() // all but Start have returned
		left.expectCloseBehind(4000)
		twice[0].expectCloseBehind(1000)
		twice[1].expectCloseBehind(1000)
		synctest.Wait()

		for range each {
			transitions.Go(func() { must(t, m.Shutdown(context.Background())) })
		}
		synctest.Wait() // it waits for the client, who has not answered the close frame yet
		checkDuring := x.callAll(t, shuttingDown, each, &calls)
		synctest.Wait()
		kept.expectCloseBehind(1001)
		calls.Wait()
		transitions.Wait()
		checkRunning()
		checkDuring()

		check = x.callAll(t, afterShutdown, each, &calls)
		calls.Wait()
		check()
	})
}

// TestEveryMethodWhileStartAndShutdownRace calls all methods, Start and Shutdown among them, with nothing to tell the
// phases apart. Each result has to be that of one of them.
func TestEveryMethodWhileStartAndShutdownRace(t *testing.T) {
	for range 20 {
		bubble(t, func(t *testing.T) {
			clients := make(chan *tank.Client, 1)
			m := tank.NewInstance(tank.WithMessageHandler(func(c *tank.Client, _ tank.Message) { clients <- c }))
			s := mount(t, m)
			x := &subject{m: m}
			go m.Start()
			hello := func(user string) *tank.Client {
				p := s.dial(user)
				p.send("here I am")
				go io.Copy(io.Discard, p.conn)
				return <-clients
			}
			x.kept, x.left = hello("kept"), hello("left")
			var calls sync.WaitGroup
			for name, r := range x.rows() {
				allowed := strings.FieldsFunc(strings.Join(r.want[:], ","), func(r rune) bool { return r == ',' })
				for range 20 {
					calls.Go(func() {
						got := r.call()
						fits := func(want string) bool {
							want = strings.TrimSpace(strings.TrimSuffix(want, " once"))
							return want == anything || want == got
						}
						if !slices.ContainsFunc(allowed, fits) {
							t.Errorf("%s returned %s, which it does in no phase: %q", name, got, allowed)
						}
					})
				}
			}
			calls.Wait()
		})
	}
}

// expectCloseBehind is expectClose, whatever messages come before.
func (p *peer) expectCloseBehind(code int) {
	p.t.Helper()
	for {
		op, payload, err := p.receive()
		if err != nil {
			p.t.Fatalf("waiting for close %d: %v", code, err)
		}
		if op == opClose {
			if got := int(payload[0])<<8 | int(payload[1]); got != code {
				p.t.Fatalf("closed with %d, want %d", got, code)
			}
			p.write(frame(opClose, payload))
			p.expectEnd()
			return
		}
	}
}
