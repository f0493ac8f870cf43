// Command ticker pushes made-up prices of 312 symbols, 20 times a second each, to pages that subscribe to what they show.
// A page that cannot keep up skips old prices instead of being closed: only the latest of each symbol matters.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// outboxBytes is the maximum of a page's queued bytes, before all but the latest price of each symbol is dropped. The
// latest prices of all symbols have to fit, or some would never get through; what is more than that is only older.
const outboxBytes = 24 << 10

// writeBytes is how much is written at a time to a link that is slow by way of slowConn: a price that is being written is not
// replaced by a later one any more.
const writeBytes = 1 << 10

// history is how long a price is kept: for pages that lose their connection for a moment, and for symbols that are scrolled out of
// sight and back. The prices of all symbols take 2.5 MiB, see TestHistoryIsSmall.
const history = 4 * time.Second

func newInstance(symbols int) *tank.Manager {
	return tank.NewInstance(
		tank.WithTopics(topicOf("*"), tank.TopicOptions{History: tank.History{Age: history}}),
		tank.WithOutboxPolicy(tank.OutboxKeepLatest),
		tank.WithLimits(tank.Limits{
			OutboxBytes:       outboxBytes,
			Subscriptions:     symbols,
			MessageBytes:      1 << 10,
			MessagesPerSecond: 500, // who scrolls subscribes a lot
			MessageBurst:      2 * symbols,
		}),
		tank.WithUpgrader(tank.Upgrader{WriteBufferSize: writeBytes}),
		tank.WithRequestHandler(answer),
		tank.WithMessageHandler(answerPlain),
	)
}

// answer answers a page that asks how many prices it has missed. The answer is queued behind the prices that are queued already, so its
// delay tells the page how far behind it is.
func answer(c *tank.Client, r tank.Request) (any, error) {
	var text string
	if err := r.Decode(&text); err != nil {
		return nil, err
	}
	if text != "skipped?" {
		return nil, &tank.RequestError{Code: "bad_message", Message: `want "skipped?"`}
	}
	return skipped(c), nil
}

func skipped(c *tank.Client) map[string]uint64 {
	return map[string]uint64{"skipped": c.Stats().Dropped}
}

// answerPlain is answer for plain sockets, which get a message. It ignores all other messages.
func answerPlain(c *tank.Client, m tank.Message) {
	if string(m.Data) != "skipped?" {
		return
	}
	text, err := json.Marshal(skipped(c))
	if err == nil {
		err = c.Send(tank.Message{Data: text})
	}
	if err != nil && !errors.Is(err, tank.ErrClosed) {
		log.Printf("%v: %v", c, err)
	}
}

// newServer bounds what a peer that sends its request slowly, or nothing at all, can hold on to.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
		ConnContext:       keepSendBufferSmall,
	}
}

// sendBuffer is how much a socket takes for a page that is behind, in bytes; Linux takes twice as much. What it has taken comes
// before the latest price, however old it is, and by itself it would take some MiB.
const sendBuffer = 32 << 10

func keepSendBufferSmall(ctx context.Context, c net.Conn) context.Context {
	if tcp, ok := c.(*net.TCPConn); ok {
		if err := tcp.SetWriteBuffer(sendBuffer); err != nil {
			log.Print("the send buffer stays as it is: ", err)
		}
	}
	return ctx
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on")
	seed := flag.Uint64("seed", 1, "of the random walk: the same seed, the same prices")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // so that a second Ctrl-C ends the program at once
	if err := run(ctx, *addr, *seed); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr string, seed uint64) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("Open http://%s/. Ctrl-C ends the program.\n", listener.Addr())
	return serve(ctx, listener, newMarket(seed))
}

// serve takes over the listener, and returns when the context has ended and the last page has been sent away.
func serve(ctx context.Context, listener net.Listener, m *market) error {
	tkws := newInstance(len(m.symbols))
	server := newServer(handler(tkws, m))
	tkws.SetHTTPServer(server) // Shutdown ends it after the last client has left
	go tkws.Start()
	pushing, stop := context.WithCancel(ctx)
	defer stop()
	go m.run(pushing, tkws)

	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	stop()
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(err, tkws.Shutdown(grace))
}
