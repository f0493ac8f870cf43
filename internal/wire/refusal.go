package wire

// Codes of an error frame, see docs/protocol.md.
const (
	RefusedTopic     = "invalid_topic"
	RefusedMessage   = "bad_message" // what it was to be is not known, so there is no topic
	RefusedForbidden = "forbidden"
	RefusedBusy      = "busy"
	RefusedLimit     = "limit"
	RefusedClosing   = "shutting_down"
)

// NewRefusal makes a batch of the error frame that refuses a request, see AppendError.
func NewRefusal(code, message, topic string) *Batch {
	return NewBatch(AppendError(nil, code, message, topic), 1)
}
