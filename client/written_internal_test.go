package client

import "testing"

func TestWhatIsWrittenIsCountedInParts(t *testing.T) {
	var out Out
	parts := make(map[*written]int)
	const clients = outParts * shareAPart
	for i := range clients {
		w := out.part()
		if parts[w]++; i < shareAPart && len(parts) > 1 {
			t.Fatal("clients in a row count in different parts")
		}
		w.messages.Add(1)
		w.bytes.Add(10)
	}
	if len(parts) != outParts || out.Messages() != clients || out.Bytes() != 10*clients {
		t.Errorf("%d messages and %d bytes in %d parts, want %d, %d and %d", out.Messages(), out.Bytes(), len(parts), clients, 10*clients, outParts)
	}
}
