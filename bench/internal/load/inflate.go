package load

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
)

// inflate undoes permessage-deflate without context takeover, RFC 7692 section 7.2.2. The result is valid until the
// next call.
func (f *Fleet) inflate(data []byte) ([]byte, error) {
	r := io.MultiReader(bytes.NewReader(data), bytes.NewReader(deflateTail))
	if f.inflater == nil {
		f.inflater = flate.NewReader(r)
	} else if err := f.inflater.(flate.Resetter).Reset(r, nil); err != nil {
		return nil, err
	}
	f.inflated.Reset()
	if _, err := f.inflated.ReadFrom(f.inflater); err != nil {
		return nil, fmt.Errorf("inflating: %w", err)
	}
	return f.inflated.Bytes(), nil
}

// deflateTail is what the sender took away, and a last block that is empty.
var deflateTail = []byte{0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff}
