// Command cluster shows what a group of instances does when its broker dies: two nodes of a chat and a NATS server, with a page that is
// connected to both nodes, and has a button that kills the server. The server is a process of its own, so it is killed with signal 9.
// The example is a module of its own, because nobody else needs a NATS server in its program.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// shutdownGrace is how long a shutdown may take before the connections that are left are cut.
const shutdownGrace = 10 * time.Second

func main() {
	if len(os.Args) > 1 && os.Args[1] == brokerCommand {
		os.Exit(brokerMain(os.Args[2:]))
	}
	addr := flag.String("addr", "127.0.0.1:8080", "`address` of the page; the nodes listen on the next two ports")
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second Ctrl-C ends the program at once
	if err := run(ctx, *addr, log); err != nil {
		log.Error("cluster ended", "error", err)
		os.Exit(1)
	}
}

// run serves until the context ends, then shuts down gracefully.
func run(ctx context.Context, addr string, log *slog.Logger) error {
	c, err := newCluster(addr, log)
	if err != nil {
		return err
	}
	fmt.Printf("Open %s. Ctrl-C ends the program.\n", c.url())
	select {
	case err = <-c.failed:
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	return errors.Join(err, c.shutdown(grace))
}
