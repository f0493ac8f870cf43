// Package suite runs the scenarios against the contenders and gathers the results.
package suite

import (
	"fmt"
	"strconv"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
)

// Contender is a server program and how its subscribers speak.
type Contender struct {
	Name    string
	Command []string // without the options of contender.Config
	dialect dialect
}

// dialect is what a subscriber says.
type dialect struct {
	hello       string // "": nothing
	subscribe   func(id int, topic string) string
	unsubscribe func(id int, topic string) string
	replies     bool // everything said is answered with a message
	lines       bool // a frame may carry several messages, as lines
}

var plain = dialect{
	subscribe:   func(_ int, topic string) string { return "sub:" + topic },
	unsubscribe: func(_ int, topic string) string { return "unsub:" + topic },
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
	replies: true,
	lines:   true,
}

// GoContenders are the contenders in the server program.
func GoContenders(server string) []Contender {
	var list []Contender
	for _, name := range contender.Names() {
		c := Contender{Name: name, Command: []string{server, "-contender", name}, dialect: plain}
		if name == "centrifuge" {
			c.dialect = centrifugeJSON
		}
		list = append(list, c)
	}
	return list
}

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
	return command
}
