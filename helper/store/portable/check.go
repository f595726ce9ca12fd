package portable

import (
	"fmt"
	"time"

	"exipol/generator/ddl"
	"exipol/helper/engine"
	"exipol/helper/store"
)

// CheckWrite refuses (store.ErrDecision) what the columns of some dialect could not hold, before
// anything is written.
func CheckWrite(w engine.Write) error {
	var policy, key, member string
	switch w := w.(type) {
	case engine.PutSeen:
		policy, key = w.Policy, w.Key
		if len(w.Row.Why) > TextLength || len(w.Row.Who) > TextLength {
			return fmt.Errorf("%w: the reason of a key of policy %q, or whose it is, is longer than %d bytes", store.ErrDecision, policy, TextLength)
		}
	case engine.AddCount:
		policy, key = w.Policy, w.Key
		if w.N < 0 || w.Window < time.Second {
			return fmt.Errorf("%w: a counter of policy %q: %d more in a window of %s", store.ErrDecision, policy, w.N, w.Window)
		}
	case engine.PutDistinct:
		policy, key, member = w.Policy, w.Key, w.Member
	default:
		return checkDesk(w)
	}
	return checkKey(policy, key, member)
}

// checkKey is for the tables whose rows have a policy and a key.
func checkKey(policy, key, member string) error {
	switch {
	case policy == "" || len(policy) > ddl.NameLength:
		return fmt.Errorf("%w: policy name %q: 1 to %d bytes belong there", store.ErrDecision, policy, ddl.NameLength)
	case len(key) > ddl.BytesLength || len(member) > ddl.BytesLength:
		return fmt.Errorf("%w: a key of policy %q is longer than %d bytes", store.ErrDecision, policy, ddl.BytesLength)
	}
	return nil
}

// checkDesk is for what the desk and the log keep: a line of a log or a question must never
// make a transaction fail, so whatever of it is too long or too odd is hashed or cut when it is
// written, and only what comes from the plan or from the program itself is refused.
func checkDesk(w engine.Write) error {
	var own []string
	switch w := w.(type) {
	case engine.PutSample:
		return checkKey(w.Policy, "", "")
	case engine.OpenCase:
		if err := checkKey(w.Policy, "", ""); err != nil {
			return err
		}
		if w.Rank < 0 || w.Window < 0 {
			return fmt.Errorf("%w: a case of policy %q: rank %d, window %d", store.ErrDecision, w.Policy, w.Rank, w.Window)
		}
		own = append(append(own, w.Tier), w.Notify...)
	case engine.PutArrival:
		own = append(own, w.Arrival.Traffic)
	case engine.PutEvent:
		own = append(own, w.Kind)
	case engine.PutPlace:
		if len(w.Place) > TextLength {
			return fmt.Errorf("%w: a place in a log takes %d bytes, and %d are the most", store.ErrDecision, len(w.Place), TextLength)
		}
	case engine.PutHeld, engine.DropArrival:
	default:
		return fmt.Errorf("%w: a write of unknown type %T", store.ErrDecision, w)
	}
	for _, name := range own {
		if len(name) > ddl.NameLength {
			return fmt.Errorf("%w: the name %q is longer than %d bytes", store.ErrDecision, name, ddl.NameLength)
		}
	}
	return nil
}
