// Command server is one Go contender in a process of its own. The benchmark starts it; it ends with its standard
// input, so that it cannot outlive the benchmark.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/control"
)

func main() {
	var config contender.Config
	name := flag.String("contender", "tank", "which server to be")
	flag.IntVar(&config.Queue, "queue", 0, "messages that may wait for one subscriber; 0: the documentation's")
	flag.IntVar(&config.QueueBytes, "queue-bytes", 0, "the same in bytes, for those who count bytes")
	flag.BoolVar(&config.Compression, "compression", false, "permessage-deflate")
	flag.IntVar(&config.History, "history", 0, "messages that are kept of each topic, for clients that resume")
	flag.IntVar(&config.Message, "message", 0, "bytes that a client's message may have; 0: the documentation's")
	flag.StringVar(&config.Broker, "broker", "", "address of NATS or Redis that connects it with other servers; none by default")
	flag.StringVar(&config.Mode, "mode", "", "what NATS promises: nothing by default, confirmed, or jetstream, with a history")
	serve := flag.String("serve", "", "be a broker and no contender: nats or redis")
	dir := flag.String("dir", "", "where a broker keeps its files")
	flag.Parse()
	if *serve != "" {
		if err := serveBroker(*serve, *dir); err != nil {
			fmt.Fprintln(os.Stderr, "server:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(*name, config); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

func run(name string, config contender.Config) error {
	c, err := contender.New(name, config)
	if err != nil {
		return err
	}
	subscribers, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	commands, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ended := make(chan error, 3)
	go func() { ended <- http.Serve(subscribers, c) }()               // #nosec G114 -- on loopback, for the benchmark's own clients
	go func() { ended <- http.Serve(commands, control.Handler(c)) }() // #nosec G114 -- on loopback, for the benchmark's own clients
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		ended <- err
	}()
	err = json.NewEncoder(os.Stdout).Encode(control.Ready{
		Subscribers: subscribers.Addr().String(),
		Control:     commands.Addr().String(),
	})
	if err != nil {
		return err
	}
	return <-ended
}
