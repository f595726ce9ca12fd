package helper

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/renameio/v2"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper/engine"
	"exipol/helper/oldverbs"
	"exipol/helper/owner"
	"exipol/helper/pools"
)

// keepPlans is how many plans are held side by side: Exim processes that were
// started before a reload go on asking by the plan that they know.
const keepPlans = 8

// answerer is a plan ready to answer by.
type answerer struct {
	*engine.Engine
	old     *oldverbs.Verbs
	budget  time.Duration               // for one answer
	facts   time.Duration               // of it, for finding out facts
	outside Outside                     // nil: nothing can be found out
	table   atomic.Pointer[pools.Table] // of its pools
	pool    func(netip.Addr) string     // in the table; nil where the plan has no pools
	ready   atomic.Bool                 // the store is prepared for it
	unfit   string                      // why it cannot be; prepareRest's alone

	free    func() (percent int64, ok bool)            // of the disk that holds Exim's spool
	failure func(q wire.Question) (class, item string) // what a question says of a failed delivery
}

// budget is how long an answer may take. It must be out before Exim's first call gives up, which is
// a second before the whole timeout is over.
func budget(p *plan.Plan) time.Duration {
	const margin = 100 * time.Millisecond
	return max(p.Timeout.Std()-time.Second-margin, 2*margin)
}

// StoreTime is how long a store may take for what one answer needs of it: what takes longer comes too late.
func StoreTime(p *plan.Plan) time.Duration { return budget(p) - 2*reserve }

// newAnswerer prepares a plan.
func newAnswerer(p *plan.Plan, o *Options) (*answerer, error) {
	e, err := engine.New(p)
	if err != nil {
		return nil, err
	}
	old, err := oldverbs.New(p)
	if err != nil {
		return nil, err
	}
	a := &answerer{Engine: e, old: old, budget: budget(p)}
	a.facts = factsTime(a.budget)
	a.free = (&room{dir: p.Spool, clock: o.Clock, look: o.Free}).free
	a.failure = bounceOf(p)
	if len(p.Pools) > 0 {
		a.pool = func(client netip.Addr) string { return a.table.Load().Pool(client) }
	}
	return a, nil
}

// plans are those that questions are answered by, newest first. A value never
// changes.
type plans struct{ all []*answerer }

// with is the plans with a as the newest.
func (s *plans) with(a *answerer) *plans {
	all := []*answerer{a}
	for _, old := range s.all {
		if old.Plan().ID != a.Plan().ID && len(all) < keepPlans {
			all = append(all, old)
		}
	}
	return &plans{all}
}

func (s *plans) newest() *answerer { return s.all[0] }

// find is the plan of that id, or the newest where there is none.
func (s *plans) find(id string) (a *answerer, known bool) {
	for _, a := range s.all {
		if a.Plan().ID == id {
			return a, true
		}
	}
	return s.newest(), false
}

// ids are the plans' ids, newest first.
func (s *plans) ids() []string {
	var out []string
	for _, a := range s.all {
		out = append(out, a.Plan().ID)
	}
	return out
}

// ReadPlan reads a plan file.
func ReadPlan(file string) (*plan.Plan, error) {
	b, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("plan: %w: exipol build writes it", err)
	case err != nil:
		return nil, fmt.Errorf("plan: %w", err)
	}
	p, err := plan.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", file, err)
	}
	return p, nil
}

// remember writes the newest plan into the directory, and drops those that are held
// no more. The files' times keep the order.
func (s *plans) remember(dir string) error {
	if dir == "" {
		return nil
	}
	_, there := os.Stat(dir)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("remember plan: %w", err)
	}
	if there != nil {
		owner.Inherit(dir)
	}
	p := s.newest().Plan()
	b, err := p.Encode()
	if err != nil {
		return fmt.Errorf("remember plan: %w", err)
	}
	file := filepath.Join(dir, p.ID+".json")
	if err := renameio.WriteFile(file, b, 0o640, renameio.WithStaticPermissions(0o640)); err != nil {
		return fmt.Errorf("remember plan: %w", err)
	}
	owner.Inherit(file)
	kept := s.ids()
	for _, name := range planFiles(dir) {
		if !slices.Contains(kept, strings.TrimSuffix(name, ".json")) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, name)))
		}
	}
	return err
}

// remembered reads the plans of the directory, oldest first. One that cannot be
// used any more (damaged, or of another version) is left out.
func remembered(dir string, o *Options) []*answerer {
	var out []*answerer
	for _, name := range planFiles(dir) {
		p, err := ReadPlan(filepath.Join(dir, name))
		if err == nil && p.ID+".json" != name {
			err = fmt.Errorf("it holds plan %s", p.ID)
		}
		var a *answerer
		if err == nil {
			a, err = newAnswerer(p, o)
		}
		if err != nil {
			o.Log.Warn("an earlier plan is left out", "file", name, "error", err)
			continue
		}
		out = append(out, a)
	}
	return out
}

// planFiles are the names of the plan files in dir, oldest first.
func planFiles(dir string) []string {
	if dir == "" {
		return nil
	}
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	found = slices.DeleteFunc(found, func(e fs.DirEntry) bool {
		return !e.Type().IsRegular() || !strings.HasSuffix(e.Name(), ".json") || strings.HasPrefix(e.Name(), ".")
	})
	age := map[string]time.Time{}
	for _, e := range found {
		if info, err := e.Info(); err == nil {
			age[e.Name()] = info.ModTime()
		}
	}
	slices.SortStableFunc(found, func(a, b fs.DirEntry) int { return age[a.Name()].Compare(age[b.Name()]) })
	var names []string
	for _, e := range found {
		names = append(names, e.Name())
	}
	return names
}
