package hub

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// gate is a subscriber that holds its topic up until it is closed.
type gate chan struct{}

func (g gate) Deliver(*wire.Batch) (taken, idle bool) { <-g; return true, false }
func (g gate) Flush()                                 {}
func (g gate) Encoding() wire.Encoding                { return wire.V1 }

func TestNothingOfATopicComesBehindTheAnswerToUnsubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, nil)
		l := memnet.Listen()
		server := &http.Server{Handler: x}
		go server.Serve(l)
		defer server.Close()
		conn := wstest.NewConn(dial(t, l, "ann", 1000), 1000)
		ann := x.all()[0]
		if err := x.Subscribe(ann, "news"); err != nil {
			t.Fatal(err)
		}
		g := make(gate)
		x.topics.find("news").Join(&topic.Member{Subscriber: g})
		x.publish(t, "news", "one")
		synctest.Wait()
		x.publish(t, "news", "two")
		done := make(chan error)
		go func() { done <- x.shutdown(context.Background()) }()
		synctest.Wait()
		x.PostUnsubscribe(ann, "news", 7)
		synctest.Wait()
		close(g)
		var got []string
		for f, err := conn.ReadFrame(); err == nil && f.Opcode() == wstest.Text; f, err = conn.ReadFrame() {
			got = append(got, string(f.Payload))
		}
		want := []string{
			`{"topic":"news","data":"one"}`,
			`{"error":{"code":"shutting_down","message":"tank: closed","topic":"news"}}`,
			`{"topic":"news","data":"two"}`,
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		conn.Close()
		<-done
	})
}
