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

// networks is what is known of the pools, whichever plan they are of: what their SPF
// records name. What a plan itself gives is added when it is asked, see PoolNetworks.
type networks struct {
	mu    sync.Mutex
	known map[string]pools.Networks // by name
	bad   map[string]failure        // the last error, while it lasts
	file  string                    // the error of the pinned file, while it lasts
}

// PoolStatus is what a running helper knows of a pool.
type PoolStatus struct {
	Name     string    `json:"name"`
	Networks int       `json:"networks"`
	Pinned   bool      `json:"pinned"`            // read from the plan's file
	Given    bool      `json:"given,omitempty"`   // the policies alone give them: there is nothing to resolve
	Resolved time.Time `json:"resolved,omitzero"` // when DNS said so; absent: never, pinned, or given
	Notes    []string  `json:"notes,omitempty"`   // what of the SPF records is no network
	Error    string    `json:"error,omitempty"`   // why it could not be brought up to date
	Reason   string    `json:"reason,omitempty"`  // of Error, without the name that was asked for

	LastChange *pools.LastChange `json:"last_change,omitempty"` // absent: none yet, or pinned
}

// recall reads what was known before a restart.
func (h *Helper) recall() {
	h.networks.known, h.networks.bad = map[string]pools.Networks{}, map[string]failure{}
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
	wanted := bySPF(p)
	if p.PoolsFile == "" || len(wanted) == 0 {
		return ""
	}
	n := &h.networks
	all, err := pools.Read(p.PoolsFile)
	var missing []string
	for _, want := range wanted {
		i := slices.IndexFunc(all, func(n pools.Networks) bool { return n.Name == want.Name })
		if i >= 0 {
			n.known[want.Name] = all[i]
		} else {
			missing = append(missing, want.Name)
		}
	}
	if more := UnknownPools(p, all); len(more) > 0 {
		h.o.Log.Warn("the file of pinned pools has pools that no policy names", "file", p.PoolsFile, "pools", strings.Join(more, ", "))
	}
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("%s says nothing of %s", p.PoolsFile, strings.Join(missing, ", "))
	}
	if err == nil {
		return ""
	}
	err = fmt.Errorf("%w: %s", err, PinMend("exipold pools --pin "+p.PoolsFile, err))
	if err.Error() != n.file {
		h.o.Log.Error("the pinned networks of the pools are not all there; what was known of the others stays", "error", err)
	}
	return err.Error()
}

// table is a plan's pools, ready to be asked; for who holds mu.
func (n *networks) table(p *plan.Plan) *pools.Table {
	return pools.NewTable(PoolNetworks(p, slices.Collect(maps.Values(n.known))))
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
	wanted := bySPF(a.Plan())
	if a.Plan().PoolsFile != "" || a.outside == nil || len(wanted) == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, resolveFor)
	defer cancel()
	var wg sync.WaitGroup
	found := make([]pools.Networks, len(wanted))
	errs := make([]error, len(wanted))
	for i, pool := range wanted {
		wg.Go(func() { found[i], errs[i] = h.resolvePool(ctx, a.outside, pool) })
	}
	wg.Wait()
	if errors.Is(ctx.Err(), context.Canceled) {
		return true // we are closing
	}
	return h.applyPools(a, found, errs)
}

// applyPools takes over what was resolved without an error, and says whether that was
// all. Where another plan came meanwhile, its pools are resolved next, and what was found
// for this one is not for them.
func (h *Helper) applyPools(a *answerer, found []pools.Networks, errs []error) bool {
	n := &h.networks
	n.mu.Lock()
	defer n.mu.Unlock()
	if h.plans.Load().newest() != a {
		return true
	}
	all := h.noteFailures(found, errs)
	for i, now := range found {
		if errs[i] != nil {
			continue
		}
		old, known := n.known[now.Name]
		now.Last = old.Last
		if !known {
			h.o.Log.Info("pool resolved", "pool", now.Name, "networks", len(now.Networks))
		} else if c := changeOf(old, now); c != nil {
			now.Last = c
			h.logChange(old, now)
		}
		n.known[now.Name] = now
	}
	h.rememberPools(a.Plan())
	a.table.Store(n.table(a.Plan()))
	return all
}

// logChange says what became of a pool. One that a refresh makes another size is worth a
// look: what it lets in is no longer what somebody once agreed to. Where the policies
// name other SPF domains than before, somebody just did.
func (h *Helper) logChange(old, now pools.Networks) {
	say, text := h.o.Log.Info, "a pool has changed"
	if sameDomains(old, now) && leaps(old.Networks, now.Networks) {
		say, text = h.o.Log.Warn, "a pool has changed a lot: see whether its SPF records are in the right hands"
	}
	say(text, "pool", now.Name, "networks", len(now.Networks), "before", len(old.Networks), "added", some(now.Last.Added), "removed", some(now.Last.Removed))
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
	for _, pool := range bySPF(p) {
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
	for i, now := range PoolNetworks(p, slices.Collect(maps.Values(n.known))) {
		s := PoolStatus{Name: now.Name, Networks: len(now.Networks), Resolved: now.Resolved, Notes: now.Notes, LastChange: now.Last}
		_, known := n.known[now.Name]
		switch {
		case len(p.Pools[i].SPF) == 0:
			s.Given = true
		case p.PoolsFile == "":
			s.Error, s.Reason = n.bad[now.Name].text, n.bad[now.Name].reason
		default:
			s.Pinned = known
		}
		all = append(all, s)
	}
	return all, n.file
}
