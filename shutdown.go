package tank

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

const (
	// goingAway is the reason that clients are told at Shutdown, with code 1001.
	goingAway = "server is shutting down, please reconnect"

	// cutGrace is how long Shutdown waits for connections to end after they have been cut. Cutting does not wait for
	// the network, so this is time for goroutines to be scheduled.
	cutGrace = 250 * time.Millisecond

	// callbackGrace is how long Shutdown waits, after the last connection has ended, for callbacks to return. It is
	// bounded because Shutdown may have been called from one of them.
	callbackGrace = time.Second

	// loggerGrace is how long Shutdown waits for the logger to write what it was given.
	loggerGrace = time.Second
)

// Shutdown ends the instance gracefully. It rejects new connections and publications. Topics deliver all messages that they have
// accepted. Every client receives its queued messages and then close 1001, all clients in parallel. (With WithDrain, clients are
// closed in batches first, and publications are accepted until the window is over.) When the context ends before that is done,
// the remaining clients are disconnected. Then the server given to SetHTTPServer is shut down, and Errors and ConnEvents are
// closed. When Shutdown returns, no goroutine of the instance is left, except callbacks and a logger that do not return.
//
// It returns nil; the context's error (or another call's) when connections were cut or the HTTP server was not done in
// time; or ErrBusy when another call cut connections, or when a callback did not return within a second after its
// connection had ended: a goroutine in a callback cannot be stopped. So ErrBusy is also the result of calling it from a
// message handler or an authorizer, which is allowed.
//
// It may be called again, concurrently, and before Start: then Start returns at once. Each call waits for the same end,
// no longer than its own context, after which it takes less than a second: to cut what is left, and for callbacks and
// the logger to return. With SetHTTPServer, a call from an authenticator or CheckOrigin waits for its own request, so its
// context has to end. It panics when the context is nil.
func (m *Manager) Shutdown(ctx context.Context) error {
	require(ctx != nil, "Shutdown", "context is nil")
	m.beginShutdown(ctx)
	cut := m.awaitClients(ctx)
	if !m.finishing.CompareAndSwap(false, true) {
		if err := cmp.Or(cut, m.life.await(ctx, closed)); err != nil {
			return err
		}
		return m.outcome
	}
	m.outcome = cmp.Or(cut, m.awaitCallbacks(ctx), m.shutdownHTTPServer(ctx)) // evaluates, and so does, all of them
	if m.outcome == nil && m.cut.Load() {
		m.outcome = fmt.Errorf("%w: connections were cut by another Shutdown", ErrBusy)
	}
	m.supervisor.Post(finish{})
	<-m.supervisor.Done()
	m.journal.close(grace(ctx, loggerGrace))
	m.life.moveTo(closed)
	return m.outcome
}

// beginShutdown ends the topics, after the drain if there is to be one. All calls of Shutdown but the first do nothing here.
func (m *Manager) beginShutdown(ctx context.Context) {
	if m.config.drainBatch > 0 {
		if !m.life.moveTo(draining) {
			return
		}
		m.drain(ctx)
	}
	if m.life.moveTo(drainingTopics) {
		m.supervisor.Post(shutdown{})
	}
}

// awaitClients waits until every connection has ended, and cuts them when the context ends first.
func (m *Manager) awaitClients(ctx context.Context) error {
	err := m.life.await(ctx, awaitingCallbacks)
	if err != nil {
		m.cut.Store(true)
		m.life.moveTo(drainingTopics) // also when another call is still draining
		m.supervisor.Post(cutAll{})
		select {
		case <-m.life.reached[awaitingCallbacks]:
		case <-time.After(cutGrace):
		}
	}
	return err
}

func (m *Manager) awaitCallbacks(ctx context.Context) error {
	select {
	case <-m.life.reached[quiescent]:
		return nil
	case <-time.After(grace(ctx, callbackGrace)):
		return fmt.Errorf("%w: a callback is still running", ErrBusy)
	}
}

// grace is how long to wait for what cannot be stopped: not long when the context has ended.
func grace(ctx context.Context, longest time.Duration) time.Duration {
	if ctx.Err() != nil {
		return cutGrace
	}
	return longest
}

func (m *Manager) shutdownHTTPServer(ctx context.Context) error {
	server := m.httpServer.Load()
	if server == nil {
		return nil
	}
	err := server.Shutdown(ctx)
	if err != nil {
		server.Close()
	}
	return err
}

func (shutdown) handle(s *supervisor) {
	for _, t := range s.topics {
		t.topic.Stop()
	}
	s.everyone.topic.Stop()
	s.advance()
}

func (cutAll) handle(s *supervisor) {
	shutdown{}.handle(s)
	for _, t := range s.topics {
		t.topic.Abort()
	}
	s.everyone.topic.Abort()
	for _, c := range s.clients {
		c.conn.Cut("cut at the deadline of the shutdown")
	}
}

func (finish) handle(s *supervisor) {
	s.m.life.moveTo(ended)        // also when clients or callbacks are given up: nobody has to wait for them
	s.m.counters.clients.Store(0) // a connection that could not even be cut in time counts no more
	s.m.counters.topics.Store(0)
	close(s.errors)
	close(s.connEvents)
	s.m.supervisor.Stop()
}

// advance goes on to the next stages of a shutdown when the one at hand is complete.
func (s *supervisor) advance() {
	life := s.m.life
	if life.state() == drainingTopics && s.topicActors == 0 && life.moveTo(closingClients) {
		for _, c := range s.clients {
			c.conn.Close(wire.CloseGoingAway, goingAway)
		}
	}
	if life.state() == closingClients && len(s.clients) == 0 {
		life.moveTo(awaitingCallbacks)
	}
	if life.state() == awaitingCallbacks && s.readers == 0 {
		life.moveTo(quiescent)
	}
}
