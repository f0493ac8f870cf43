package client

import "testing"

func TestMessagesAreCountedInParts(t *testing.T) {
	for _, together := range []int{1, writtenTogether} {
		var count Tally
		parts := make(map[*tally]int)
		clients := tallyParts * together
		for i := range clients {
			part := count.part(uint32(together))
			if parts[part]++; i < together && len(parts) > 1 {
				t.Fatalf("clients in a row, %d together, count in different parts", together)
			}
			part.messages.Add(1)
			part.bytes.Add(10)
		}
		if len(parts) != tallyParts || count.Messages() != uint64(clients) || count.Bytes() != 10*uint64(clients) {
			t.Errorf("%d messages and %d bytes in %d parts, want %d, %d and %d", count.Messages(), count.Bytes(), len(parts), clients, 10*clients, tallyParts)
		}
	}
}
