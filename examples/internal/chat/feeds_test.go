package chat

import (
	"fmt"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

func TestMeter(t *testing.T) {
	var m meter
	born := time.Unix(1000, 0)
	at := func(second int, topics ...tank.TopicStats) []row {
		return m.read(born.Add(time.Duration(second)*time.Second), 1, topics).Topics
	}
	tea := tank.TopicStats{Name: "tea", Subscribers: 1, Published: 40, CreatedAt: born}
	if got := at(1, tea); got[0].Rate != 0 {
		t.Errorf("first seen: %+v", got)
	}
	tea.Published = 45
	if got := at(3, tea); got[0].Rate != 2.5 {
		t.Errorf("5 messages in 2 s: %+v", got)
	}
	tea.Published, tea.CreatedAt = 3, born.Add(3*time.Second)
	if got := at(4, tea); got[0].Rate != 0 {
		t.Errorf("begun anew: %+v", got)
	}
	if got := at(5, tank.TopicStats{Name: topicsTopic, Subscribers: 9}); len(got) != 0 {
		t.Errorf("feeds are listed: %+v", got)
	}
	if got := at(6, tank.TopicStats{Name: "kept", Published: 9}); len(got) != 0 {
		t.Errorf("topics without subscribers are listed: %+v", got)
	}
}

func TestMeterListsTheLargestTopics(t *testing.T) {
	var topics []tank.TopicStats
	for i := range maxRows + 5 {
		topics = append(topics, tank.TopicStats{Name: fmt.Sprintf("topic %03d", i), Subscribers: 1 + i%2})
	}
	var m meter
	got := m.read(time.Unix(1000, 0), 7, topics)
	if got.Clients != 7 || got.Total != maxRows+5 || len(got.Topics) != maxRows {
		t.Errorf("got %d of %d topics, %d clients", len(got.Topics), got.Total, got.Clients)
	}
	if first := got.Topics[0]; first.Name != "topic 001" || first.Subscribers != 2 {
		t.Errorf("first comes %+v", first)
	}
}
