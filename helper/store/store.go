// Package store is what the kinds of store have in common: the errors that callers
// tell apart, and the figures that a store gives about itself. The kinds are its
// subpackages; what exipold needs of each while it decides is engine.Store.
package store

import (
	"errors"

	"exipol/helper/engine"
)

// Errors of a store, for errors.Is. Each is wrapped with the store's name and the
// database's own words.
var (
	ErrMissing  = errors.New("the store, or a part of it that this plan needs, does not exist: run exipold migrate")
	ErrNewer    = errors.New("the store was made by a newer version of exipold")
	ErrForeign  = errors.New("the store has a table of another shape")
	ErrCopying  = errors.New("the store is an unfinished copy of another: run exipold copy-store again")
	ErrFull     = errors.New("no room left: the disk is full, or the store has its largest size (exipold serve --max-store)")
	ErrReadOnly = errors.New("the store cannot be written to")
	ErrCorrupt  = errors.New("the store is damaged")
	ErrLocked   = errors.New("another process has locked the store")
	ErrDisk     = errors.New("the disk gave an error")
	ErrBusy     = errors.New("too many updates are waiting")
	ErrUnknown  = errors.New("whether the update was kept is not known")
	ErrClosed   = errors.New("the store is closed")
	ErrAway     = errors.New("no database server can be used")
	ErrRefused  = errors.New("the database server refuses this user")
	ErrConflict = errors.New("other writers were in the way, again and again")
	// ErrNoFolder is not ErrMissing: exipold migrate makes a store, and no directory.
	ErrNoFolder = errors.New("its directory does not exist")
	// ErrDecision is a decision that panicked, or asked for what no store could keep.
	ErrDecision = errors.New("the decision failed")
)

// AtFault says whether an error of a store's means that the store itself is not well;
// else too much is asked of it, or the wrong thing.
func AtFault(err error) bool {
	for _, other := range []error{ErrBusy, ErrDecision, ErrClosed, ErrNoCase, ErrCaseClosed} {
		if errors.Is(err, other) {
			return false
		}
	}
	return err != nil
}

// Stats is a store's size, and what is in it.
type Stats struct {
	Version int          `json:"version"` // of the schema
	Bytes   int64        `json:"bytes"`   // on disk, journal included
	Tables  []TableStats `json:"tables"`  // those that expire; sorted by name
}

// TableStats counts a table's rows.
type TableStats struct {
	Name     string        `json:"name"`
	Rows     int64         `json:"rows"`
	Expired  int64         `json:"expired"`  // of them, waiting for the clean-up
	Policies []PolicyStats `json:"policies"` // sorted by name
}

// PolicyStats counts a policy's rows in one table.
type PolicyStats struct {
	Policy string `json:"policy"`
	Rows   int64  `json:"rows"`
	Oldest int64  `json:"oldest"` // when the oldest was made, Unix milliseconds
}

// Bouncer is an owner whose mail bounces.
type Bouncer struct {
	Owner string `json:"owner"` // auth:ID, user:LOGIN or relay:HOST
	Hour  int64  `json:"hour"`  // bounces of the last hour,
	Day   int64  `json:"day"`   // and of the last day
}

// TopKey is one of a policy's busiest keys.
type TopKey struct {
	Table string `json:"table"`
	Key   string `json:"key"`
	Span  int64  `json:"span,omitempty"`   // the counter's window in seconds
	N     int64  `json:"n"`                // events, distinct members or passes
	Since int64  `json:"since,omitempty"`  // counted since a release at that time only, Unix milliseconds; the whole count of the key has a row of its own
	LetIn bool   `json:"let_in,omitempty"` // a greylisted key that was retried in time
}

// WhyCount counts a greylist's first contacts by what was suspicious about them.
type WhyCount struct {
	Why      string `json:"why"`      // as in engine.SeenRow: "no_reverse_dns,spf_fail", "first_contact"
	Contacts int64  `json:"contacts"` // those that were new, or too long ago to be a retry
	LetIn    int64  `json:"let_in"`   // of them, those that came back in time
}

// Contact is one of a greylist's first contacts. Times are Unix milliseconds.
type Contact struct {
	Key    string
	Who    string // as in engine.SeenRow: the client
	Why    string
	First  int64
	Passed int64 // 0: it has not come back, or too early
}

// SeenKey is a row of the table seen with its key.
type SeenKey struct {
	Key string
	Row engine.SeenRow
}

// Learned is how much a list has learned.
type Learned struct {
	Addresses int64 `json:"addresses"`
	Domains   int64 `json:"domains"`
	Newest    int64 `json:"-"` // when one was noted last, Unix milliseconds; 0 for none
}
