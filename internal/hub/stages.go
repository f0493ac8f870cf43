package hub

import "github.com/fanqie/tank-websocket-go-server/internal/wire"

// What the supervisor does in the stages of a shutdown, see lifecycle.go. All functions in this file run in its goroutine.

func (shutdown) handle(s *supervisor) {
	for _, t := range s.topics {
		s.noLongerLingers(t)
		t.topic.Stop()
	}
	s.broadcast.topic.Stop()
	s.advance()
}

func (cutAll) handle(s *supervisor) {
	shutdown{}.handle(s)
	for _, t := range s.topics {
		t.topic.Abort()
	}
	s.broadcast.topic.Abort()
	for _, c := range s.sessions {
		c.Client.Cut("cut at the deadline of the shutdown")
	}
}

func (finish) handle(s *supervisor) {
	s.hub.life.moveTo(ended) // also when clients or callbacks are given up: nobody has to wait for them
	s.hub.sessions.Store(0)  // a connection that could not even be cut in time counts no more
	s.hub.sessionsV2.Store(0)
	s.hub.liveTopics.Store(0)
	s.stopClock()
	s.endListeners()
	s.hub.config.Observer.Ended()
	s.hub.supervisor.Stop()
}

// advance goes on to the next stages of a shutdown when the one at hand is complete.
func (s *supervisor) advance() {
	life := s.hub.life
	if life.state() == drainingTopics && s.topicActors == 0 && life.moveTo(closingClients) {
		s.endListeners()
		for _, c := range s.sessions {
			c.Client.Close(wire.ShuttingDown)
		}
	}
	if life.state() == closingClients && len(s.sessions) == 0 {
		life.moveTo(awaitingCallbacks)
	}
	if life.state() == awaitingCallbacks && s.readers == 0 && s.hooks == 0 {
		life.moveTo(quiescent)
	}
}
