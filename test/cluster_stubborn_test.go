package test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/broker"
	"github.com/fanqie/tank-websocket-go-server/broker/brokertest"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// stubborn is a broker whose After answers the same for ever.
type stubborn struct {
	*brokertest.Node
	after func(context.Context) (broker.Page, error)
	calls atomic.Int64
}

func (s *stubborn) After(ctx context.Context, _, _ string, _ uint64, _ int) (broker.Page, error) {
	s.calls.Add(1)
	return s.after(ctx)
}

// TestStubbornBrokers: whatever a broker answers, it is not asked without end, clients go on with their other commands, whoever reads is
// answered, and the instance ends.
func TestStubbornBrokers(t *testing.T) {
	const minute = 40 // so often one that fails is asked again, after 50 ms at first and every 2 s in the end
	same := func(p broker.Page, err error) func(context.Context) (broker.Page, error) {
		return func(context.Context) (broker.Page, error) { return p, err }
	}
	for name, of := range map[string]struct {
		after    func(context.Context) (broker.Page, error)
		most     int64
		answered bool
	}{
		"fails":              {same(broker.Page{}, errors.New("scripted")), minute + 1, false},
		"of another epoch":   {same(broker.Page{}, broker.ErrEpoch), minute + 1, false},
		"has nothing":        {same(broker.Page{}, nil), 10, true},
		"has nothing, whole": {same(broker.Page{Whole: true}, nil), 10, true},
		"has more, and not":  {same(broker.Page{More: true}, nil), 10, true},
		"the same page": {same(broker.Page{More: true, Whole: true, Messages: []broker.Message{
			{Publication: broker.Publication{Data: "again"}, Offset: 7}}}, nil), 2 * (minute + 1), false},
		"never answers": {func(ctx context.Context) (broker.Page, error) { <-ctx.Done(); return broker.Page{}, ctx.Err() }, 20, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, nodes := keepingCluster(t, 1)
				since := nodes[0].DialV2("/").Subscribe("news").Position
				for i := range 10 {
					publishOn(t, nodes[0], "news", fmt.Sprint(i))
				}
				s := &stubborn{Node: w.Node(), after: of.after}
				m := tank.NewInstance(keepMany, tank.WithBroker(s))
				fresh := tanktest.Serve(t, m)
				synctest.Wait()
				c := fresh.Dial("/", tanktest.Subprotocols("tank.v2"))
				c.Send(fmt.Sprintf(`{"id":1,"sub":"news","since":[%q,%d]}`, since.Epoch, since.Seq))
				c.Send(`{"id":2,"sub":"other"}`)
				read := make(chan error, 1)
				go func() {
					_, err := m.History(context.Background(), "news", tank.Position{}, 0)
					read <- err
				}()
				time.Sleep(30 * time.Second)
				if err := <-read; of.answered != (err == nil) || err != nil && !errors.Is(err, tank.ErrBroker) && !errors.Is(err, tank.ErrBusy) {
					t.Errorf("History returned %v", err)
				}
				if m.GetTopicSubscriberCount("other") != 1 {
					t.Error("the client's next command waits")
				}
				time.Sleep(30 * time.Second)
				if n := s.calls.Load(); n == 0 || n > of.most {
					t.Errorf("it was asked %d times", n)
				}
				must(t, m.Shutdown(context.Background()))
			})
		})
	}
}
