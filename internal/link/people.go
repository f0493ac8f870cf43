package link

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/broker"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// Who is in a topic on which instance. That is soft state: what is lost on the way is said again.

// here is what the names begin with under which instances tell who is in a topic.
const here = "\x00here\x00"

// shared is what this instance tells of a topic.
type shared struct {
	topic string
	what  topic.Shared
}

// people is topic.Shared on its way.
type people struct {
	Node  string                     `json:"node"`
	All   bool                       `json:"all,omitempty"`
	In    map[string]json.RawMessage `json:"in,omitempty"`
	Out   []string                   `json:"out,omitempty"`
	Crowd int                        `json:"crowd,omitempty"`
}

type sharingEnded struct{}

// Share tells the other instances who is in a topic. It never blocks.
func (l *Link) Share(t *topic.Topic, what topic.Shared) { l.ref.Post(shared{t.Name(), what}) }

// The functions from here on run in the link's actor.

// maxToShare is how much may wait to be told. What is more is told with the rest a few seconds later.
const maxToShare = 16 << 10

func (m shared) handle(l *Link) {
	if !l.IsDown() && len(l.toShare) < maxToShare {
		l.toShare = append(l.toShare, m)
	}
	l.startSharing()
}

func (sharingEnded) handle(l *Link) {
	l.sharing = false
	l.startSharing()
}

func (l *Link) startSharing() {
	if l.sharing || len(l.toShare) == 0 || l.ctx.Err() != nil {
		return
	}
	l.sharing = true
	go l.shareAll(l.toShare)
	l.toShare = nil
}

// shareAll is an edge: it may block.
func (l *Link) shareAll(all []shared) {
	defer func() { l.ref.Post(sharingEnded{}) }()
	for _, s := range all {
		ctx, cancel := context.WithTimeout(l.ctx, callTimeout)
		_, err := l.publish(ctx, here+s.topic, broker.Publication{Data: s.encode(l.node)})
		cancel()
		switch {
		case err == nil:
		case errors.Is(err, broker.ErrDown), l.ctx.Err() != nil:
			return
		default:
			l.owner.Failed(fmt.Errorf("telling who is in the topic %s: %w", wire.Quote(s.topic), err))
		}
	}
}

func (s shared) encode(node string) string {
	p := people{Node: node, All: s.what.All, Out: s.what.Out, Crowd: s.what.Crowd}
	if len(s.what.In) > 0 {
		p.In = make(map[string]json.RawMessage, len(s.what.In))
		for _, of := range s.what.In {
			info := of.Info
			if info == "" {
				info = "{}"
			}
			p.In[of.User] = json.RawMessage(info)
		}
	}
	text, _ := wire.EncodeJSON(p) // infos are valid, and have their length as they are
	return text
}

// hear gives the topic what other instances tell. It runs in a goroutine of the broker's.
func (f *feed) hear(messages []broker.Message) {
	ctx, cancel := context.WithTimeout(context.Background(), roomWithin)
	defer cancel()
	for _, m := range messages {
		var p people
		err := json.Unmarshal([]byte(m.Data), &p)
		if err == nil {
			err = p.check()
		}
		if err != nil {
			f.link.owner.Failed(fmt.Errorf("who is in the topic %s: %w", wire.Quote(f.topic.Name()), err))
			continue
		}
		if p.Node == f.link.node {
			continue
		}
		what := topic.Shared{All: p.All, Out: p.Out, Crowd: p.Crowd}
		for user, info := range p.In {
			what.In = append(what.In, wire.Present{User: user, Info: infoOf(info)})
		}
		if errors.Is(f.topic.Hear(ctx, p.Node, what), actor.ErrStopped) {
			return
		}
	}
}

// maxCrowd is how many users without names another instance may tell of.
const maxCrowd = 1 << 30

// check looks at what comes from outside: watchers are told it as it is.
func (p *people) check() error {
	if p.Node == "" {
		return errors.New("nobody says it")
	}
	if p.Crowd < 0 || p.Crowd > maxCrowd {
		return fmt.Errorf("there cannot be %d users", p.Crowd)
	}
	for user, info := range p.In {
		if err := wire.CheckUserID(user); err != nil {
			return err
		}
		if len(info) > wire.MaxInfo || !utf8.Valid(info) {
			return fmt.Errorf("what is told of the user %s is too long, or not valid UTF-8", wire.Quote(user))
		}
	}
	return nil
}

// infoOf returns an info as topics have it.
func infoOf(info json.RawMessage) string {
	if string(info) == "{}" {
		return ""
	}
	return string(info)
}
