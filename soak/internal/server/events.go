package server

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/actor"
)

// events counts what the instance reports.
type events struct {
	errors      map[string]int // by code and message
	disconnects map[string]int // by close code
	connections uint64
	panics      []string // of the library's own, with their stacks
	done        sync.WaitGroup
}

// watch counts until Shutdown closes the channels.
func watch(m *tank.Manager) *events {
	e := &events{errors: make(map[string]int), disconnects: make(map[string]int)}
	e.done.Go(func() {
		for event := range m.Errors {
			e.errors[fmt.Sprint(event.Code, " ", event.Message)]++
			if event.Code == tank.CodeInternal && !ofCallbacks[event.Message] {
				e.panicked(event)
			}
		}
	})
	e.done.Go(func() {
		for event := range m.ConnEvents {
			switch event.EventType {
			case tank.EventConnect:
				e.connections++
			case tank.EventDisconnect:
				code, _, _ := strings.Cut(event.Reason, " ")
				e.disconnects[code]++
			}
		}
	})
	return e
}

// ofCallbacks are what is reported of panics in callbacks. Any other one is the library's own.
var ofCallbacks = map[string]bool{"callback panicked": true, "message handler panicked": true, "authorizer panicked": true}

func (e *events) panicked(event *tank.ErrorEvent) {
	text := event.Error()
	if p := (*actor.PanicError)(nil); errors.As(event.Err, &p) {
		text += "\n" + string(p.Stack)
	}
	e.panics = append(e.panics, text)
}
