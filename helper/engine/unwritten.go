package engine

import "time"

// unwritten is a state in which what one decision is about to write counts already, for the
// rest of the same decision.
type unwritten struct {
	State
	writes [][]Write
}

// Count implements State.
func (u *unwritten) Count(policy, key string, window time.Duration, from, to int64) (int64, error) {
	n, err := u.State.Count(policy, key, window, from, to)
	for _, writes := range u.writes {
		for _, w := range writes {
			if a, is := w.(AddCount); is && a.Policy == policy && a.Key == key && a.Window == window && from <= a.Slot && a.Slot <= to {
				n += a.N
			}
		}
	}
	return n, err
}

// Distinct implements State.
func (u *unwritten) Distinct(policy, key, member string, since, until, most int64) (n, at int64, err error) {
	if n, at, err = u.State.Distinct(policy, key, member, since, until, most); err != nil {
		return 0, 0, err
	}
	fresh := map[string]bool{}
	for _, writes := range u.writes {
		for _, w := range writes {
			p, is := w.(PutDistinct)
			if !is || p.Policy != policy || p.Key != key || p.At < since || until < p.At {
				continue
			}
			if p.Member == member {
				at = max(at, p.At)
			}
			_, before, err := u.State.Distinct(policy, key, p.Member, since, until, 1)
			if err != nil {
				return 0, 0, err
			}
			fresh[p.Member] = before == 0
		}
	}
	for _, is := range fresh {
		if is {
			n++
		}
	}
	return min(n, most), at, nil
}

// Standing implements State.
func (u *unwritten) Standing(policy, key string) (Standing, bool, error) {
	s, ok, err := u.State.Standing(policy, key)
	for _, writes := range u.writes {
		for _, w := range writes {
			if o, is := w.(OpenCase); is && o.Policy == policy && o.Key == key {
				s, ok = opened(s, o), true
			}
		}
	}
	return s, ok, err
}
