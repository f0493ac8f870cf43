package natsbroker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
)

// The epoch is in the metadata of the stream. It is when the stream was made, as the first node has read it: servers up to 2.14.4 forget that when the stream
// is changed. It is another one once the stream stands below where it stood before, so that it gives numbers twice: a machine has lost power, or
// somebody has put an older copy of the files in their place. A node that notices writes it, with the sequence that it begins behind. So all nodes
// agree, also those that come later.
const (
	epochKey  = "tank-epoch"
	beginsKey = "tank-begins"
)

// anEpoch is what one may be.
var anEpoch = regexp.MustCompile(`^[A-Za-z0-9]{1,32}$`)

// epochOf is another one when a stream is made anew, or has given numbers twice.
func epochOf(info *jetstream.StreamInfo) string {
	if epoch := info.Config.Metadata[epochKey]; anEpoch.MatchString(epoch) {
		return epoch
	}
	return strconv.FormatInt(info.Created.UnixNano(), 36)
}

// beginsOf is the sequence that the epoch begins behind.
func beginsOf(info *jetstream.StreamInfo) uint64 {
	begins, _ := parseSeq(info.Config.Metadata[beginsKey])
	return begins
}

// sighting is what is known of a stream.
type sighting struct {
	high uint64 // highest sequence that it has had
	seq  uint64 // of the last message that came
	time int64  // when that was stored
}

// maxSightings is of how many epochs sightings are kept.
const maxSightings = 64

// saw remembers the stream as it was in an answer.
func (k *keeper) saw(info *jetstream.StreamInfo) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.epoch = epochOf(info)
	k.seen(k.epoch, sighting{high: info.State.LastSeq})
}

// sawMessage remembers a message.
func (k *keeper) sawMessage(epoch string, seq uint64, time int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	one := sighting{high: seq}
	if time != 0 { // it said when
		one.seq, one.time = seq, time
	}
	k.seen(epoch, one)
}

// seen is called with mu held.
func (k *keeper) seen(epoch string, s sighting) {
	old, is := k.sightings[epoch]
	if !is && len(k.sightings) >= maxSightings {
		clear(k.sightings)
	}
	s.high = max(s.high, old.high)
	if s.seq < old.seq {
		s.seq, s.time = old.seq, old.time
	}
	k.sightings[epoch] = s
}

// sighted returns what is known by now.
func (k *keeper) sighted() map[string]sighting {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.sightings)
}

// compared looks whether the stream has another message than the last one that came, with its number, and gives it another epoch then. It also
// shows that messages may be fetched.
func (k *keeper) compared(ctx context.Context, s *session) (renumbered bool, err error) {
	k.mu.Lock()
	epoch, last := k.epoch, k.sightings[k.epoch]
	k.mu.Unlock()
	another := false
	_, err = k.get(ctx, s, getRequest{Seq: max(last.seq, 1), Batch: 1}, func(_ string, m stored) {
		another = m.seq == last.seq && !m.unread && m.time.UnixNano() != last.time
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return false, fault(ctx, err)
	case another:
		return true, k.renumber(ctx, s, epoch, 0)
	}
	return false, nil // also if it is not there any more
}

// renumber gives the stream another epoch, unless it has one by now, or has the sequence that it should have; 0: any.
func (k *keeper) renumber(ctx context.Context, s *session, epoch string, should uint64) error {
	k.renumbering.Lock()
	defer k.renumbering.Unlock()
	for try := 0; ; try++ {
		is, config, err := k.configured(ctx, s)
		switch {
		case err != nil:
			return err
		case epochOf(is) != epoch || should > 0 && is.State.LastSeq >= should:
			return nil
		case should > 0 && is.Config.Replicas > 1 && try < lagTries: // a new leader may not know all yet
			if err := sleep(ctx, lag); err != nil {
				return fault(ctx, err)
			}
			continue
		}
		k.b.log.Error("natsbroker: the stream "+k.name+" gives numbers twice, and gets another epoch", "sequence", is.State.LastSeq, "before", should)
		return k.write(ctx, s, config, is.Config.Metadata, epochAfter(epoch, s.conn.ConnectedServerId()), is.State.LastSeq)
	}
}

// epochAfter is the same for all nodes that notice at the same time, at one server. The id of that is another one after a restart.
func epochAfter(epoch, server string) string {
	h := sha256.Sum256([]byte(epoch + " " + server))
	return hex.EncodeToString(h[:8])
}

// adopt writes the epoch of a stream that has none in its metadata.
func (k *keeper) adopt(ctx context.Context, s *session) error {
	is, config, err := k.configured(ctx, s)
	if err != nil || is.Config.Metadata[epochKey] == epochOf(is) {
		return err
	}
	return k.write(ctx, s, config, is.Config.Metadata, epochOf(is), beginsOf(is))
}

// configured returns the stream with all of its configuration, also what this client of NATS does not know.
func (k *keeper) configured(ctx context.Context, s *session) (*jetstream.StreamInfo, map[string]json.RawMessage, error) {
	var is jetstream.StreamInfo
	var raw struct {
		Config map[string]json.RawMessage `json:"config"`
	}
	err := k.call(ctx, s, "STREAM.INFO.", nil, &is, &raw)
	return &is, raw.Config, err
}

// write changes the metadata, and nothing else.
func (k *keeper) write(ctx context.Context, s *session, config map[string]json.RawMessage, old map[string]string, epoch string, begins uint64) error {
	metadata := map[string]string{epochKey: epoch, beginsKey: strconv.FormatUint(begins, 10)}
	for key, value := range old {
		if metadata[key] == "" {
			metadata[key] = value
		}
	}
	var err error
	if config["metadata"], err = json.Marshal(metadata); err != nil {
		return err
	}
	body, err := json.Marshal(config)
	if err != nil {
		return err
	}
	return k.call(ctx, s, "STREAM.UPDATE.", body)
}

// call asks the API about the stream.
func (k *keeper) call(ctx context.Context, s *session, what string, body []byte, into ...any) error {
	m, err := s.conn.RequestWithContext(ctx, k.api+what+k.name, body)
	if err != nil {
		return fault(ctx, err)
	}
	var refused struct {
		Error *jetstream.APIError `json:"error"`
	}
	for _, v := range append(into, &refused) {
		if err := json.Unmarshal(m.Data, v); err != nil {
			return fmt.Errorf("%w: %w", errAnswer, err)
		}
	}
	if refused.Error != nil {
		return fault(ctx, refused.Error)
	}
	return nil
}
