package wire

// Here is who is in a topic, or who has come and gone. Without names, only Users is told.
type Here struct {
	Users uint64    // how many are there
	Names bool      // who they are is told, too
	In    []Present // who is there, or has come; with Names
	Out   []string  // the ids of users who have gone; with Names
}

// MaxInfo is how many bytes the info of a user may have.
const MaxInfo = 1 << 10

// Present is a user who is in a topic.
type Present struct {
	User string // id
	Info string // valid JSON; empty: {}
}

// AppendHere appends {"topic":"T","here":{"n":N,"in":{"USER":INFO},"out":["USER"]}}: who has come to a topic, and who has gone. Without
// names there is neither in nor out; with names there is one at least.
func AppendHere(dst []byte, topic string, h *Here) []byte {
	start := len(dst)
	dst = append(beginNotice(dst, topic), `"here":`...)
	return endText(append(appendHere(dst, h), '}'), start)
}

func appendHere(dst []byte, h *Here) []byte {
	dst = appendMember(dst, `{"n":`, h.Users)
	if h.Names && (len(h.In) > 0 || len(h.Out) == 0) {
		dst = append(dst, `,"in":{`...)
		for i, p := range h.In {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendString(dst, p.User), ':')
			if p.Info == "" {
				dst = append(dst, "{}"...)
			} else {
				dst = append(dst, p.Info...)
			}
		}
		dst = append(dst, '}')
	}
	if h.Names && len(h.Out) > 0 {
		dst = append(dst, `,"out":[`...)
		for i, user := range h.Out {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, user)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}
