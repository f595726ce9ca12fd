package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/helper/store"
)

// storeStatus is the store's part of what exipold status says, for machines.
type storeStatus struct {
	store.Stats
	Name  string `json:"name"`            // the file, or the database and its hosts
	Error string `json:"error,omitempty"` // why nothing of what is in it could be read
	// Health is how well it is as the running exipold sees it, and where none runs as this command does.
	Health   store.Health    `json:"health"`
	Gateways []gatewayStatus `json:"gateways"`          // that share it, by name
	Cleaner  string          `json:"cleaner,omitempty"` // the gateway that cleans it up at the moment
}

// gatewayStatus is one of those who share the store.
type gatewayStatus struct {
	store.Gateway
	Remarks []string `json:"remarks,omitempty"` // what is odd about it
}

// goneAfter is when a gateway that is seen no more is worth a word: it says every few seconds that it is there.
const goneAfter = time.Minute

// gather adds what is in the store, and how well it is where no exipold runs that knows better.
func (st *storeStatus) gather(ctx context.Context, p *plan.Plan, s store.Store, now int64) error {
	if st.Health.Kind == "" {
		st.Health = s.Health()
	}
	var err error
	if st.Stats, err = s.Stats(ctx, now); err != nil {
		return err
	}
	gateways, err := s.Gateways(ctx)
	if err != nil {
		return err
	}
	for _, g := range gateways {
		st.Gateways = append(st.Gateways, gatewayStatus{g, oddities(g, p.ID, time.UnixMilli(now))})
	}
	holder, _, err := s.Holder(ctx, store.CleanupLease)
	if holder != "" {
		st.Cleaner = holderWords(holder)
	}
	return err
}

// oddities are what is odd about a gateway: nobody has seen it, or it goes by another plan than this one.
func oddities(g store.Gateway, planID string, now time.Time) (odd []string) {
	if g.Ended {
		return []string{"has ended"}
	}
	if away := now.Sub(time.UnixMilli(g.Seen)); away > goneAfter {
		odd = append(odd, "not seen for "+lately(away))
	}
	switch i := slices.Index(g.Plans, planID); {
	case len(g.Plans) == 0: // it has said nothing of that
	case i < 0:
		odd = append(odd, "does not have this plan")
	case i > 0:
		odd = append(odd, "has taken another plan after this one")
	}
	return odd
}

// lately is a time that has passed, for people: in whole seconds, or in the largest unit that it has two of.
func lately(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "days"}, {time.Hour, "hours"}, {time.Minute, "minutes"}} {
		if d >= 2*u.unit {
			return fmt.Sprintf("%d %s", d/u.unit, u.name)
		}
	}
	return number(int64(d/time.Second), "second", "seconds")
}

// print is the store's part for people. Of the gateways nothing is said where there is one only.
func (st *storeStatus) print(w io.Writer, now time.Time) {
	fmt.Fprintf(w, "store\t%s: ", st.Name)
	if st.Error != "" {
		fmt.Fprintf(w, "%s\n", readable(st.Error))
	} else {
		fmt.Fprintf(w, "%d KiB, schema version %d\n", st.Bytes/1024, st.Version)
	}
	printHealth(w, st.Health)
	if len(st.Gateways) > 1 || st.Health.Kind == plan.MySQL {
		for _, g := range st.Gateways {
			words := []string{"exipold " + readable(cmp.Or(g.Version, "of unknown version"))}
			if len(g.Plans) > 0 {
				words = append(words, "plan "+readable(g.Plans[0]))
			}
			if away := now.Sub(time.UnixMilli(g.Seen)); away <= goneAfter && !g.Ended {
				words = append(words, "seen "+lately(max(0, away))+" ago")
			}
			fmt.Fprintf(w, "  gateway\t%s: %s\n", readable(g.Name), strings.Join(append(words, g.Remarks...), ", "))
		}
	}
	if st.Cleaner != "" {
		fmt.Fprintf(w, "  clean-up\t%s is at it\n", readable(st.Cleaner))
	}
	for _, t := range st.Tables {
		fmt.Fprintf(w, "  %s\t%s, %d expired\n", t.Name, number(t.Rows, "row", "rows"), t.Expired)
		for _, p := range t.Policies {
			fmt.Fprintf(w, "    %s\t%s\n", p.Policy, number(p.Rows, "row", "rows"))
		}
	}
}

// largeSkew is by how much clocks may differ before it is said to people: what is logged here and counted there then
// do not tell the same time.
const largeSkew = 2 * time.Second

// printHealth is how well a store on a server is; a file has nothing to tell.
func printHealth(w io.Writer, h store.Health) {
	if h.Kind != plan.MySQL {
		return
	}
	if h.Away != "" {
		fmt.Fprintf(w, "  away\tsince %s: %s\n", h.Since.UTC().Format(time.RFC3339), readable(h.Away))
	}
	for _, host := range h.Hosts {
		words := []string{host.Use}
		if host.Why != "" {
			words[0] += ": " + readable(host.Why)
		} else if host.Use == store.HostInUse && !h.Since.IsZero() {
			words[0] += " since " + h.Since.UTC().Format(time.RFC3339)
		}
		if host.Version != "" {
			words = append(words, readable(host.Version))
		}
		if host.Cluster != "" {
			words = append(words, readable(host.Cluster))
		}
		if host.Lag > 0 {
			words = append(words, host.Lag.Round(100*time.Millisecond).String()+" behind")
		}
		fmt.Fprintf(w, "  host\t%s: %s\n", host.Host, strings.Join(words, ", "))
	}
	if h.Skew.Abs() > largeSkew {
		which := "ahead of"
		if h.Skew < 0 {
			which = "behind"
		}
		fmt.Fprintf(w, "  clock\tthis host's is %s %s the database's\n", h.Skew.Abs().Round(100*time.Millisecond), which)
	}
	if h.Slow {
		fmt.Fprintf(w, "  slow\treplicas or the cluster lag: the clean-up waits\n")
	}
	fmt.Fprintf(w, "  since the start\t%s, %s of transactions, %s between hosts\n",
		number(h.Failures, "failure", "failures"), number(h.Retries, "retry", "retries"), number(h.Moves, "move", "moves"))
}
