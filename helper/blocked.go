package helper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/renameio/v2"

	"exipol/helper/owner"
)

// said is what was said at run time, and the file of the blocks in force that goes with it.
type said struct {
	mu      sync.Mutex // held while it is read
	wanted  uint64     // how often somebody wanted it read; under count
	covered uint64     // how many of them the last reading was late enough for; under mu
	count   sync.Mutex

	file, text string // as written last; under mu
	failed     string // why it could not be written, "" for fine; under mu
}

// want gives a number to who wants it read.
func (s *said) want() uint64 {
	s.count.Lock()
	defer s.count.Unlock()
	s.wanted++
	return s.wanted
}

func (s *said) wants() uint64 {
	s.count.Lock()
	defer s.count.Unlock()
	return s.wanted
}

// refresh reads what was said at run time, and how keys stand. Where that fails, what was known
// stays in force. One reads after the other, so that no older reading comes after a newer one; and
// a reading that began after somebody wanted one is good for him, too.
func (h *Helper) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s := &h.said
	mine := s.want()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.covered >= mine {
		return
	}
	begun := s.wants()
	r, err := h.o.Store.Runtime(ctx, h.o.Clock().UnixMilli())
	if err != nil {
		h.failed(reading, err)
	} else {
		r.Prepare()
		h.runtime.Store(&r)
		h.trouble.ends(reading)
		s.covered = begun
	}
	h.keepBlocked()
}

// keepBlocked writes the file that Exim looks at while exipold is away, whenever another set
// of blocks is in force; for who holds mu. Before the blocks were read for the first time, an
// earlier exipold knew more.
func (h *Helper) keepBlocked() {
	s := &h.said
	a, r := h.plans.Load().newest(), h.runtime.Load()
	file := a.Plan().Blocked
	if file == "" || r == nil {
		return
	}
	text := ""
	if lines := a.LastKnown(r, h.o.Clock()); len(lines) > 0 {
		text = strings.Join(lines, "\n") + "\n"
	}
	if file == s.file && text == s.text {
		return
	}
	if text == "" && !a.KeepsBlocks() {
		if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
			return // this plan needs none, and no other had one
		}
	}
	if err := writeBlocked(file, a.Plan().Socket, text); err != nil {
		if why := err.Error(); why != s.failed {
			s.failed = why
			h.o.Log.Error("Exim will not know the blocks in force while exipold is away", "error", err)
		}
		return
	}
	s.file, s.text, s.failed = file, text, ""
}

// writeBlocked replaces the file. Exim is to read it: it gets the socket's group, where this process may
// give it away.
func writeBlocked(file, socket, text string) error {
	t, err := renameio.NewPendingFile(file, renameio.WithStaticPermissions(0o640))
	if err != nil {
		return blockedError(file, err)
	}
	defer func() { _ = t.Cleanup() }() // nothing is left to clean up where all went well
	owner.Inherit(t.Name())
	owner.ShareGroup(t.Name(), socket)
	if _, err := t.WriteString(text); err != nil {
		return blockedError(file, err)
	}
	if err := t.CloseAtomicallyReplace(); err != nil {
		return blockedError(file, err)
	}
	return nil
}

// blockedError is why the file could not be written, without the name of the one that was to take
// its place: the same each time.
func blockedError(file string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("the file of blocks %s: %w", file, err)
}
