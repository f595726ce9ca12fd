package watch

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A line about a rejection has no message id. What makes it unique is the line itself, time included,
// and which one it is among equal lines of that second.

// disorder is how far lines of several Exim processes are out of order, in seconds: for so long equal lines are
// remembered.
const disorder = 2

// mostNumbers bounds how many lines are remembered: a place has to fit into 64 KiB. In a flood beyond that
// some equal ones count once.
const mostNumbers = 2000

// sum is a hash, to be used as a name.
type sum string

// sumOf hashes parts, none of which holds a zero byte and means another thing with it.
func sumOf(parts ...[]byte) sum {
	var buf [512]byte
	text := buf[:0]
	for _, p := range parts {
		text = append(append(text, p...), 0)
	}
	all := sha256.Sum256(text)
	return sum(base64.RawURLEncoding.EncodeToString(all[:16]))
}

// BounceItem is what makes a failed delivery unique within its message: the address that failed, and the one
// of the envelope where that is another. Case counts for nothing: Exim logs a local part as it was
// written, and tells its events of it in lower case.
func BounceItem(address, original string) string {
	address, original = strings.ToLower(address), strings.ToLower(original)
	if original == "" || original == address {
		return string(sumOf([]byte(address)))
	}
	return string(sumOf([]byte(address), []byte(original)))
}

// numbered is a line that was seen, and how often.
type numbered struct {
	Sum sum   `json:"s"`
	At  int64 `json:"-"`
	N   int   `json:"n,omitempty"` // left out: once
}

// second are the lines of a second, in a place.
type second struct {
	At    int64      `json:"at"`
	Lines []numbered `json:"lines"`
}

// numbers tells equal lines apart.
type numbers struct {
	newest int64
	seen   map[sum]numbered
}

// item is a name for a line that happened at some time. The same lines get the same names,
// wherever one begins to read, but within a second.
func (n *numbers) item(at time.Time, line []byte) string {
	sec := at.Unix()
	s := sumOf(line, strconv.AppendInt(nil, sec, 10))
	if n.seen == nil || sec < n.newest-disorder { // somebody begins, or begins again
		n.newest, n.seen = sec, map[sum]numbered{}
	}
	if sec > n.newest {
		n.newest = sec
		n.prune()
	}
	known := n.seen[s]
	known.Sum, known.At = s, sec
	known.N++
	if len(n.seen) < mostNumbers || known.N > 1 {
		n.seen[s] = known
	}
	if known.N == 1 {
		return string(s)
	}
	return string(s) + "." + strconv.Itoa(known.N)
}

func (n *numbers) prune() {
	for s, known := range n.seen {
		if known.At < n.newest-disorder {
			delete(n.seen, s)
		}
	}
}

// list is what is to be remembered, for a place.
func (n *numbers) list() []second {
	var all []numbered
	for _, known := range n.seen {
		all = append(all, known)
	}
	slices.SortFunc(all, func(a, b numbered) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Sum, b.Sum)) })
	var seconds []second
	for _, known := range all {
		if i := len(seconds) - 1; i < 0 || seconds[i].At != known.At {
			seconds = append(seconds, second{At: known.At})
		}
		if known.N == 1 {
			known.N = 0
		}
		last := &seconds[len(seconds)-1]
		last.Lines = append(last.Lines, known)
	}
	return seconds
}

// recall takes up a list.
func (n *numbers) recall(seconds []second) {
	n.newest, n.seen = 0, nil
	for _, s := range seconds {
		if n.seen == nil {
			n.seen = map[sum]numbered{}
		}
		for _, known := range s.Lines {
			known.At, known.N = s.At, max(known.N, 1)
			n.seen[known.Sum] = known
		}
		n.newest = max(n.newest, s.At)
	}
}
