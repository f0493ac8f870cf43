package wire

import "strconv"

// What tank.v2 sends to one client: the first frame, and the answers to commands. A command without an id gets no answer, so every
// function with the id 0 appends nothing.

// Hello is what the first frame says.
type Hello struct {
	Client string // its id
	User   string
	Ping   uint64 // seconds between two heartbeats
}

// AppendHello appends {"hello":{"v":2,"client":...,"user":...,"ping":...}}.
func AppendHello(dst []byte, h Hello) []byte {
	start := len(dst)
	dst = append(beginText(dst), `{"hello":{"v":2,"client":`...)
	dst = appendString(dst, h.Client)
	dst = append(dst, `,"user":`...)
	dst = appendString(dst, h.User)
	dst = appendMember(dst, `,"ping":`, h.Ping)
	return endText(append(dst, "}}"...), start)
}

// beginOK begins an answer, up to where its value goes.
func beginOK(dst []byte, id uint64) []byte {
	dst = appendMember(beginText(dst), `{"id":`, id)
	return append(dst, `,"ok":`...)
}

// endOK completes the answer that begins at start.
func endOK(dst []byte, start int) []byte { return endText(append(dst, '}'), start) }

// AppendOK appends the answer to unsub and auth: {"id":ID,"ok":{}}.
func AppendOK(dst []byte, id uint64) []byte { return AppendAnswer(dst, id, "{}") }

// AppendAnswer appends the answer to a msg: {"id":ID,"ok":JSON}. The answer must be valid JSON.
func AppendAnswer(dst []byte, id uint64, answer string) []byte {
	if id == 0 {
		return dst
	}
	start := len(dst)
	return endOK(append(beginOK(dst, id), answer...), start)
}

// AppendPublished appends the answer to a pub: {"id":ID,"ok":{"seq":SEQ,"duplicate":true}}. The number 0 is not told: nobody was
// there, and nothing was kept. A publication that is no duplicate does not say so.
func AppendPublished(dst []byte, id, seq uint64, duplicate bool) []byte {
	if id == 0 {
		return dst
	}
	start := len(dst)
	dst = append(beginOK(dst, id), '{')
	if seq != 0 {
		dst = appendMember(dst, `"seq":`, seq)
	}
	if seq != 0 && duplicate {
		dst = append(dst, ',')
	}
	if duplicate {
		dst = append(dst, `"duplicate":true`...)
	}
	return endOK(append(dst, '}'), start)
}

// Replay says what a subscription asked to be replayed.
type Replay uint8

// What a subscription can ask for. One that asks for both gets BehindSince.
const (
	NoReplay Replay = iota
	LastOnes
	BehindSince
)

// Why a subscription was not recovered.
const (
	MissedEpoch   = "epoch"   // since has another one
	MissedAhead   = "ahead"   // since is ahead of the topic
	MissedOff     = "off"     // the topic has no history
	MissedEvicted = "evicted" // by number, size or age
	MissedUnknown = "unknown" // a broker could not prove that nothing was missed
)

// Subscribed is the answer to a sub.
type Subscribed struct {
	At     Position // where the topic stands
	Replay Replay
	From   uint64 // the number before the first that is replayed; not told with NoReplay
	Missed string // of BehindSince: why it was not recovered; empty: it was
	Here   *Here  // who is in the topic; nil: that was not asked for
}

// AppendSubscribed appends {"id":ID,"ok":{"epoch":...,"seq":...,"from":...,"recovered":...,"why":...,"here":...}}, of which the last
// four are there when there is something to say. The epoch must be valid, see Position.Check.
func AppendSubscribed(dst []byte, id uint64, s Subscribed) []byte {
	if id == 0 {
		return dst
	}
	start := len(dst)
	dst = append(beginOK(dst, id), '{')
	dst = appendPosition(dst, s.At)
	if s.Replay != NoReplay {
		dst = appendMember(dst, `,"from":`, s.From)
	}
	if s.Replay == BehindSince {
		dst = append(dst, `,"recovered":`...)
		dst = strconv.AppendBool(dst, s.Missed == "")
		if s.Missed != "" {
			dst = append(dst, `,"why":`...)
			dst = appendString(dst, s.Missed)
		}
	}
	if s.Here != nil {
		dst = appendHere(append(dst, `,"here":`...), s.Here)
	}
	return endOK(append(dst, '}'), start)
}

// appendPosition appends the members epoch and seq.
func appendPosition(dst []byte, p Position) []byte {
	dst = append(dst, `"epoch":`...)
	dst = appendString(dst, p.Epoch)
	return appendMember(dst, `,"seq":`, p.Seq)
}
