package follow

import (
	"errors"
	"time"
)

// moreForUnreadable is how many times as long as for others one waits for a file that is
// there and cannot be read: somebody may see to it.
const moreForUnreadable = 12

// doubts are about what may be true for a moment only. It is believed when it has been
// seen in every round for a while.
type doubts map[string]doubt

type doubt struct {
	since time.Time
	fresh bool // it was seen in this round
}

// lasts notes that something was seen, and says whether it has been for so long.
func (d doubts) lasts(what string, patience time.Duration) bool {
	since := d[what].since
	if since.IsZero() {
		since = time.Now()
	}
	d[what] = doubt{since, true}
	return time.Since(since) >= patience
}

// forget drops what was not seen in this round.
func (d doubts) forget() {
	for what, was := range d {
		if !was.fresh {
			delete(d, what)
			continue
		}
		was.fresh = false
		d[what] = was
	}
}

// sure says whether it has looked for long enough as if there were these gaps.
func (r *Reader) sure(gaps ...Gap) bool {
	all := true
	for _, g := range gaps {
		patience := r.opt.Patience
		if g.Why == Unreadable && !errors.Is(g.Err, ErrPacked) {
			patience *= moreForUnreadable
		}
		all = r.doubts.lasts(g.String(), patience) && all
	}
	return all
}
