package payload

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	for name, template := range map[string]string{
		"16":   Plain(16),
		"128":  Plain(128),
		"json": JSON(1024),
	} {
		t.Run(name, func(t *testing.T) {
			s, err := NewStamper(template, 63)
			if err != nil {
				t.Fatal(err)
			}
			c, err := NewChecker(template)
			if err != nil {
				t.Fatal(err)
			}
			data := s.Make(123456, 1700000000123456789)
			if len(data) != len(template) {
				t.Errorf("%d bytes, the template has %d", len(data), len(template))
			}
			message := AppendEnvelope(nil, "news", data)
			h, err := c.Check(message)
			if err != nil || h.Publisher != 63 || h.Sequence != 123456 {
				t.Errorf("got %+v, %v", h, err)
			}
			if len(template) > 16 && h.Time != 1700000000123456789 {
				t.Errorf("time is %d", h.Time)
			}
			for i := range message {
				broken := append([]byte(nil), message...)
				broken[i] ^= 0x80
				if _, err := c.Check(broken); err == nil && i > strings.Index(string(message), `data":"`)+6 && i < len(message)-1 {
					t.Errorf("byte %d may be anything", i)
				}
			}
		})
	}
}

func TestSizes(t *testing.T) {
	for _, size := range []int{16, 28, 128, 1024, 16 << 10} {
		if got := len(Plain(size)); got != size {
			t.Errorf("Plain(%d) has %d bytes", size, got)
		}
	}
	if got := JSON(1024); len(got) != 1024 || !json.Valid([]byte(got)) {
		t.Errorf("%d bytes, valid JSON: %v", len(got), json.Valid([]byte(got)))
	}
}

func TestEnvelopeIsJSON(t *testing.T) {
	var m struct{ Topic, Data string }
	if err := json.Unmarshal(AppendEnvelope(nil, "news", JSON(512)), &m); err != nil || m.Topic != "news" || m.Data != JSON(512) {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestBadTemplates(t *testing.T) {
	for _, template := range []string{"", "abc", "~12", "~abcdefghijklmnop"} {
		if _, err := NewStamper(template, 0); err == nil {
			t.Errorf("stamper of %q", template)
		}
		if _, err := NewChecker(template); err == nil {
			t.Errorf("checker of %q", template)
		}
	}
}
