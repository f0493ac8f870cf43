package wire

import (
	"bytes"
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

// inflaters holds flate readers, which are dear (tens of kilobytes). A reader is only in the pool while nobody uses it.
var inflaters = sync.Pool{New: func() any { return flate.NewReader(nil) }}

// Inflate appends what a compressed message (RFC 7692, without context takeover) inflates to, at most most bytes.
// It returns ErrTooBig when that is not enough, and flate's error when the data is corrupt.
func Inflate(dst, compressed []byte, most int) ([]byte, error) {
	src := bytes.NewReader(append(compressed, emptyBlock+finalBlock...))
	r := inflaters.Get().(io.Reader)
	defer inflaters.Put(r)
	limit := len(dst) + most
	for finals := 0; src.Len() > 0; finals++ { // section 7.2.3.4: a final block may stand before the end
		if finals > maxFinals {
			return dst, errFinals
		}
		_ = r.(flate.Resetter).Reset(src, nil) // which does not fail
		for {
			if len(dst) == cap(dst) {
				dst = append(dst, 0)[:len(dst)]
			}
			n, err := r.Read(dst[len(dst):cap(dst)])
			dst = dst[:len(dst)+n]
			if len(dst) > limit {
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
