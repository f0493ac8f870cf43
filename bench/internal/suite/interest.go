package suite

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/proc"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/report"
)

// interested is how many instances have a topic, when it is measured what that costs NATS.
var interested = []int{1, 10, 100}

// deliveredToAll is about how many messages NATS delivers in each measurement.
const deliveredToAll = 2_000_000

// interest is what one publication costs NATS, when so many instances have its topic. They are bare connections that read and do nothing
// else, so that their number is not bound by the machine.
func interest(rounds int) *scenario {
	s := &scenario{
		name:   "group-interest",
		title:  "What a publication costs NATS",
		detail: fmt.Sprintf("messages of %d bytes to one subject, as fast as they go, and so many connections that subscribe to it", messageBytes),
		rounds: rounds,
		only:   []string{"tank-nats"},
		run:    measureInterest,
	}
	for _, n := range interested {
		s.metrics = append(s.metrics, report.Metric{Key: fmt.Sprint("cpu", n), Title: fmt.Sprintf("CPU of NATS per message, %d connections", n), Unit: "ns"})
	}
	return s.forGroups()
}

func measureInterest(ctx context.Context, c Contender) (values, error) {
	broker, err := startBroker(ctx, c, "")
	if err != nil {
		return nil, err
	}
	defer broker.Stop()
	found := make(values)
	for _, n := range interested {
		if found[fmt.Sprint("cpu", n)], err = interestOf(broker, n); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// interestOf returns what NATS needs for one message, in nanoseconds.
func interestOf(broker *proc.Server, connections int) (float64, error) {
	const subject, warmUp = "bench", 1000
	messages := deliveredToAll / connections / 10 * 10
	line := fmt.Sprintf("MSG %s 1 %d\r\n%s\r\n", subject, messageBytes, strings.Repeat("x", messageBytes))
	publication := strings.Replace(strings.Replace(line, "MSG", "PUB", 1), " 1 ", " ", 1)
	var taken sync.WaitGroup
	read := func(conn net.Conn, n int) error {
		_, err := io.CopyN(io.Discard, conn, int64(n*len(line)))
		return err
	}
	var conns []net.Conn
	for range connections {
		conn, err := natsConn(broker.Subscribers, "SUB "+subject+" 1\r\n")
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	publisher, err := natsConn(broker.Subscribers, "")
	if err != nil {
		return 0, err
	}
	defer publisher.Close()
	errs := make(chan error, connections)
	publish := func(n int) error {
		for _, conn := range conns {
			taken.Go(func() {
				if err := read(conn, n); err != nil {
					errs <- err
				}
			})
		}
		const together = 10
		part := []byte(strings.Repeat(publication, together))
		for range n / together {
			if _, err := publisher.Write(part); err != nil {
				return err
			}
		}
		taken.Wait()
		select {
		case err := <-errs:
			return err
		default:
			return nil
		}
	}
	if err := publish(warmUp); err != nil {
		return 0, err
	}
	before, err := proc.CPU(broker.PID)
	if err != nil {
		return 0, err
	}
	if err := publish(messages); err != nil {
		return 0, err
	}
	after, err := proc.CPU(broker.PID)
	return float64((after - before).Nanoseconds()) / float64(messages), err
}

// natsConn connects, says something more, and waits until NATS has it.
func natsConn(addr, more string) (net.Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, `CONNECT {"verbose":false,"pedantic":false}`+"\r\n"+more+"PING\r\n"); err != nil {
		return nil, err
	}
	for said := ""; !strings.HasSuffix(said, "PONG\r\n"); {
		b := make([]byte, 1)
		if _, err := conn.Read(b); err != nil {
			return nil, err
		}
		said += string(b)
	}
	return conn, nil
}
