package main

import (
	"context"
	"log/slog"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// stateTopic is where the desk says how the cluster is, when that has changed.
const stateTopic = "cluster"

// lookEvery is how often the desk looks at the cluster.
const lookEvery = 100 * time.Millisecond

// state is how the cluster is.
type state struct {
	PID   int         `json:"pid"`   // of the broker; 0: it is not there
	Since int64       `json:"since"` // when it was started, or has ended, in ms since 1970
	Nodes []nodeState `json:"nodes"`
}

type nodeState struct {
	Port        int  `json:"port"`
	Plugged     bool `json:"plugged"`     // the cable to the broker
	Interrupted bool `json:"interrupted"` // the node has no connection to the broker
	Pages       int  `json:"pages"`       // connected to it
	Kept        int  `json:"kept"`        // messages of the room
}

// order is what the page asks for: "kill" or "start" the broker, "cut" or "join" a node.
type order struct {
	Do   string `json:"do"`
	Node int    `json:"node"`
}

// newDesk makes the instance behind the page's buttons. It has no broker: it works while that is dead.
func newDesk(c *cluster, log *slog.Logger) *tank.Manager {
	return tank.NewInstance(
		tank.WithTopics(stateTopic, tank.TopicOptions{History: tank.History{Messages: 1, Age: 24 * time.Hour}}),
		tank.WithRequestHandler(func(_ *tank.Client, r tank.Request) (any, error) { return nil, c.obey(r) }),
		tank.WithLogger(log),
	)
}

// obey carries out what the page asks for.
func (c *cluster) obey(r tank.Request) error {
	var o order
	if err := r.Decode(&o); err != nil {
		return err
	}
	if o.Node < 0 || o.Node >= len(c.nodes) {
		return &tank.RequestError{Code: "not_found", Message: "there is no such node"}
	}
	var err error
	switch o.Do {
	case "kill":
		err = c.broker.kill()
	case "start":
		err = c.broker.start()
	case "cut":
		c.nodes[o.Node].cable.plug(false)
	case "join":
		c.nodes[o.Node].cable.plug(true)
	default:
		return &tank.RequestError{Code: "not_found", Message: "there is no such order"}
	}
	if err != nil {
		return &tank.RequestError{Code: "failed", Message: err.Error()}
	}
	return nil
}

// look is how the cluster is now.
func (c *cluster) look() state {
	var s state
	pid, since := c.broker.status()
	s.PID, s.Since = pid, since.UnixMilli()
	for i, n := range c.nodes {
		s.Nodes = append(s.Nodes, nodeState{
			Port:        c.ports[i],
			Plugged:     n.cable.isPlugged(),
			Interrupted: n.tkws.Stats().Broker.Down,
			Pages:       n.tkws.GetClientCount(),
			Kept:        n.kept(),
		})
	}
	return s
}

// watch publishes how the cluster is, when that has changed, until the context ends.
func (c *cluster) watch(ctx context.Context) {
	clock := time.NewTicker(lookEvery)
	defer clock.Stop()
	var last state
	for {
		if now := c.look(); !now.equal(last) && c.desk.PublishJSON(ctx, stateTopic, now) == nil {
			last = now
		}
		select {
		case <-clock.C:
		case <-ctx.Done():
			return
		}
	}
}
