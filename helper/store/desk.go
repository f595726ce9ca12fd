package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"exipol/helper/engine"
)

// Desk is what a store does for the abuse desk: for the commands, and for the process that tells
// people and handles Exim's queue. Times are Unix milliseconds.
type Desk interface {
	// Cases lists cases, newest first.
	Cases(ctx context.Context, which CaseFilter) ([]Case, error)
	// Case is all that is known of one; the error wraps ErrNoCase where there is none.
	Case(ctx context.Context, id int64) (CaseFile, error)
	// Open opens a case by hand and says which one it is: the open one where there is one.
	Open(ctx context.Context, c engine.OpenCase) (id int64, err error)
	// Decide carries out a decision of the desk, in one transaction with its row in the audit.
	Decide(ctx context.Context, d Decision) error

	// Held lists what a gateway holds, oldest first; "" for all gateways. Gone is left out.
	Held(ctx context.Context, gateway string) ([]Held, error)
	// SettleHeld notes what was found in a gateway's queue: messages that are held (also one that
	// was thought to be gone), and such that are there no more.
	SettleHeld(ctx context.Context, now int64, found []engine.PutHeld, gone []HeldMessage) error
	// Freezing lists the open cases of owners whose waiting mail is to be frozen.
	Freezing(ctx context.Context, now int64) ([]Case, error)

	// ClaimNotices hands out notices that are due, and keeps them from others until then.
	ClaimNotices(ctx context.Context, gateway string, now, until int64, most int) ([]Notice, error)
	// SettleNotice notes what came of one, and gives it back: Mailed and Posted where they are not
	// 0, and Due, Tries and Error in any case. Due 0 means that nothing is left to do.
	SettleNotice(ctx context.Context, n Notice) error
	// ClaimDigest hands out a receiver's digest where it is due: the cases since from. ok is
	// false where it is not due, or another gateway has it. every is how often; the first one is
	// due that long after it was asked for first.
	ClaimDigest(ctx context.Context, receiver, gateway string, now, until, every int64) (from int64, ok bool, err error)
	// SettleDigest notes that a digest went out, so that the next one begins where it was claimed,
	// or (sent false) that it is due again at now.
	SettleDigest(ctx context.Context, receiver, gateway string, now int64, sent bool) error
}

// ErrNoCase is a case that is not there.
var ErrNoCase = errors.New("there is no such case")

// ErrCaseClosed is a decision about a case that is closed.
var ErrCaseClosed = errors.New("the case is closed")

// States of a case.
const (
	CaseOpen     = "open"
	CaseReleased = "released" // by the desk
	CaseEnded    = "ended"    // by itself
)

// CaseFilter says which cases.
type CaseFilter struct {
	All    bool   // closed ones, too
	Policy string // a Ref; "" for all
	Owner  string // "auth:bob"; "" for all
	Since  int64  // opened then or later
	Most   int    // 0: all
	Now    int64  // one that has ended by then is closed, unless it still holds messages
}

// Case is one incident.
type Case struct {
	ID       int64
	Policy   string
	Key      string
	Tier     string // the highest so far
	Who      string // for people
	Owner    string // as Short makes it
	Opened   int64
	Gateway  string // that opened it
	State    string
	Blocks   bool
	Until    int64 // 0: until it is released
	Counted  int64 // at the opening
	Rate     string
	Decided  int64  // when it was closed
	Held     int64  // messages in all queues
	Oldest   int64  // since when the oldest of them is held; 0: none
	LastWord string // of the audit: "released by alice: password changed"
}

// CaseFile is a case with all that belongs to it.
type CaseFile struct {
	Case
	Evidence []Sample
	Audit    []Audit
	Held     []Held
	Notices  []Notice
}

// Sample is a piece of evidence.
type Sample struct {
	At      int64
	Gateway string
	Message string
	Address string
	Line    string
}

// Audit says who did what.
type Audit struct {
	At      int64
	Gateway string // where
	Who     string
	Did     string // opened, raised, released, removed, ended
	Why     string
}

// Tally is what was counted, for people: "101 counted", or "42%" where the rate is a share.
func Tally(counted int64, rate string) string {
	if strings.Contains(rate, "%") {
		return fmt.Sprintf("%d%%", counted)
	}
	return fmt.Sprintf("%d counted", counted)
}

// Decision is what the desk decides.
type Decision struct {
	Case      int64
	Release   bool  // lift the block, close the case, thaw what is held (unless Remove)
	Remove    bool  // delete what is held
	Probation int64 // after a release, until when lower rates hold; 0: they do not
	Who, Why  string
	Gateway   string
	At        int64
}

// HeldMessage names a message in a gateway's queue.
type HeldMessage struct{ Gateway, Message string }

// Held is a message that a block holds.
type Held struct {
	HeldMessage
	Case   int64
	Since  int64
	Size   int64
	Wanted string // what the desk wants done with it: Keep, Thaw or Remove
}

// What the desk wants done with a held message.
const (
	Keep   = ""
	Thaw   = "thaw"
	Remove = "remove"
)

// Notice is something to be told.
type Notice struct {
	Case     int64
	Tier     string
	Receiver string // plan's ref of a notice, or "owner"
	Made     int64
	Due      int64 // when to try next
	Tries    int
	Mailed   int64 // when it was handed to Exim; 0: not yet
	Posted   int64 // when the webhook took it
	Error    string
}

// KeyLength is the most bytes of a key in any store.
const KeyLength = 255

// Short is a key or an owner's name as stores keep it: itself, or where it is longer than
// KeyLength its beginning and a hash of all of it.
func Short(s string) string {
	if len(s) <= KeyLength {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return s[:KeyLength-2-hex.EncodedLen(len(sum))] + `\#` + hex.EncodeToString(sum[:])
}
