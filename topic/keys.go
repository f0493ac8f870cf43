package topic

import (
	"strings"
	"time"
)

// The keys of publications. All functions in this file run in the topic's actor.

// keyWindow is how long a key is known at least, however little the topic keeps.
const keyWindow = 2 * time.Minute

const (
	// maxKeyMemory is the most memory in bytes that the keys of a topic take. Past it, the oldest are forgotten.
	maxKeyMemory = 1 << 20
	// keyOverhead is what a key takes beside its characters, in bytes: in the map, half of which may be empty, and in the list.
	keyOverhead = 224
)

// keys are the keys of what was published, so that whoever does not know whether a publication was accepted can repeat it. A key is
// known for keyWindow, and as long as its message is kept. Owned by the topic.
type keys struct {
	seen   map[ownedKey]uint64 // the numbers of their messages
	order  []usedKey           // oldest first
	memory int                 // in bytes
}

// ownedKey is a key of one owner: with the same key, others publish something else.
type ownedKey struct{ owner, key string }

type usedKey struct {
	ownedKey
	seq uint64 // of its message
	at  int64  // when it was published, Unix nanoseconds
}

func (k ownedKey) memory() int { return keyOverhead + len(k.owner) + len(k.key) }

// noteKey remembers the key of the message that comes next, if it has one. Of a repetition it returns the number of the message that was
// published with that key.
func (t *Topic) noteKey(of ownedKey) (seq uint64, known bool) {
	if of.key == "" {
		return 0, false
	}
	now := time.Now().UnixNano()
	t.keys.expire(t.history.edge(t.seq), now)
	if seq, known = t.keys.find(of); !known {
		of.key = strings.Clone(of.key) // it may be a piece of something large
		t.keys.add(of, t.seq+1, now)
	}
	t.account()
	return seq, known
}

// find returns the number of the message that was published with a key.
func (k *keys) find(of ownedKey) (seq uint64, known bool) {
	seq, known = k.seen[of]
	return seq, known
}

// add remembers the key of a message.
func (k *keys) add(of ownedKey, seq uint64, now int64) {
	if k.seen == nil {
		k.seen = make(map[ownedKey]uint64)
	}
	k.seen[of] = seq
	k.order = append(k.order, usedKey{of, seq, now})
	k.memory += of.memory()
}

// expire forgets the keys that are older than keyWindow and of messages up to the number edge, which are no longer kept; and the oldest
// ones past maxKeyMemory.
func (k *keys) expire(edge uint64, now int64) {
	k.forget(func(oldest usedKey) bool {
		return now-oldest.at > int64(keyWindow) && oldest.seq <= edge || k.memory > maxKeyMemory
	})
}

// shrink forgets the oldest keys, until no more than so many bytes are left.
func (k *keys) shrink(bytes int) { k.forget(func(usedKey) bool { return k.memory > bytes }) }

// forget forgets keys, the oldest first, as long as that is due.
func (k *keys) forget(isDue func(oldest usedKey) bool) {
	n := 0
	for _, old := range k.order {
		if !isDue(old) {
			break
		}
		delete(k.seen, old.ownedKey)
		k.memory -= old.memory()
		k.order[n] = usedKey{}
		n++
	}
	k.order = k.order[n:]
	if len(k.order) == 0 {
		k.clear() // a map does not become smaller by itself
	}
}

// clear forgets all keys.
func (k *keys) clear() { *k = keys{} }
