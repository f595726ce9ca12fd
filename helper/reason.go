package helper

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"regexp"
	"slices"
	"strings"

	"exipol/generator/plan"
	"exipol/helper/pools"
)

// Reason is why DNS did not say something, without the name that was asked for: the
// same for all names where it is the server that fails. An error that is none of DNS's
// is its own reason.
func Reason(err error) string {
	var d *net.DNSError
	if errors.As(err, &d) {
		return transport.ReplaceAllString(d.Err, "")
	}
	return err.Error()
}

// transport is what the system says of a connection before it says what is wrong: the
// server's address stands before that already.
var transport = regexp.MustCompile(`\b(?:read|write|dial) (?:udp|tcp)[46]? \S+: (?:(?:read|write|connect): )?`)

// PoolError is why a pool could not be resolved, without its name: what was asked for,
// and the reason.
func PoolError(name string, err error) string {
	var d *net.DNSError
	if errors.As(err, &d) {
		return strings.TrimSuffix(d.Name, ".") + ": " + Reason(err)
	}
	return strings.TrimPrefix(err.Error(), "pool "+name+": ")
}

// failure is why a pool cannot be resolved: what was asked for with the reason, and the
// reason alone.
type failure struct{ text, reason string }

// noteFailures keeps which pools cannot be resolved, and why, and says whether all can;
// for who holds mu. It logs what is new of that, and where no pool can be resolved, all
// for the same reason, it does once.
func (h *Helper) noteFailures(found []pools.Networks, errs []error) bool {
	n := &h.networks
	var fresh, again []string
	reasons, failed := map[string]bool{}, 0
	for i, now := range found {
		_, before := n.bad[now.Name]
		switch err := errs[i]; {
		case err != nil:
			failed++
			why := failure{PoolError(now.Name, err), Reason(err)}
			n.bad[now.Name], reasons[why.reason] = why, true
			if !before {
				fresh = append(fresh, now.Name)
			}
		case before:
			delete(n.bad, now.Name)
			again = append(again, now.Name)
		}
	}
	switch {
	case len(fresh) > 1 && len(fresh) == len(found) && len(reasons) == 1:
		h.o.Log.Warn(fmt.Sprintf("none of %d pools can be resolved, what was known of them stays", len(found)), "error", n.bad[fresh[0]].reason, "mend", PoolsMend)
	default:
		for _, name := range fresh {
			h.o.Log.Warn("a pool cannot be resolved, what was known of it stays", "pool", name, "error", n.bad[name].text)
		}
	}
	if len(again) > 0 {
		h.o.Log.Info("pools can be resolved again", "pools", strings.Join(again, ", "))
	}
	return failed == 0
}

// PoolsMend is the way out where no pool can be resolved. How often exipold tries is
// resolveAgain.
const PoolsMend = "mend the DNS first; exipold tries again every five minutes; for a host without DNS write the file on another host: exipold pools --plan plan.json --pin FILE"

// PinMend is what to do where the file that pins the pools is missing or wrong, with the
// command that writes it. What somebody wrote by hand is not to be overwritten unasked.
func PinMend(command string, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "write it with " + command
	}
	return "correct it, or write it anew with " + command
}

// UnknownPools are the names of the pools that a plan does not have.
func UnknownPools(p *plan.Plan, all []pools.Networks) (names []string) {
	for _, n := range all {
		if !slices.ContainsFunc(p.Pools, func(pool plan.Pool) bool { return pool.Name == n.Name }) {
			names = append(names, n.Name)
		}
	}
	return names
}
