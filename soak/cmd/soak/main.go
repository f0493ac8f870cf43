// Command soak puts a server under load and faults, and checks every delivery. See the README of this module.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/fanqie/tank-websocket-go-server/soak/internal/load"
	"github.com/fanqie/tank-websocket-go-server/soak/internal/report"
	"github.com/fanqie/tank-websocket-go-server/soak/internal/server"
)

func main() {
	if os.Getenv(server.Variable) != "" {
		os.Exit(server.Main())
	}
	config := load.Config{Progress: func(line string) { fmt.Fprintln(os.Stderr, line) }}
	flag.DurationVar(&config.For, "for", time.Minute, "how long the load lasts")
	flag.IntVar(&config.Clients, "clients", 200, "healthy clients at a time; there are a fifth as many faulty ones, at least one of each kind")
	flag.IntVar(&config.Topics, "topics", 50, "topics")
	flag.IntVar(&config.Rate, "rate", 1000, "messages that the server publishes per second")
	flag.Uint64Var(&config.Seed, "seed", 0, "of the random decisions; 0: any, which is printed")
	out := flag.String("out", ".cache", "directory for the summary, the chart and the raw figures")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, config, *out); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, config load.Config, out string) error {
	if config.For <= 0 || config.Clients <= 0 || config.Topics <= 0 || config.Rate <= 0 {
		return errors.New("-for, -clients, -topics and -rate must be positive")
	}
	for config.Seed == 0 {
		config.Seed = rand.Uint64N(1_000_000)
	}
	fmt.Fprintln(os.Stderr, "seed", config.Seed)
	results, err := load.Run(ctx, config)
	if err != nil {
		return err
	}
	fmt.Print(report.Markdown(results))
	if err := report.Write(out, results); err != nil {
		return err
	}
	fmt.Printf("\nIn full in %s.\n", out)
	return results.Err()
}
