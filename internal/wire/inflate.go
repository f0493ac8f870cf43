package wire

import (
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrTooBig says that a message inflates to more than it may.
var ErrTooBig = errors.New("message is over the limit")

// finalBlock follows the empty block that RFC 7692 section 7.2.2 puts back, so that inflating ends with io.EOF.
const finalBlock = "\x01\x00\x00\xff\xff"

// maxFinals is how many final blocks there may be before the end. Each costs as much as it takes to inflate a small message.
const maxFinals = 100

var errFinals = fmt.Errorf("more than %d final blocks", maxFinals)

// Watch decides whether inflating a message goes on.
type Watch interface {
	// Look is called behind every WatchBytes of input with the bytes that were read and, less the 32 KiB that flate keeps
	// to itself, those that were made of them. An error ends inflating.
	Look(in, out int) error
}

// WatchBytes is how many bytes of input are inflated between two calls of Watch.Look. The tables of a block of 38 bytes may
// take 40 us to make, so that is some 0.5 ms at most.
const WatchBytes = 512

// inflater is a flate reader, which is dear (tens of kilobytes), and what it reads from.
type inflater struct {
	flate  io.Reader
	source source
}

// inflaters holds inflaters. One is only in the pool while nobody uses it.
var inflaters = sync.Pool{New: func() any { return &inflater{flate: flate.NewReader(nil)} }}

// Inflate appends what a compressed message (RFC 7692, without context takeover) inflates to, at most most bytes. It returns
// ErrTooBig when that is not enough, flate's error when the data is corrupt, and that of watch, which may be nil.
func Inflate(dst, compressed []byte, most int, watch Watch) ([]byte, error) {
	r := inflaters.Get().(*inflater)
	defer inflaters.Put(r)
	src := &r.source
	*src = source{data: append(compressed, emptyBlock+finalBlock...), watch: watch}
	src.next = min(len(src.data), WatchBytes)
	defer func() { *src = source{} }()
	start := len(dst)
	for finals := 0; src.at < len(src.data); finals++ { // section 7.2.3.4: a final block may stand before the end
		if finals > maxFinals {
			return dst, errFinals
		}
		_ = r.flate.(flate.Resetter).Reset(src, nil) // which does not fail
		for {
			if len(dst) == cap(dst) {
				dst = append(dst, 0)[:len(dst)]
			}
			n, err := r.flate.Read(dst[len(dst):cap(dst)])
			dst = dst[:len(dst)+n]
			if src.out = len(dst) - start; src.out > most {
				return dst, ErrTooBig
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				return dst, err
			}
		}
	}
	return dst, nil
}

// source is what a flate reader reads from, and where it is looked after: flate has no hook per block.
type source struct {
	data  []byte
	at    int // bytes that were read
	next  int // where to look again
	out   int // bytes that flate has handed out
	watch Watch
}

// more reports whether there is something to read up to next, which it moves.
func (s *source) more() error {
	if s.at == len(s.data) {
		return io.EOF
	}
	if s.watch != nil {
		if err := s.watch.Look(s.at, s.out); err != nil {
			return err
		}
	}
	s.next = min(len(s.data), s.at+WatchBytes)
	return nil
}

// ReadByte is for all but stored blocks.
func (s *source) ReadByte() (byte, error) {
	if s.at == s.next {
		if err := s.more(); err != nil {
			return 0, err
		}
	}
	b := s.data[s.at]
	s.at++
	return b, nil
}

// Read is for stored blocks.
func (s *source) Read(p []byte) (int, error) {
	if s.at == s.next {
		if err := s.more(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.data[s.at:s.next])
	s.at += n
	return n, nil
}
