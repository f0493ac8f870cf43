package tanktest

import (
	"fmt"
	"strings"
	"time"
)

// fail fails the test, saying what is known about the client.
func (c *peer) fail(format string, args ...any) {
	c.t.Helper()
	c.t.Fatalf("%s", c.report(fmt.Sprintf(format, args...)))
}

// report returns a failure message with what is known about the client, in lines that are indented.
func (c *peer) report(text string) string {
	c.told = true
	var b strings.Builder
	fmt.Fprintf(&b, "tanktest: %s: %s\n", c.name, text)
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "\t%-12s %s\n", what+":", fmt.Sprintf(format, args...))
	}
	if c.last == nil {
		line("looked at", "no message yet")
	} else {
		line("looked at", "last, %v, which came %v ago", c.last, ago(c.last.At))
	}
	if waiting := c.inbox.peek(); len(waiting) > 0 {
		line("not yet", "%d messages, first %v", len(waiting), waiting[0])
	}
	switch n := len(c.conn.Buffered()); {
	case c.hasEnded() && c.end.broken && strings.Contains(text, c.end.how):
		line("connection", "given up by this client, %v ago", ago(c.end.at))
	case c.hasEnded():
		line("connection", "%s, %v ago", c.end.how, ago(c.end.at))
	case c.goodbye.Load() != nil:
		line("connection", "closed by the server with %v, which has not hung up", c.goodbye.Load())
	case c.frozen:
		line("connection", "frozen, with %d bytes to read", n)
	case n > 0:
		line("connection", "open, with %d bytes to read", n)
	default:
		line("connection", "open")
	}
	c.protocol.describe(line)
	if c.handle != nil {
		stats := c.handle.Stats()
		line("server", "%s; %d bytes queued, %d messages dropped", c.subscriptions(), stats.OutboxBytes, stats.Dropped)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// ending says in a failure message that the connection has ended.
func (c *peer) ending() string {
	if c.end.broken {
		return c.end.how
	}
	return "the connection has ended"
}

// subscriptions names the topics that the instance has for the client, but not all of very many.
func (c *peer) subscriptions() string {
	var names []string
	for _, topic := range c.handle.Topics() {
		names = append(names, quote(topic))
	}
	if len(names) == 0 {
		return "no subscriptions"
	}
	return "subscribed to " + list(names)
}

// list joins what can be many.
func list(parts []string) string {
	const most = 10
	if more := len(parts) - most; more > 0 {
		parts = append(parts[:most], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, ", ")
}

// ago returns how long ago something was, in a form for people.
func ago(t time.Time) time.Duration { return time.Since(t).Round(time.Millisecond) }
