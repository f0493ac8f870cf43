package load

import (
	"fmt"
	"slices"

	"github.com/fanqie/tank-websocket-go-server/soak/internal/check"
	"github.com/fanqie/tank-websocket-go-server/soak/internal/server"
)

// topicsOfWitness is how many topics a witness watches: fewer than a client may subscribe to.
const topicsOfWitness = 100

// witness is a healthy client that is subscribed to its topics before anybody publishes, and to the end. So it has to see
// everything, and all others are compared with it.
type witness struct {
	*client
	topics []string
}

func (r *run) witnesses() ([]*witness, error) {
	var all []*witness
	for topics := range slices.Chunk(r.topics, topicsOfWitness) {
		c, err := r.newClient(r.random(-len(all) - 1))
		if err != nil {
			return nil, err
		}
		c.inbox.ledger, c.broadcasts = r.ledger, check.FromStart(c.who, r.tally)
		go c.read()
		for _, topic := range topics {
			if err := c.subscribe(topic); err != nil {
				return nil, fmt.Errorf("witness: %w", err)
			}
		}
		all = append(all, &witness{c, topics})
	}
	return all, nil
}

// finish checks, when the server has ended, that all that it had taken came.
func (w *witness) finish(ledger *check.Ledger, end *server.End) {
	w.client.finish(ledger, end)
	for _, topic := range w.topics {
		for publisher, last := range end.Published[topic] {
			w.streams[topic].EndsWith(check.Message{Topic: topic, Publisher: publisher, Seq: last})
		}
	}
}
