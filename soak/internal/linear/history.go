package linear

import (
	"time"

	"github.com/anishathalye/porcupine"
)

// Operation is one call, as its caller saw it. Times are in any unit.
type Operation struct {
	Kind    Kind
	Topic   string
	Caller  int    // a client, or a goroutine that publishes: from 0 to 7
	Message string // of a publish; no other has the same
	Call    int64
	Return  int64 // 0: not known to have returned
}

// Receipt is a message as a client received it.
type Receipt struct {
	Client         int
	Topic, Message string
	At             int64
}

// History is what happened, until all was quiet. The operations of each caller are in the order of their calls, and the
// receipts of each client in theirs.
type History struct {
	Operations []Operation
	Receipts   []Receipt
}

// Check decides whether the history is linearizable, and returns what Visualize needs beside. After too long the decision is
// porcupine.Unknown.
func (h *History) Check(atMost time.Duration) (porcupine.CheckResult, porcupine.LinearizationInfo) {
	return porcupine.CheckOperationsVerbose(model, h.operations(), atMost)
}

// Visualize writes a page that shows the history and how far it can be explained.
func Visualize(info porcupine.LinearizationInfo, file string) error {
	return porcupine.VisualizePath(model, info, file)
}

// publication is where and when a message was received.
type publication struct {
	places places
	first  int64 // when it was received first
}

type messageOf struct{ topic, message string }

type callerOf struct {
	topic  string
	caller int
}

// operations are those of the model.
func (h *History) operations() []porcupine.Operation {
	published, received := h.receipts()
	quiet := h.end() + 1
	called := make(map[callerOf]int)
	var ops []porcupine.Operation
	for _, o := range h.Operations {
		who := callerOf{o.Topic, o.Caller}
		op := porcupine.Operation{
			ClientId: o.Caller,
			Input:    input{o.Kind, o.Topic, o.Caller, called[who], o.Message},
			Call:     o.Call,
			Return:   o.Return,
		}
		called[who]++
		if o.Return == 0 {
			op.Return = quiet
		}
		if o.Kind == Publish {
			p := published[messageOf{o.Topic, o.Message}]
			op.Output = places{}
			if p != nil {
				op.Output, op.Return = p.places, max(o.Call, min(op.Return, p.first))
			}
			if p != nil && p.first < o.Call {
				op.Output = places{{-1}} // received before it was published: impossible
			}
		}
		ops = append(ops, op)
	}
	for who, n := range received {
		ops = append(ops, porcupine.Operation{
			ClientId: who.caller,
			Input:    input{kind: read, topic: who.topic, caller: who.caller},
			Output:   n,
			Call:     quiet + 1,
			Return:   quiet + 1,
		})
	}
	return ops
}

// receipts returns where each message was received, and how many each client received.
func (h *History) receipts() (map[messageOf]*publication, map[callerOf]int) {
	published, received := make(map[messageOf]*publication), make(map[callerOf]int)
	for _, r := range h.Receipts {
		what, who := messageOf{r.Topic, r.Message}, callerOf{r.Topic, r.Client}
		p := published[what]
		if p == nil {
			p = &publication{first: r.At}
			published[what] = p
		}
		p.first = min(p.first, r.At)
		p.places[r.Client] = append(p.places[r.Client], received[who])
		received[who]++
	}
	return published, received
}

// end is the time of the last thing that happened.
func (h *History) end() (last int64) {
	for _, o := range h.Operations {
		last = max(last, o.Call, o.Return)
	}
	for _, r := range h.Receipts {
		last = max(last, r.At)
	}
	return last
}
