package helper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"exipol/generator/plan"
	"exipol/helper/owner"
	"exipol/helper/pools"
)

// How long DNS may take to say one pool's networks, and how soon it is asked again
// where it did not.
const (
	resolveFor   = time.Minute
	resolveAgain = 5 * time.Minute
)

// networks is what is known of the pools, whichever plan they are of.
type networks struct {
	mu    sync.Mutex
	known map[string]pools.Networks // by name
	bad   map[string]string         // the last error, while it lasts
	file  string                    // the error of the pinned file, while it lasts
}

// PoolStatus is what a running helper knows of a pool.
type PoolStatus struct {
	Name     string    `json:"name"`
	Networks int       `json:"networks"`
	Pinned   bool      `json:"pinned"`            // read from the plan's file
	Resolved time.Time `json:"resolved,omitzero"` // when DNS said so; absent: never, or pinned
	Notes    []string  `json:"notes,omitempty"`   // what of the SPF records is no network
	Error    string    `json:"error,omitempty"`   // why it could not be brought up to date
}

// recall reads what was known before a restart.
func (h *Helper) recall() {
	h.networks.known, h.networks.bad = map[string]pools.Networks{}, map[string]string{}
	if h.o.Pools == "" {
		return
	}
	all, err := pools.Read(h.o.Pools)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			h.o.Log.Warn("the remembered networks of the pools are left out", "error", err)
		}
		return
	}
	for _, n := range all {
		h.networks.known[n.Name] = n
	}
}

// settlePools gives the newest plan its pools as far as they are known: from the pinned
// file, or as they were resolved last. A pinned file that cannot be read must not stop
// mail: what was known stays, and the log and the doctor say it.
func (h *Helper) settlePools(a *answerer) {
	n := &h.networks
	n.mu.Lock()
	defer n.mu.Unlock()
	n.file = h.readPinned(a.Plan())
	a.table.Store(n.table(a.Plan()))
}

// givePools gives plans that are not the newest what is known of their pools.
func (h *Helper) givePools(all []*answerer) {
	h.networks.mu.Lock()
	defer h.networks.mu.Unlock()
	for _, a := range all {
		a.table.Store(h.networks.table(a.Plan()))
	}
}

// readPinned takes over a plan's file, if it has one, and says what is wrong with it;
// for who holds mu.
func (h *Helper) readPinned(p *plan.Plan) string {
	if p.PoolsFile == "" || len(p.Pools) == 0 {
		return ""
	}
	n := &h.networks
	all, err := pools.Read(p.PoolsFile)
	var missing []string
	for _, want := range p.Pools {
		i := slices.IndexFunc(all, func(n pools.Networks) bool { return n.Name == want.Name })
		if i >= 0 {
			n.known[want.Name] = all[i]
		} else {
			missing = append(missing, want.Name)
		}
	}
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("%s says nothing of %s", p.PoolsFile, strings.Join(missing, ", "))
	}
	if err == nil {
		return ""
	}
	err = fmt.Errorf("%w: run exipold pools --pin %s", err, p.PoolsFile)
	if err.Error() != n.file {
		h.o.Log.Error("the pinned networks of the pools are not all there; what was known of the others stays", "error", err)
	}
	return err.Error()
}

// table is a plan's pools, ready to be asked; for who holds mu.
func (n *networks) table(p *plan.Plan) *pools.Table {
	return PoolTable(p, slices.Collect(maps.Values(n.known)))
}

// PoolTable is a plan's pools, ready to be asked, with what is known of them. One that
// was never resolved has at least the networks that the plan itself gives.
func PoolTable(p *plan.Plan, known []pools.Networks) *pools.Table {
	var all []pools.Networks
	for _, pool := range p.Pools {
		if i := slices.IndexFunc(known, func(n pools.Networks) bool { return n.Name == pool.Name }); i >= 0 {
			all = append(all, known[i])
			continue
		}
		given := pools.Networks{Name: pool.Name}
		for _, c := range pool.Clients {
			if prefix, err := netip.ParsePrefix(c); err == nil { // the compiler wrote it
				given.Networks = append(given.Networks, prefix)
			}
		}
		all = append(all, given)
	}
	return pools.NewTable(all)
}

// keepPools resolves the newest plan's pools, now and then.
func (h *Helper) keepPools(ctx context.Context) {
	for {
		select {
		case <-h.poolsDue: // that is what comes now
		default:
		}
		next := h.o.PoolsEvery + rand.N(h.o.PoolsEvery/10+1) // not all gateways at once
		if !h.resolvePools(ctx) {
			next = min(next, resolveAgain)
		}
		select {
		case <-ctx.Done():
			return
		case <-h.poolsDue:
		case <-time.After(next):
		}
	}
}

// resolvePools asks DNS for the newest plan's pools, all at once, and says whether it
// answered for all of them.
func (h *Helper) resolvePools(ctx context.Context) bool {
	a := h.plans.Load().newest()
	p := a.Plan()
	if p.PoolsFile != "" || a.outside == nil || len(p.Pools) == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, resolveFor)
	defer cancel()
	var wg sync.WaitGroup
	found := make([]pools.Networks, len(p.Pools))
	errs := make([]error, len(p.Pools))
	for i, pool := range p.Pools {
		wg.Go(func() {
			found[i].Name, found[i].Resolved = pool.Name, h.o.Clock().UTC().Truncate(time.Second)
			found[i].Networks, found[i].Notes, errs[i] = a.outside.Resolve(ctx, pool)
		})
	}
	wg.Wait()
	if errors.Is(ctx.Err(), context.Canceled) {
		return true // we are closing
	}
	return h.applyPools(a, found, errs)
}

// applyPools takes over what was resolved without an error, and says whether that was
// all.
func (h *Helper) applyPools(a *answerer, found []pools.Networks, errs []error) bool {
	n := &h.networks
	n.mu.Lock()
	defer n.mu.Unlock()
	all := true
	for i, now := range found {
		if err := errs[i]; err != nil {
			all = false
			if n.bad[now.Name] == "" {
				h.o.Log.Warn("a pool cannot be resolved, what was known of it stays", "pool", now.Name, "error", err)
			}
			n.bad[now.Name] = err.Error()
			continue
		}
		if n.bad[now.Name] != "" {
			h.o.Log.Info("the pool can be resolved again", "pool", now.Name)
			delete(n.bad, now.Name)
		}
		h.logChange(n.known[now.Name], now)
		n.known[now.Name] = now
	}
	if h.plans.Load().newest() == a {
		h.rememberPools(a.Plan())
	}
	a.table.Store(n.table(a.Plan()))
	return all
}

// logChange says what became of a pool. One that lost more than half of its networks is
// worth a look.
func (h *Helper) logChange(old, now pools.Networks) {
	if old.Resolved.IsZero() && len(old.Networks) == 0 {
		h.o.Log.Info("pool resolved", "pool", now.Name, "networks", len(now.Networks))
		return
	}
	for _, c := range pools.Diff([]pools.Networks{old}, []pools.Networks{now}) {
		say := h.o.Log.Info
		if 2*len(now.Networks) < len(old.Networks) {
			say = h.o.Log.Warn
		}
		say("a pool has changed", "pool", c.Name, "networks", len(now.Networks), "added", some(c.Added), "removed", some(c.Removed))
	}
}

// some is the first few of many, for a log line.
func some(all []netip.Prefix) string {
	const most = 10
	if len(all) > most {
		return fmt.Sprintf("%v and %d more", all[:most], len(all)-most)
	}
	return fmt.Sprint(all)
}

// rememberPools writes down a plan's pools for the next start.
func (h *Helper) rememberPools(p *plan.Plan) {
	if h.o.Pools == "" {
		return
	}
	var all []pools.Networks
	for _, pool := range p.Pools {
		if known, ok := h.networks.known[pool.Name]; ok {
			all = append(all, known)
		}
	}
	if err := pools.Write(h.o.Pools, all); err != nil {
		h.o.Log.Warn("cannot remember the pools", "error", err)
		return
	}
	owner.Inherit(h.o.Pools)
}

// poolStatus is what is known of the newest plan's pools.
func (h *Helper) poolStatus() (all []PoolStatus, file string) {
	p := h.Plan()
	n := &h.networks
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, pool := range p.Pools {
		known, ok := n.known[pool.Name]
		s := PoolStatus{Name: pool.Name, Networks: len(known.Networks), Resolved: known.Resolved, Notes: known.Notes, Pinned: ok && p.PoolsFile != ""}
		if !ok {
			s.Networks = len(pool.Clients)
		}
		if p.PoolsFile == "" {
			s.Error = n.bad[pool.Name]
		}
		all = append(all, s)
	}
	return all, n.file
}
