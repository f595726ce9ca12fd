package engine

import (
	"context"
	"time"
)

// SeenRow is the record of a key that was seen for the first time at First. All
// times are Unix milliseconds; zero means never.
//
// A greylist policy keeps one for every key (Policy is its Ref), one for every client
// that it may come to trust (Policy is its Ref and ".trusted"), and one for every pair
// of sender and recipient that it made wait (Ref and ".pair"), of which only First
// matters. A list that learns keeps one for every address, and "@domain", that it
// learned (Policy is its Ref, Counted the last time).
type SeenRow struct {
	First   int64  // first contact
	Passed  int64  // when it passed for the first time
	Passes  int64  // how often a pass was counted (of a client that may be trusted)
	Counted int64  // when the last of them was counted
	Expires int64  // from then on the row is as good as gone
	Why     string // of a first contact: what was suspicious about it, "first_contact" where everybody is greylisted; "" for rows of other kinds
	Who     string // of the same: the client's address, and its host name or (HELO name), for people to read
}

// Allowance is a list entry made at run time with `exipold allow`: what matches
// Field and Pattern (as in plan.Entry) is exempt from Policy, or from every policy
// where that is empty.
type Allowance struct {
	ID      int64
	Policy  string // a policy's Ref or ""
	Field   string
	Pattern string
	Owner   string // who made it
	Why     string
	Made    int64
	Until   int64 // 0: no end
}

// Switch says that a policy was switched off at run time (`exipold off POLICY`).
type Switch struct {
	Policy string // a policy's Ref
	Owner  string
	Why    string
	Made   int64
	Until  int64 // 0: until it is switched on again
}

// Runtime is what was said at run time and holds now, for every policy.
type Runtime struct {
	Allowances []Allowance
	Off        []Switch

	Standings *Standings

	sets []*set // of the allowances; see Prepare
	hits []Hit  // likewise
}

// State is what the store knows, as one decision sees it: a snapshot that does not
// change while the decision is made (in Update it also holds what was written
// before in the same batch). Expired rows may still be returned by Seen: the caller
// compares Expires with its own now.
type State interface {
	// Seen finds the record of a key; ok is false where there is none.
	Seen(policy, key string) (row SeenRow, ok bool, err error)
	// Count sums a counter's slots from one to another, both included. What a clock that
	// was ahead has left in later slots is not counted.
	Count(policy, key string, window time.Duration, from, to int64) (int64, error)
	// Distinct counts the members seen at or after since and not after until (Unix ms),
	// up to most of them; at is when the given member was last seen within that time,
	// zero for never.
	Distinct(policy, key, member string, since, until, most int64) (n int64, at int64, err error)
	// Standing is how a key stands with a policy; ok is false where there never was a case, or
	// it is long over. Case 0 never is one.
	Standing(policy, key string) (s Standing, ok bool, err error)
	// Known says whether an event of the log was counted before.
	Known(gateway, message, item string) (bool, error)
	// Arrival finds a message that was under way.
	Arrival(gateway, message string) (a Arrival, ok bool, err error)
	// Held counts the messages in all gateways' queues that a case holds.
	Held(caseID int64) (int64, error)
	// Bounces counts an owner's log events of kind plan.Bounce at or after since (Unix ms).
	Bounces(owner string, since int64) (int64, error)
}

// Write is one change to the store that a decision asks for.
type Write interface{ write() }

// PutSeen inserts or replaces a SeenRow.
type PutSeen struct {
	Policy, Key string
	Row         SeenRow
}

// AddCount adds N to one slot of a counter. Counters only ever grow, so that
// concurrent writers lose nothing; the slot as a whole expires.
type AddCount struct {
	Policy, Key string
	Window      time.Duration
	Slot        int64 // time divided by SlotLength(Window)
	N           int64
	Expires     int64
}

// PutDistinct notes that a member was seen.
type PutDistinct struct {
	Policy, Key, Member string
	At                  int64
	Expires             int64
}

func (PutSeen) write()     {}
func (AddCount) write()    {}
func (PutDistinct) write() {}
func (PutSample) write()   {}
func (OpenCase) write()    {}
func (PutHeld) write()     {}
func (PutArrival) write()  {}
func (DropArrival) write() {}
func (PutEvent) write()    {}
func (PutPlace) write()    {}

// Slots is into how many parts a window is cut: a count expires at most a
// thirty-sixth of its window late, and never early.
const Slots = 36

// SlotLength is the length of one slot of a window.
func SlotLength(window time.Duration) time.Duration {
	return max(window/Slots, time.Second)
}

// Store keeps the state. Each method's error means that the store could not do
// it, not that there was nothing.
type Store interface {
	// View runs f on a snapshot, for reading only.
	View(ctx context.Context, f func(State) error) error
	// Update runs f in the one writer, together with other waiting updates, applies
	// what it returns, and comes back when that is on disk. Where it returns an error
	// nothing that f asked for was kept. f may be run more than once and must not
	// have effects of its own.
	Update(ctx context.Context, f func(State) ([]Write, error)) error
	// Batch runs f in a transaction of its own, in which each decision sees what the ones
	// before it wrote, and comes back when all of it is on disk; where f returns an error, none
	// of it is. f may be run more than once.
	Batch(ctx context.Context, f func(Transaction) error) error
}

// Transaction is State that can be written to at once.
type Transaction interface {
	State
	Apply(writes []Write) error
}
