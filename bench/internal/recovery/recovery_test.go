package recovery

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
)

// since is where the clients of these tests stand. The publisher's message 0 has the offset 6.
var since = contender.Position{Epoch: "e1", Offset: 7}

// data is a publisher's message, which is JSON.
func data(t *testing.T, publisher, sequence int) string {
	t.Helper()
	s, err := payload.NewStamper(payload.Plain(40), publisher)
	if err != nil {
		t.Fatal(err)
	}
	return `"` + s.Make(sequence, 1) + `"`
}

func missed(t *testing.T) Missed {
	t.Helper()
	checker, err := payload.NewChecker(payload.Plain(40))
	if err != nil {
		t.Fatal(err)
	}
	return Missed{Topic: "news", Since: since, Start: 6, Payload: checker}
}

// take has an answer take messages until it is done, and returns how many missing ones came.
func take(a Answer, messages []string) (int, error) {
	for i, m := range messages {
		if err := a.Message([]byte(m)); err != nil {
			return a.Messages(), err
		}
		if a.Done() && i < len(messages)-1 {
			return a.Messages(), errors.New("done too early")
		}
	}
	if !a.Done() {
		return a.Messages(), errors.New("not done")
	}
	return a.Messages(), nil
}

// test is messages, and what must be said about them; "": nothing.
type test struct {
	messages []string
	fault    string
}

func (test test) run(t *testing.T, a Answer, want int) {
	t.Helper()
	n, err := take(a, test.messages)
	switch {
	case test.fault == "" && (err != nil || n != want):
		t.Errorf("%d messages, %v; want %d", n, err, want)
	case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
		t.Errorf("got %v, want %q", err, test.fault)
	}
}

func TestTank(t *testing.T) {
	reply := func(seq int) string {
		return fmt.Sprintf(`{"id":3,"ok":{"epoch":"e1","seq":%d,"from":7,"recovered":true,"new":1}}`, seq)
	}
	publication := func(seq, sequence int) string { return fmt.Sprintf(`["news",%d,%s]`, seq, data(t, 0, sequence)) }
	for name, test := range map[string]test{
		"all":          {[]string{reply(9), publication(8, 2), publication(9, 3)}, ""},
		"too few":      {[]string{reply(10), publication(8, 2), publication(9, 3)}, "not done"},
		"nothing":      {nil, "not done"},
		"a gap":        {[]string{reply(10), publication(8, 2), publication(10, 4)}, "not message 9"},
		"twice":        {[]string{reply(10), publication(8, 2), publication(8, 2)}, "not message 9"},
		"another":      {[]string{reply(10), publication(8, 3)}, "is number 3 of publisher 0, and not number 2"},
		"other bytes":  {[]string{reply(10), `["news",8,"hello"]`}, "not a message of this template"},
		"other topic":  {[]string{reply(10), `["olds",8,"hello"]`}, "not message 8 of news"},
		"with element": {[]string{reply(10), strings.Replace(publication(8, 2), "]", `,{"prev":5}]`, 1)}, "another form"},
		"unfinished":   {[]string{reply(10), strings.TrimSuffix(publication(8, 2), "]")}, "another form"},
		"publisher 1":  {[]string{reply(10), `["news",8,` + data(t, 1, 2) + `]`}, "of publisher 1"},
		"no reply":     {[]string{publication(8, 2)}, "no answer to the command"},
		"error":        {[]string{`{"id":3,"error":{"code":"forbidden"}}`}, "forbidden"},
		"evicted":      {[]string{`{"id":3,"ok":{"epoch":"e1","seq":9,"from":7,"recovered":false,"why":"evicted"}}`}, "evicted"},
		"unrecovered":  {[]string{`{"id":3,"ok":{"epoch":"e1","seq":9,"from":7}}`}, "not recovered"},
		"from later":   {[]string{`{"id":3,"ok":{"epoch":"e1","seq":9,"from":8,"recovered":true}}`}, "refused"},
		"other epoch":  {[]string{`{"id":3,"ok":{"epoch":"e2","seq":9,"from":7,"recovered":true}}`}, `epoch "e2"`},
		"before":       {[]string{`{"id":3,"ok":{"epoch":"e1","seq":6,"from":7,"recovered":true}}`}, "stands at 6"},
	} {
		t.Run(name, func(t *testing.T) { test.run(t, NewTank(missed(t)), 2) })
	}
	if n, err := take(NewTank(missed(t)), []string{reply(7)}); n != 0 || err != nil {
		t.Errorf("nothing was missed: %d, %v", n, err)
	}
}

func TestCentrifuge(t *testing.T) {
	reply := func(offset int, publications ...string) []string {
		return []string{fmt.Sprintf(`{"id":3,"subscribe":{"recoverable":true,"epoch":"e1","publications":[%s],"recovered":true,"offset":%d,"positioned":true}}`,
			strings.Join(publications, ","), offset)}
	}
	publication := func(offset, sequence int) string {
		return fmt.Sprintf(`{"data":%s,"offset":%d}`, data(t, 0, sequence), offset)
	}
	for name, test := range map[string]test{
		"all":         {reply(9, publication(8, 2), publication(9, 3)), ""},
		"too few":     {reply(10, publication(8, 2), publication(9, 3)), "stands at 10, but the last message is 9"},
		"nothing":     {nil, "not done"},
		"a gap":       {reply(10, publication(8, 2), publication(10, 4)), "message 10 came, and not 9"},
		"twice":       {reply(9, publication(8, 2), publication(8, 2)), "message 8 came, and not 9"},
		"another":     {reply(9, publication(8, 3)), "is number 3 of publisher 0, and not number 2"},
		"other bytes": {reply(9, `{"data":"hello","offset":8}`), "not a message of this template"},
		"error":       {[]string{`{"id":3,"error":{"code":103,"message":"permission denied"}}`}, "permission denied"},
		"unrecovered": {[]string{`{"id":3,"subscribe":{"recoverable":true,"epoch":"e1","offset":9,"was_recovering":true}}`}, "not recovered"},
		"other epoch": {[]string{`{"id":3,"subscribe":{"recovered":true,"epoch":"e2","offset":9}}`}, `epoch "e2"`},
		"no JSON":     {[]string{`hello`}, "no answer to the command"},
	} {
		t.Run(name, func(t *testing.T) { test.run(t, NewCentrifuge(missed(t)), 2) })
	}
}

func TestCommands(t *testing.T) {
	if got, want := TankCommand(3, "news", since), `{"id":3,"sub":"news","since":["e1",7]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	want := `{"id":3,"subscribe":{"channel":"news","recover":true,"epoch":"e1","offset":7}}`
	if got := CentrifugeCommand(3, "news", since); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
