package load

import (
	"testing"

	"github.com/fanqie/tank-websocket-go-server/soak/internal/check"
)

// What a healthy client receives is checked, whatever comes.
func TestInboxFindsWhatIsWrong(t *testing.T) {
	text := func(frames ...string) func(*inbox) {
		return func(b *inbox) {
			for _, f := range frames {
				b.text([]byte(f))
			}
		}
	}
	news := func(seq uint64) string { return check.Message{Topic: "news", Publisher: "p", Seq: seq}.Envelope(100) }
	for _, tt := range []struct {
		name string
		get  func(*inbox)
		want check.Counts
	}{
		{"all is well", text(news(7), "broadcaster 3 ", news(8), "broadcaster 4 "), check.Counts{Deliveries: 4}},
		{"gap", text(news(7), news(9)), check.Counts{Deliveries: 2, Gaps: 1}},
		{"duplicate", text(news(7), news(7)), check.Counts{Deliveries: 2, Duplicates: 1}},
		{"inversion", text(news(7), news(9), news(8)), check.Counts{Deliveries: 3, Inversions: 1}},
		{"gap between broadcasts", text("broadcaster 3 ", "broadcaster 5 "), check.Counts{Deliveries: 2, Gaps: 1}},
		{"no subscription", text(check.Message{Topic: "other", Publisher: "p", Seq: 1}.Envelope(0)), check.Counts{Strays: 1}},
		{"refusal", text(`{"error":{"code":"busy","message":"","topic":"news"}}`), check.Counts{Others: 1}},
		{"no frame of the protocol", text("hello"), check.Counts{Others: 1}},
		{"echo of nothing", func(b *inbox) { b.binary([]byte("echo")) }, check.Counts{Others: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tally := &check.Tally{}
			b := newInbox("ann", tally)
			b.begin("news")
			tt.get(b)
			if got := tally.Counts(); got != tt.want {
				t.Errorf("got %+v (%q), want %+v", got, tally.Examples(), tt.want)
			}
		})
	}
}

// A fault whose outcome is not among those that may come of it fails the run.
func TestEveryFaultSaysWhatMayComeOfIt(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range faults {
		if f.name == "" || f.what == "" || f.do == nil || len(f.may) == 0 || seen[f.name] {
			t.Errorf("%+v is incomplete, or there twice", f)
		}
		seen[f.name] = true
	}
}
