package suite

import (
	"context"
	"fmt"
	"strconv"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
)

// curveLines are tank and the two contenders that come closest to it.
var curveLines = []string{"tank", "bun", "gws"}

// tankLines are tank alone: plain sockets and tank.v2, with and without history, and half of the clients each.
var tankLines = []string{"tank", "tank-history", "tank2", "tank2-history", "tank-mixed"}

// curveSizes is how much the mode curves does.
type curveSizes struct {
	subscribers []int
	messages    int // to each subscriber, the same for any number
	topics      []int
	clients     int // that the topics, and all payloads, have
	deliveries  int // of messages to topics, about the same for any number
	payloads    []int
	bytes       int // to each subscriber, of payloads; limits the messages where they are large
	tank        []int
	rounds      int
}

var (
	fullCurves = curveSizes{
		subscribers: []int{100, 300, 1000, 3000, 10_000},
		messages:    100,
		topics:      []int{1, 10, 100, 1000, 10_000, 100_000},
		clients:     1000,
		deliveries:  200_000,
		payloads:    []int{16, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10},
		bytes:       512 << 10,
		tank:        []int{100, 1000, 10_000},
		rounds:      2,
	}
	quickCurves = curveSizes{
		subscribers: []int{100, 300, 1000},
		messages:    50,
		topics:      []int{1, 100, 10_000},
		clients:     100,
		deliveries:  20_000,
		payloads:    []int{16, 1 << 10, 64 << 10},
		bytes:       512 << 10,
		tank:        []int{100, 1000},
		rounds:      1,
	}
)

// curveBursts is how many bursts there are at most. The smallest take a millisecond.
const curveBursts = 20

// curves are the scenarios of the mode.
func curves(sizes curveSizes) []*scenario {
	list := burstCurve(curve{
		name:   "subscribers",
		title:  "More subscribers",
		detail: fmt.Sprintf("%d messages of %d bytes to each subscriber of one topic, all published at once", sizes.messages, messageBytes),
		axis:   "subscribers", lines: curveLines, rounds: sizes.rounds,
	}, sizes.subscribers, sizes.messages)
	list = append(list, topicCurve(sizes)...)
	list = append(list, payloadCurve(sizes)...)
	return append(list, burstCurve(curve{
		name:  "protocols",
		title: "tank's protocols, and history",
		detail: fmt.Sprintf("as more subscribers; clients speak the protocol of plain sockets (tank), tank.v2 (tank2), or half of them each (tank-mixed), and a topic keeps no messages or its last %d (-history)",
			variantHistory),
		axis: "subscribers", lines: tankLines, rounds: sizes.rounds,
	}, sizes.tank, sizes.messages)...)
}

func burstCurve(c curve, subscribers []int, messages int) (list []*scenario) {
	c.metrics = costMetrics
	for _, n := range subscribers {
		list = append(list, c.burst(n, burstSize{n, messages, messageBytes}))
	}
	return list
}

// burst is the point of a curve that a burst measures.
func (c curve) burst(at int, size burstSize) *scenario {
	return c.at(strconv.Itoa(at), func(ctx context.Context, who Contender) (values, error) {
		return measureBurst(ctx, who, size, payload.Plain(size.bytes), size.queueFor(), curveBursts)
	})
}

func payloadCurve(sizes curveSizes) (list []*scenario) {
	c := curve{
		name:  "payload",
		title: "Larger messages",
		detail: fmt.Sprintf("messages to each of %d subscribers of one topic, all published at once: %d, or as many as have %d KiB together",
			sizes.clients, sizes.messages, sizes.bytes>>10),
		axis: "bytes of a message", lines: curveLines, rounds: sizes.rounds, metrics: costMetrics,
	}
	for _, bytes := range sizes.payloads {
		list = append(list, c.burst(bytes, burstSize{sizes.clients, min(sizes.messages, sizes.bytes/bytes), bytes}))
	}
	return list
}

func topicCurve(sizes curveSizes) (list []*scenario) {
	c := curve{
		name:  "topics",
		title: "More topics",
		detail: fmt.Sprintf("%d connections share all topics out among them, and have several each where there are more topics than connections; messages of %d bytes to each topic, round robin, from one publisher, about %d deliveries for any number of topics",
			sizes.clients, messageBytes, sizes.deliveries),
		axis: "topics", lines: curveLines, rounds: sizes.rounds, metrics: costMetrics,
	}
	for _, n := range sizes.topics {
		s := spread{sizes.clients, n, sizes.deliveries}
		list = append(list, c.at(strconv.Itoa(n), func(ctx context.Context, who Contender) (values, error) {
			return measureSpread(ctx, who, s)
		}))
	}
	return list
}

// CurveVariants are the variants of tank that only the mode curves has.
func CurveVariants(server string) []Contender {
	mixed := tankV2
	mixed.mixed = true
	command := []string{server, "-contender", "tank"}
	return []Contender{
		{Name: "tank-history", Command: []string{server, "-contender", "tank", "-history", strconv.Itoa(variantHistory)}, dialect: plain},
		{Name: "tank-mixed", Command: command, dialect: mixed},
	}
}
