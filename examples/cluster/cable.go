package main

import (
	"errors"
	"net"
	"sync"
	"time"
)

var errUnplugged = errors.New("the cable to the broker is unplugged")

// cable is the network between a node and the broker: the dialer of the node's connection. It can be unplugged.
type cable struct {
	mu        sync.Mutex
	unplugged bool
	conn      net.Conn // the last one
}

// Dial implements nats.CustomDialer.
func (c *cable) Dial(network, address string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unplugged {
		return nil, errUnplugged
	}
	conn, err := net.DialTimeout(network, address, time.Second)
	if err == nil {
		c.conn = conn
	}
	return conn, err
}

func (c *cable) plug(in bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unplugged = !in
	if !in && c.conn != nil {
		_ = c.conn.Close() // by the broker, as far as the node can tell
	}
}

func (c *cable) isPlugged() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.unplugged
}
