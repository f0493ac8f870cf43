package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// maxCrowd is how many visitors can be simulated.
const maxCrowd = 1000

// The topics of simulated visitors, and what they say.
var (
	crowdTopics = []string{"lobby", "golang", "音乐", "cycling", "recipes", "茶"}
	sayings     = []string{"Hello!", "你好！", "Who has seen the news?", "I like it here.", "这里很热闹。", "Back in a minute.", "+1"}
)

// visit simulates visitors until the context ends; then home is closed. The first hardly reads, and comes through nearby.
func visit(ctx context.Context, addr string, nearby *pipes, visitors int, log *slog.Logger) (home <-chan struct{}) {
	done := make(chan struct{})
	var crowd sync.WaitGroup
	for i := range visitors {
		crowd.Go(func() {
			for ctx.Err() == nil {
				if err := stay(ctx, addr, nearby, i); err != nil && ctx.Err() == nil {
					log.Info("a simulated visitor was disconnected, and comes back", "visitor", i, "error", err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(comeback):
				}
			}
		})
	}
	go func() {
		crowd.Wait()
		close(done)
	}()
	return done
}

// comeback is how long a visitor stays away who was disconnected.
const comeback = 5 * time.Second

// stay is one visitor's connection.
func stay(ctx context.Context, addr string, nearby *pipes, i int) error {
	var topics []string
	for n := range 1 + i%3 {
		topics = append(topics, crowdTopics[(i+n)%len(crowdTopics)])
	}
	options := &websocket.DialOptions{}
	if i == 0 { // it wants to know everything
		topics = append([]string{"chat:topics"}, crowdTopics...)
		options.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: nearby.dial}}
	}
	name := fmt.Sprintf("visitor %d (simulated)", i)
	ws, _, err := websocket.Dial(ctx, "ws://"+addr+"/ws?user_id="+url.QueryEscape(name), options)
	if err != nil {
		return err
	}
	defer ws.CloseNow()
	for _, topic := range topics {
		if err := ws.Write(ctx, websocket.MessageText, []byte("sub:"+topic)); err != nil {
			return err
		}
	}
	return talk(ctx, ws, crowdTopics[i%len(crowdTopics)])
}

// talk says something in a topic now and then, and reads, until the context or the connection ends.
func talk(ctx context.Context, ws *websocket.Conn, topic string) error {
	reading := make(chan error, 1)
	go func() { reading <- readAll(ws) }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-reading:
			return err
		case <-time.After(time.Second + time.Duration(rand.Int64N(int64(8*time.Second)))): // #nosec G404 -- small talk
		}
		text := sayings[rand.IntN(len(sayings))] // #nosec G404 -- small talk
		data, err := json.Marshal(map[string]string{"text": text})
		if err != nil {
			return err
		}
		message, err := json.Marshal(map[string]string{"topic": topic, "data": string(data)})
		if err != nil {
			return err
		}
		if err := ws.Write(ctx, websocket.MessageText, message); err != nil {
			return err
		}
	}
}

// readAll reads until the connection is closed, by whoever made it and by nobody else.
func readAll(ws *websocket.Conn) error {
	for {
		if _, _, err := ws.Read(context.Background()); err != nil {
			return err
		}
	}
}
