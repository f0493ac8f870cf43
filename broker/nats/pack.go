package natsbroker

import (
	"encoding/binary"
	"fmt"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// One message of the stream may hold several publications, a pack:
//
//	0xFF  version  flagPack  count  (length payload)...
//
// Each payload is that of a publication. The offset of a publication is the sequence of its message, times 4096, plus its index.
const (
	offsetBits = 12
	// between is an index that no publication has: such an offset is a position behind all up to that sequence.
	between = 1<<offsetBits - 1
	// maxPack is how many publications one message holds, maxPackBytes how much. A single one may be larger.
	maxPack      = 1024
	maxPackBytes = 128 << 10
)

func offsetOf(seq uint64, index int) uint64 { return seq<<offsetBits | uint64(index) } // #nosec G115 -- not negative

// behind is the position behind all of a sequence. 0 is the beginning.
func behind(seq uint64) uint64 {
	if seq == 0 {
		return 0
	}
	return offsetOf(seq, between)
}

// before is the position before a sequence.
func before(seq uint64) uint64 { return behind(seq - 1) }

// packHead is how many bytes a pack has more than the payloads of its publications, at most.
func packHead(count int) int { return 3 + binary.MaxVarintLen16 + count*binary.MaxVarintLen32 }

// encodePack joins payloads. One alone stays as it is.
func encodePack(payloads [][]byte) []byte {
	if len(payloads) == 1 {
		return payloads[0]
	}
	size := packHead(len(payloads))
	for _, p := range payloads {
		size += len(p)
	}
	b := append(make([]byte, 0, size), headByte, version1, flagPack)
	b = binary.AppendUvarint(b, uint64(len(payloads)))
	for _, p := range payloads {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return b
}

// decodePack returns the publications of a message of the stream.
func decodePack(b []byte) ([]broker.Publication, error) {
	if len(b) < 3 || b[0] != headByte || b[1] != version1 || b[2] != flagPack {
		p, err := decode(b)
		return []broker.Publication{p}, err
	}
	count, size := binary.Uvarint(b[3:])
	if size <= 0 || count == 0 || count > between {
		return nil, fmt.Errorf("%w: its pack is damaged", errPayload)
	}
	b = b[3+size:]
	if count > uint64(len(b)) {
		return nil, fmt.Errorf("%w: its pack is cut off", errPayload)
	}
	list := make([]broker.Publication, 0, count)
	for range count {
		one, rest, ok := cutString(b)
		if !ok {
			return nil, fmt.Errorf("%w: its pack is cut off", errPayload)
		}
		p, err := decode([]byte(one))
		switch {
		case err != nil:
			return nil, err
		case p.Reset: // which is alone, because what is before it is not kept any more
			return nil, fmt.Errorf("%w: its pack holds a reset", errPayload)
		}
		list, b = append(list, p), rest
	}
	return list, nil
}
