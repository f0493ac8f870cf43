package check_test

import (
	"fmt"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/soak/internal/check"
)

// take gives a stream messages of one publisher.
func take(s *check.Stream, numbers ...uint64) {
	for _, n := range numbers {
		s.Take(message(n))
	}
}

func message(n uint64) check.Message { return check.Message{Topic: "news", Publisher: "p", Seq: n} }

func TestStreamFindsWhatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		name    string
		numbers []uint64
		want    check.Counts
	}{
		{"in order", []uint64{7, 8, 9, 10}, check.Counts{Deliveries: 4}},
		{"gap", []uint64{7, 8, 11}, check.Counts{Deliveries: 3, Gaps: 2}},
		{"duplicate", []uint64{7, 8, 8, 9}, check.Counts{Deliveries: 4, Duplicates: 1}},
		{"duplicate of the first", []uint64{7, 8, 7, 9}, check.Counts{Deliveries: 4, Duplicates: 1}},
		{"inversion", []uint64{7, 9, 8, 10}, check.Counts{Deliveries: 4, Inversions: 1}},
		{"inversion at the beginning", []uint64{8, 7, 9}, check.Counts{Deliveries: 3, Inversions: 1}},
		{"one of two comes late", []uint64{7, 10, 8, 11}, check.Counts{Deliveries: 4, Gaps: 1, Inversions: 1}},
		{"late and again", []uint64{7, 9, 8, 8}, check.Counts{Deliveries: 4, Inversions: 1, Duplicates: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tally := &check.Tally{}
			take(check.NewStream("ann", tally), tt.numbers...)
			expect(t, tally, tt.want)
		})
	}
}

func TestStreamFromStartMissesTheFirst(t *testing.T) {
	tally := &check.Tally{}
	take(check.FromStart("ann", tally), 2, 3)
	expect(t, tally, check.Counts{Deliveries: 2, Gaps: 1})
}

func TestStreamMissesTheLast(t *testing.T) {
	tally := &check.Tally{}
	s := check.NewStream("ann", tally)
	take(s, 7, 8)
	s.EndsWith(message(8))
	s.EndsWith(message(11))
	expect(t, tally, check.Counts{Deliveries: 2, Gaps: 3})
}

// A subscriber is compared with the witness between two messages that both saw.
func TestCompareFindsWhatNumbersDoNotShow(t *testing.T) {
	a, b := func(n uint64) check.Message { return check.Message{Topic: "news", Publisher: "a", Seq: n} }, message
	witness := []check.Message{a(4), b(1), a(5), b(2), a(6)} // from the first to the last
	for _, tt := range []struct {
		name string
		saw  []check.Message
		want uint64
	}{
		{"the same", witness, 0},
		{"another order", []check.Message{a(4), a(5), b(1), b(2), a(6)}, 1},
		{"nothing of one publisher", []check.Message{a(4), a(5), a(6)}, 1},
		{"not its first", []check.Message{a(4), a(5), b(2), a(6)}, 1},
		{"not its last", []check.Message{a(4), b(1), a(5), a(6)}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tally, ledger := &check.Tally{}, check.NewLedger()
			first, last := ledger.Expect(a(4)), ledger.Expect(a(6))
			ledger.Record(b(77)) // before the subscription
			for _, m := range witness {
				ledger.Record(m)
			}
			s := check.NewStream("ann", tally)
			var from, to check.Mark
			for _, m := range tt.saw {
				s.Take(m)
				if m == a(4) {
					from.Stream = s.Position()
				}
			}
			to.Stream = s.Position()
			from.Ledger, to.Ledger = <-first, <-last
			tally.Compare("ann", "news", from, to)
			expect(t, tally, check.Counts{Deliveries: uint64(len(tt.saw)), Divergences: tt.want})
		})
	}
}

func TestMessagesBehindTheEndAreStrays(t *testing.T) {
	for saw, strays := range []uint64{0, 0, 0, 1, 2} { // the witness saw two in between
		t.Run(fmt.Sprint(saw), func(t *testing.T) {
			tally := &check.Tally{}
			from, to := check.Mark{}, check.Mark{}
			for n := range uint64(saw) {
				to.Stream = to.Stream.After(message(n))
			}
			for n := range uint64(3) {
				to.Ledger = to.Ledger.After(message(n))
			}
			tally.CompareEnd("ann", "news", from, to)
			expect(t, tally, check.Counts{Strays: strays})
		})
	}
}

func TestParseUnderstandsWhatIsPublished(t *testing.T) {
	m := check.Message{Topic: `a "quoted" topic`, Publisher: "c12", Seq: 34}
	for _, size := range []int{0, 5, 1000} {
		f, err := check.Parse([]byte(m.Envelope(size)))
		if err != nil || f.Message != m || f.Refusal != "" {
			t.Errorf("got %+v, %v", f, err)
		}
	}
	broadcast := check.Message{Publisher: check.Broadcaster, Seq: 5}
	if f, err := check.Parse([]byte(broadcast.Data(0))); err != nil || f.Message != broadcast {
		t.Errorf("got %+v, %v", f, err)
	}
	if f, err := check.Parse([]byte(`{"error":{"code":"busy","message":"x","topic":"news"}}`)); err != nil || f.Refusal != "busy" || f.Topic != "news" {
		t.Errorf("got %+v, %v", f, err)
	}
	for _, text := range []string{"", "{}", "x", `{"topic":"news"}`, `{"topic":"news","data":"p"}`, `{"topic":"news","data":"p 0 "}`} {
		if f, err := check.Parse([]byte(text)); err == nil {
			t.Errorf("%q is %+v", text, f)
		}
	}
}

func expect(t *testing.T, tally *check.Tally, want check.Counts) {
	t.Helper()
	if got := tally.Counts(); got != want {
		t.Errorf("got %+v (%q), want %+v", got, tally.Examples(), want)
	}
}
