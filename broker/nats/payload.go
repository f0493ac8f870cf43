package natsbroker

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// A payload is the data of a publication, so that every client of NATS can publish to a topic. A publication that is more than its data
// has a head before it:
//
//	0xFF  version  flags  length of key  key  length of from  from  data
//
// 0xFF is in no UTF-8 text. Data that begins with it has a head, too. Lengths are unsigned varints.
const (
	headByte = 0xFF
	version1 = 1
	// Flags. Who does not know one cannot read the message.
	flagJSON  = 1
	flagReset = 2
	flagPack  = 4 // and nothing else, see pack.go
)

var errPayload = errors.New("natsbroker: this message cannot be read")

func encode(p broker.Publication) []byte {
	if p.Key == "" && p.From == "" && !p.JSON && !p.Reset && (p.Data == "" || p.Data[0] != headByte) {
		return []byte(p.Data)
	}
	b := make([]byte, 0, 3+2*binary.MaxVarintLen32+len(p.Key)+len(p.From)+len(p.Data))
	var flags byte
	if p.JSON {
		flags |= flagJSON
	}
	if p.Reset {
		flags |= flagReset
	}
	b = append(b, headByte, version1, flags)
	b = appendString(b, p.Key)
	b = appendString(b, p.From)
	return append(b, p.Data...)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func decode(b []byte) (broker.Publication, error) {
	var p broker.Publication
	if len(b) == 0 || b[0] != headByte {
		p.Data = string(b)
		return p, nil
	}
	if len(b) < 3 {
		return p, fmt.Errorf("%w: its head is cut off", errPayload)
	}
	if b[1] != version1 {
		return p, fmt.Errorf("%w: it has version %d of the format, from a newer release", errPayload, b[1])
	}
	if b[2]&^(flagJSON|flagReset) != 0 {
		return p, fmt.Errorf("%w: it has unknown flags %#x", errPayload, b[2])
	}
	p.JSON, p.Reset = b[2]&flagJSON != 0, b[2]&flagReset != 0
	b = b[3:]
	var ok [2]bool
	p.Key, b, ok[0] = cutString(b)
	p.From, b, ok[1] = cutString(b)
	if !ok[0] || !ok[1] {
		return broker.Publication{}, fmt.Errorf("%w: its head is cut off", errPayload)
	}
	p.Data = string(b)
	return p, nil
}

func cutString(b []byte) (s string, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return "", nil, false
	}
	b = b[size:]
	if n > uint64(len(b)) {
		return "", nil, false
	}
	return string(b[:n]), b[n:], true
}
