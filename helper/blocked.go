package helper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/renameio/v2"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/owner"
)

// said is what was said at run time, and the file of the blocks in force that goes with it.
type said struct {
	mu      sync.Mutex // held while it is read
	wanted  uint64     // how often somebody wanted it read; under count
	covered uint64     // how many of them the last reading was late enough for; under mu
	count   sync.Mutex
	read    atomic.Int64 // when the last reading that went well began, Unix milliseconds of this host's clock

	blocked blockedFile // under mu
	adrift  []string    // what noteAdrift has said; under mu
}

// blockedFile is the file plan.Blocked as it was written last, and what for.
type blockedFile struct {
	by      *answerer
	runtime *engine.Runtime
	at      time.Time
	ends    int64 // when the first of its blocks ends, Unix milliseconds; 0: none does by itself
	name    string
	text    string
	is      fs.FileInfo // nil: there was none, and none was needed
	failed  string      // why it could not be written, "" for fine
}

const (
	// blockedAgain is how often the file is made anew though nothing has changed but the time.
	blockedAgain = time.Minute
	// freshFor is how long after a reading what it said is taken for what the store says.
	freshFor = 2 * time.Second
	// manyBlocks in force make a file that takes so long to write that no answer waits for it: it
	// follows within RuntimeEvery.
	manyBlocks = 2000
)

// want gives a number to who wants it read.
func (s *said) want() uint64 {
	s.count.Lock()
	defer s.count.Unlock()
	s.wanted++
	return s.wanted
}

// fresh says whether the last reading is young enough to be believed.
func (s *said) fresh() bool { return time.Since(time.UnixMilli(s.read.Load())) < freshFor }

func (s *said) wants() uint64 {
	s.count.Lock()
	defer s.count.Unlock()
	return s.wanted
}

// refresh reads what was said at run time, and how keys stand, and keeps the file that goes with it.
// Where that fails, what was known stays in force.
func (h *Helper) refresh(ctx context.Context) {
	_ = h.read(ctx, false) // it is said there
	h.trouble.settle()
}

// opened is refresh for somebody whose answer waits for a block to be in force here.
func (h *Helper) opened(ctx context.Context) { _ = h.read(context.WithoutCancel(ctx), true) }

// read is what both have in common. One reads after the other, so that no older reading comes after a
// newer one; and a reading that began after somebody wanted one is good for him, too.
func (h *Helper) read(ctx context.Context, waits bool) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s := &h.said
	mine := s.want()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.covered >= mine {
		return nil
	}
	begun, began := s.wants(), time.Now()
	r, err := h.o.Store.Runtime(ctx, h.o.Clock().UnixMilli())
	if err != nil {
		h.failed(reading, err)
	} else {
		r.Prepare()
		h.runtime.Store(&r)
		h.known.learn(&r)
		h.trouble.ends(reading)
		s.covered = begun
		s.read.Store(began.UnixMilli())
	}
	if h.known.copied().IsZero() && (!waits || h.runtime.Load().Blocks() <= manyBlocks) {
		h.keepBlocked()
	}
	return err
}

// keepBlocked writes the file that Exim looks at while exipold is away, whenever another set
// of blocks is in force, or somebody else has changed the file; for who holds mu. Before the blocks were
// read for the first time, an earlier exipold knew more.
func (h *Helper) keepBlocked() {
	f := &h.said.blocked
	a, r, now := h.plans.Load().newest(), h.runtime.Load(), h.o.Clock()
	name := a.Plan().Blocked
	if r == nil || f.holds(name, a, r, now) {
		return
	}
	h.noteAdrift(a, r, now)
	if name == "" {
		return
	}
	text := blockedText(a.Engine, r, now)
	was := *f
	*f = blockedFile{by: a, runtime: r, at: now, ends: r.NextEnd(now), name: name, text: text, is: was.is}
	if was.failed == "" && was.is != nil && was.text == text && was.same(name) {
		return
	}
	if text == "" && !a.KeepsBlocks() {
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			f.is = nil
			return // this plan needs none, and no other had one
		}
	}
	if err := writeBlocked(name, a.Plan().Socket, text); err != nil {
		if f.failed = err.Error(); f.failed != was.failed {
			h.o.Log.Error("Exim will not know the blocks in force while exipold is away", "error", err)
		}
		return
	}
	f.is, _ = os.Stat(name)
}

// holds says whether the file is what it would be if it were written now.
func (f *blockedFile) holds(name string, a *answerer, r *engine.Runtime, now time.Time) bool {
	age := now.Sub(f.at)
	if f.ends != 0 && f.ends <= now.UnixMilli() {
		return false
	}
	return f.failed == "" && f.by == a && f.runtime != nil && f.runtime.Same(r) && 0 <= age && age < blockedAgain && f.same(name)
}

// same says whether the file that is there is the one that was written, none being the same as none.
func (f *blockedFile) same(name string) bool {
	is, err := os.Stat(name)
	if err != nil || f.is == nil {
		return err != nil && f.is == nil && f.name == name
	}
	return f.name == name && os.SameFile(is, f.is) && is.ModTime().Equal(f.is.ModTime()) && is.Size() == f.is.Size()
}

// noteAdrift says once which policies have blocks in the store that this plan does nothing about:
// their cases are open, and nobody is blocked.
func (h *Helper) noteAdrift(a *answerer, r *engine.Runtime, now time.Time) {
	policies := a.Adrift(r, now)
	if !slices.Equal(policies, h.said.adrift) && len(policies) > 0 {
		h.o.Log.Warn("blocks are not in force any more, for the plan has no such policy, or its key is another now", "policies", strings.Join(policies, ", "),
			"mend", "exipold case list, and release or remove what is there; or give the policy its name and its key again")
	}
	h.said.adrift = policies
}

// WriteBlocked makes a plan's file of blocks what the store says now, for when no exipold runs here that
// would. One that does makes it again where it knows better.
func WriteBlocked(ctx context.Context, s Store, p *plan.Plan, now time.Time) error {
	e, err := engine.New(p)
	if err != nil {
		return err
	}
	if p.Blocked == "" || !e.KeepsBlocks() {
		return nil
	}
	r, err := s.Runtime(ctx, now.UnixMilli())
	if err != nil {
		return fmt.Errorf("the file of blocks %s: %w", p.Blocked, err)
	}
	r.Prepare()
	return writeBlocked(p.Blocked, p.Socket, blockedText(e, &r, now))
}

func blockedText(e *engine.Engine, r *engine.Runtime, now time.Time) string {
	lines := e.LastKnown(r, now)
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

// writeBlocked replaces the file. Exim is to read it: it gets the socket's group, or where there is none
// that of the file as it was, where this process may give it away.
func writeBlocked(file, socket, text string) error {
	like := socket
	if _, err := os.Stat(socket); err != nil {
		if _, err := os.Stat(file); err == nil {
			like = file
		}
	}
	t, err := renameio.NewPendingFile(file, renameio.WithStaticPermissions(0o640))
	if err != nil {
		return blockedError(file, err)
	}
	defer func() { _ = t.Cleanup() }() // nothing is left to clean up where all went well
	owner.Inherit(t.Name())
	owner.ShareGroup(t.Name(), like)
	if _, err := t.WriteString(text); err != nil {
		return blockedError(file, err)
	}
	if err := t.CloseAtomicallyReplace(); err != nil {
		return blockedError(file, err)
	}
	return nil
}

func blockedError(file string, err error) error {
	return fmt.Errorf("the file of blocks %w", writeError(file, err))
}

// writeError is why a file could not be written, without the name of the one that was to take
// its place: the same each time.
func writeError(file string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("%s: %w", file, err)
}
