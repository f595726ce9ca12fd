package follow

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

const (
	headSize = 1024 // first bytes of a file that tell it from others
	tailSize = 256  // bytes before an offset that tell that it is still the same place
)

// Position is where to go on. It is plain data: whoever reads stores it (as JSON, for
// one) in the same transaction as what the lines caused. The zero Position is the
// beginning of everything.
type Position struct {
	// After is when the file was written to that was read last. Where that file is
	// gone, what was written before is taken as read.
	After time.Time `json:"after,omitzero"`
	// Marks are places in files, the oldest file first. The last is the file that was
	// being read; before it stand those that somebody might still have been writing to.
	Marks []Mark `json:"marks,omitempty"`
}

// Mark is the place in one file up to which its lines were delivered: the beginning of
// a line, never of a file.
type Mark struct {
	Name   string `json:"name"` // what the file was called, for people
	Dev    uint64 `json:"dev"`
	Ino    uint64 `json:"ino"`
	Offset int64  `json:"offset"` // in uncompressed bytes
	Head   Print  `json:"head"`   // of the file's first bytes, at most those before Offset
	Tail   Print  `json:"tail"`   // of the last bytes before Offset

	head []byte // all of the first bytes that were seen, while this process remembers them
}

// of says whether a file with that head may be the mark's, or a copy. A copy of a small log
// may end within the bytes of the fingerprint; so the bytes themselves serve better.
func (m Mark) of(f file) bool {
	return m.Head.begins(f.head) || sameLog(file{head: m.head}, f)
}

// Print is the fingerprint of some bytes.
type Print struct {
	Bytes int    `json:"bytes"`
	Sum   string `json:"sum"`
}

func printOf(b []byte) Print {
	sum := sha256.Sum256(b)
	return Print{len(b), hex.EncodeToString(sum[:16])}
}

// begins says whether these are the bytes, or the first of them.
func (p Print) begins(b []byte) bool {
	return p.Bytes <= len(b) && printOf(b[:p.Bytes]) == p
}

// lastBytes is the end of a and b together, in place of a.
func lastBytes(a, b []byte) []byte {
	if len(b) >= tailSize {
		return append(a[:0], b[len(b)-tailSize:]...)
	}
	if drop := len(a) + len(b) - tailSize; drop > 0 {
		a = a[:copy(a, a[drop:])]
	}
	return append(a, b...)
}
