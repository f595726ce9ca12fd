package main

import (
	"cmp"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper/engine"
)

// ending is how long what is said at run time holds, and why it was said.
type ending struct{ why, length, until string }

func (e *ending) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&e.why, "why", "", "the reason, for whoever finds it later")
	_ = cmd.MarkFlagRequired("why")
	cmd.Flags().StringVar(&e.length, "for", "", "how long, as Exim writes it: 2h30m, 36d")
	cmd.Flags().StringVar(&e.until, "until", "", "the last day (2027-03-01, UTC), or a moment (RFC 3339)")
	cmd.MarkFlagsMutuallyExclusive("for", "until")
}

// moment is the end in Unix milliseconds, 0 for none.
func (e *ending) moment(now time.Time) (int64, error) {
	if strings.TrimSpace(e.why) == "" {
		return 0, cli.WrongUsage("--why needs a reason")
	}
	var end time.Time
	switch {
	case e.length != "":
		d, err := plan.ParseDuration(e.length)
		if err != nil {
			return 0, cli.WrongUsage("--for %s: %v; write it as in 2h30m or 36d", e.length, err)
		}
		end = now.Add(d.Std())
	case e.until != "":
		day, err := time.Parse(time.DateOnly, e.until)
		if err == nil {
			end = day.AddDate(0, 0, 1)
			break
		}
		if end, err = time.Parse(time.RFC3339, e.until); err != nil {
			return 0, cli.WrongUsage("--until %s: neither a day (2027-03-01) nor a moment (2027-03-01T12:00:00Z)", e.until)
		}
	default:
		return 0, nil
	}
	if !end.After(now) {
		return 0, cli.WrongUsage("it would have ended at %s already", end.UTC().Format(time.RFC3339))
	}
	return end.UnixMilli(), nil
}

// pattern is what was given, as the engine compares it.
func pattern(field, given string) (string, error) {
	if (field == "auth" || field == "user") && given != "" {
		return given, nil
	}
	if field == "client" {
		if a, err := netip.ParseAddr(given); err == nil {
			a = a.Unmap().WithZone("")
			return netip.PrefixFrom(a, a.BitLen()).String(), nil
		}
		p, err := netip.ParsePrefix(given)
		if err != nil {
			return "", cli.WrongUsage("--client %s: neither an IP address nor a network as in 192.0.2.0/24", given)
		}
		if p.Addr().Is4In6() {
			const before = 128 - 32 // the bits that say that it is an IPv4 address
			if p.Bits() < before {
				return "", cli.WrongUsage("--client %s: that is more than all IPv4 addresses; write 0.0.0.0/0 if you mean it", given)
			}
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-before)
		}
		return p.Masked().String(), nil
	}
	given = strings.ToLower(given)
	local, domain, found := strings.Cut(given, "@")
	switch {
	case field == "sender" && given == "<>":
		return given, nil
	case !found:
		local, domain = "*", given
	case strings.Contains(domain, "@"):
		i := strings.LastIndexByte(given, '@')
		local, domain = given[:i], given[i+1:]
	}
	bare := strings.TrimPrefix(domain, "*.")
	if local == "" || bare == "" || strings.ContainsAny(bare, "* <>\t\n") || local != "*" && domain != bare {
		return "", cli.WrongUsage("--%s %s: local@domain, *@domain, *@*.domain or domain belongs there", field, given)
	}
	return local + "@" + domain, nil
}

// saidBy is who said it.
func saidBy(by string) string {
	return cmp.Or(by, os.Getenv("SUDO_USER"), os.Getenv("USER"), "uid "+strconv.Itoa(os.Getuid()))
}

func ends(until int64) string {
	if until == 0 {
		return "no end"
	}
	return "until " + time.UnixMilli(until).UTC().Format(time.RFC3339)
}

// said is a run-time entry or switch, for printing.
type said struct {
	ID      int64  `json:"id,omitempty"`
	Policy  string `json:"policy"` // "" for all
	Field   string `json:"field,omitempty"`
	Pattern string `json:"pattern,omitempty"`
	Owner   string `json:"owner"`
	Why     string `json:"why"`
	Made    string `json:"made"`
	Until   int64  `json:"-"`
	Ends    string `json:"until,omitempty"` // RFC 3339; absent: no end
}

func printable(s said, made int64) said {
	s.Made = time.UnixMilli(made).UTC().Format(time.RFC3339)
	if s.Until != 0 {
		s.Ends = time.UnixMilli(s.Until).UTC().Format(time.RFC3339)
	}
	return s
}

func allowances(r engine.Runtime) []said {
	out := []said{}
	for _, a := range r.Allowances {
		out = append(out, printable(said{ID: a.ID, Policy: a.Policy, Field: a.Field, Pattern: a.Pattern, Owner: a.Owner, Why: a.Why, Until: a.Until}, a.Made))
	}
	return out
}

func switches(r engine.Runtime) []said {
	out := []said{}
	for _, w := range r.Off {
		out = append(out, printable(said{Policy: w.Policy, Owner: w.Owner, Why: w.Why, Until: w.Until}, w.Made))
	}
	return out
}
