// Package suite runs the scenarios against the contenders and gathers the results.
package suite

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/recovery"
)

// Contender is a server program and how its subscribers speak.
type Contender struct {
	Name    string
	Command []string // without the options of contender.Config
	dialect dialect
	resume  *resumption // nil: it has none

	broker string // that connects several of these servers: nats or redis; "": there is one, alone
	nodes  int    // how many servers there are, if there is a broker
}

// dialect is what a subscriber says.
type dialect struct {
	hello       string // "": nothing
	subscribe   func(id int, topic string) string
	unsubscribe func(id int, topic string) string
	say         func(data string) string // to the application; data needs no escaping
	replies     bool                     // everything said is answered with a message
	lines       bool                     // a frame may carry several messages, as lines

	subprotocol string // to be agreed on; "": none
	greeted     bool   // the server speaks first
	beats       bool   // the server sends {} as a heartbeat

	mixed bool // of every two clients the second speaks plain
}

// of is the dialect of one client.
func (d dialect) of(client int) dialect {
	if d.mixed && client%2 == 1 {
		return plain
	}
	return d
}

// resumption is how a subscriber resumes.
type resumption struct {
	dialect  dialect
	command  func(id int, topic string, since contender.Position) string
	answer   func(recovery.Missed) recovery.Answer
	messages func(missed int) int // that the answer has, when so many publications were missed
}

var plain = dialect{
	subscribe:   func(_ int, topic string) string { return "sub:" + topic },
	unsubscribe: func(_ int, topic string) string { return "unsub:" + topic },
	say:         func(data string) string { return data },
}

// centrifugeJSON is centrifuge's JSON protocol.
var centrifugeJSON = dialect{
	hello: `{"id":1,"connect":{}}`,
	subscribe: func(id int, topic string) string {
		return fmt.Sprintf(`{"id":%d,"subscribe":{"channel":%q}}`, id, topic)
	},
	unsubscribe: func(id int, topic string) string {
		return fmt.Sprintf(`{"id":%d,"unsubscribe":{"channel":%q}}`, id, topic)
	},
	say:     func(data string) string { return fmt.Sprintf(`{"send":{"data":%q}}`, data) },
	replies: true,
	lines:   true,
}

// tankV2 is the subprotocol tank.v2.
var tankV2 = dialect{
	subscribe:   func(id int, topic string) string { return fmt.Sprintf(`{"id":%d,"sub":%q}`, id, topic) },
	unsubscribe: func(id int, topic string) string { return fmt.Sprintf(`{"id":%d,"unsub":%q}`, id, topic) },
	say:         func(data string) string { return fmt.Sprintf(`{"msg":%q}`, data) },
	replies:     true,
	subprotocol: "tank.v2",
	greeted:     true,
	beats:       true,
}

// resumptions are by contender.
var resumptions = map[string]*resumption{
	"tank": {
		dialect:  tankV2,
		command:  recovery.TankCommand,
		answer:   recovery.NewTank,
		messages: func(missed int) int { return 1 + missed },
	},
	"centrifuge": {
		dialect:  centrifugeJSON,
		command:  recovery.CentrifugeCommand,
		answer:   recovery.NewCentrifuge,
		messages: func(int) int { return 1 },
	},
}

// GoContenders are the contenders in the server program.
func GoContenders(server string) []Contender {
	var list []Contender
	for _, name := range contender.Names() {
		c := Contender{Name: name, Command: []string{server, "-contender", name}, dialect: plain, resume: resumptions[name]}
		if name == "centrifuge" {
			c.dialect = centrifugeJSON
		}
		list = append(list, c)
	}
	return list
}

// TankVariants are tank with subscribers that speak tank.v2. In turn with tank they tell what the protocol costs, and with
// each other what history does.
func TankVariants(server string) []Contender {
	command := []string{server, "-contender", "tank"}
	return []Contender{
		{Name: "tank2", Command: command, dialect: tankV2},
		{Name: "tank2-history", Command: append(slices.Clone(command), "-history", strconv.Itoa(variantHistory)), dialect: tankV2},
	}
}

// Described says what is behind a member of Groups.
func (c Contender) Described() string {
	switch c.broker {
	case "nats":
		return fmt.Sprintf(", %d with NATS", c.nodes)
	case "redis":
		return fmt.Sprintf(", %d with Redis", c.nodes)
	}
	return ""
}

// Groups are one server and several that a broker connects. All clients of tank speak tank.v2, whose answers say when a subscription is in
// force. Redis is left out without a program for it.
func Groups(server string, redis bool) []Contender {
	tank := []string{server, "-contender", "tank"}
	confirmed := append(slices.Clone(tank), "-mode", "confirmed")
	jetstream := append(slices.Clone(tank), "-mode", "jetstream")
	list := []Contender{
		{Name: "tank", Command: tank, dialect: tankV2},
		{Name: "tank-nats", Command: tank, dialect: tankV2, broker: "nats", nodes: 1},
		{Name: "tank-nats-2", Command: tank, dialect: tankV2, broker: "nats", nodes: 2},
		{Name: "tank-nats-3", Command: tank, dialect: tankV2, broker: "nats", nodes: 3},
		{Name: "tank-confirmed", Command: confirmed, dialect: tankV2, broker: "nats", nodes: 1},
		{Name: "tank-jetstream", Command: jetstream, dialect: tankV2, broker: "nats", nodes: 1},
		{Name: "tank-jetstream-2", Command: jetstream, dialect: tankV2, broker: "nats", nodes: 2},
	}
	peer := []string{server, "-contender", "centrifuge"}
	list = append(list, Contender{Name: "centrifuge", Command: peer, dialect: centrifugeJSON})
	if redis {
		list = append(list,
			Contender{Name: "centrifuge-redis", Command: peer, dialect: centrifugeJSON, broker: "redis", nodes: 1},
			Contender{Name: "centrifuge-redis-2", Command: peer, dialect: centrifugeJSON, broker: "redis", nodes: 2})
	}
	return list
}

// variantHistory is how many messages the variant with history keeps: fewer than a full burst has, so that messages are
// evicted while others are published, as in a server that has run for a while.
const variantHistory = 500

// BunContender is Bun with the server script.
func BunContender(bun, script string) Contender {
	return Contender{Name: "bun", Command: []string{bun, script}, dialect: plain}
}

// with returns the command line for a configuration.
func (c Contender) with(config contender.Config) []string {
	command := append([]string(nil), c.Command...)
	if config.Queue > 0 {
		command = append(command, "--queue", strconv.Itoa(config.Queue))
	}
	if config.QueueBytes > 0 {
		command = append(command, "--queue-bytes", strconv.Itoa(config.QueueBytes))
	}
	if config.Compression {
		command = append(command, "--compression")
	}
	if config.History > 0 {
		command = append(command, "--history", strconv.Itoa(config.History))
	}
	if config.Message > 0 {
		command = append(command, "--message", strconv.Itoa(config.Message))
	}
	if config.Broker != "" {
		command = append(command, "--broker", config.Broker)
	}
	return command
}
