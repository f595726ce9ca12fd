package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"exipol/cmd/internal/cli"
	"exipol/generator/plan"
	"exipol/helper/desk"
	"exipol/helper/store"
)

// caseFields are the fields by which somebody can be named, in the order in which they are listed.
var caseFields = []string{"auth", "user", "relay", "client", "helo", "sender", "recipient", "login"}

// opening is what exipold case open says, for machines.
type opening struct {
	FormatVersion string `json:"format_version"`
	DryRun        bool   `json:"dry_run"`
	ID            int64  `json:"id,omitempty"` // absent where nothing was done
	Known         bool   `json:"known"`        // the case was open already
	Policy        string `json:"policy"`
	Tier          string `json:"tier"`
	Who           string `json:"who"`
	Until         string `json:"until,omitempty"`
}

func caseOpenCommand(flags *caseFlags) *cobra.Command {
	var d decided
	cmd := &cobra.Command{
		Use:   "open POLICY FIELD=VALUE... --reason TEXT",
		Short: "block somebody by hand",
		Long: `Opens a case of a limit by hand, with the highest of its tiers that blocks, as if that had
been exceeded: whoever is to be told is told, and the block is in force within two
seconds. Prints the case's number; where one is open already, that one's.

Fields name what the limit's key wants: auth (an authenticated id), user (a local login),
relay (a relay host's id, or its address), client (an IP address), helo, sender,
recipient, login. For the key owner, one of auth, user and relay is enough.`,
		Example: `  exipold case open limit.stolen_password auth=bob@example.com --reason "he has lost his phone"`,
		Args:    cobra.MinimumNArgs(2),
		RunE: cli.Action(func(cmd *cobra.Command, args []string) error {
			if err := d.check(); err != nil {
				return err
			}
			who, err := named(args[1:])
			if err != nil {
				return err
			}
			gateway, err := gatewayName(flags.gateway)
			if err != nil {
				return err
			}
			return withCases(cmd, flags, func(ctx context.Context, p *plan.Plan, s store.Store) error {
				l, err := blockingLimit(p, args[0], args[1:])
				if err != nil {
					return err
				}
				c, err := desk.ByHand(l, who, gateway, saidBy(""), d.reason, s.Now())
				if err != nil {
					return err
				}
				o := opening{FormatVersion: desk.FormatVersion, DryRun: d.dryRun, Policy: c.Policy, Tier: c.Tier, Who: c.Who}
				if c.Until != 0 {
					o.Until = rfc3339(c.Until)
				}
				if !d.dryRun {
					if o.ID, err = s.Open(ctx, c); err != nil {
						return err
					}
					file, err := s.Case(ctx, o.ID)
					if err != nil {
						return err
					}
					o.Known = file.Opened != c.At
					keepLastKnown(ctx, cmd.ErrOrStderr(), p, s)
				}
				return o.print(cmd, flags.asJSON)
			})
		}),
	}
	d.flags(cmd, flags)
	return cmd
}

func (o opening) print(cmd *cobra.Command, asJSON bool) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), o)
	}
	end := "until somebody releases the case"
	if o.Until != "" {
		end = "until " + o.Until
	}
	switch {
	case o.DryRun:
		fmt.Fprintf(cmd.ErrOrStderr(), "exipold: %s would be blocked by %s, tier %s, %s\n", readable(o.Who), o.Policy, o.Tier, end)
		return nil
	case o.Known:
		fmt.Fprintf(cmd.ErrOrStderr(), "exipold: %s has an open case already\n", readable(o.Who))
	default:
		fmt.Fprintf(cmd.ErrOrStderr(), "exipold: %s is blocked by %s, tier %s, within two seconds, %s\n", readable(o.Who), o.Policy, o.Tier, end)
	}
	fmt.Fprintln(cmd.OutOrStdout(), o.ID)
	return nil
}

// named reads who somebody is.
func named(given []string) (desk.Party, error) {
	var who desk.Party
	fields := map[string]*string{
		"auth": &who.Auth, "user": &who.User, "relay": &who.Relay, "helo": &who.Helo,
		"sender": &who.Sender, "recipient": &who.Recipient, "login": &who.Login,
	}
	for _, g := range given {
		name, value, found := strings.Cut(g, "=")
		field := fields[name]
		switch {
		case found && name == "client":
			a, err := netip.ParseAddr(value)
			if err != nil {
				return who, cli.WrongUsage("client=%s: not an IP address", value)
			}
			who.Client = a.Unmap().WithZone("")
		case !found || field == nil:
			return who, cli.WrongUsage("%q is not FIELD=VALUE with one of the fields %s", g, listed(caseFields))
		case value == "" && name != "sender":
			return who, cli.WrongUsage("%s: nobody is called that", g)
		default:
			*field = value
		}
	}
	return who, nil
}

// blockingLimit finds a limit that blocks, and sees that nothing of its key is missing.
func blockingLimit(p *plan.Plan, ref string, given []string) (plan.Limit, error) {
	if err := helperPolicy(p, ref); err != nil {
		return plan.Limit{}, err
	}
	i := slices.IndexFunc(p.Limits, func(l plan.Limit) bool { return l.Ref() == ref })
	if i < 0 {
		return plan.Limit{}, cli.WrongUsage("%s blocks nobody: only limits do", ref)
	}
	l := p.Limits[i]
	if l.Mode == plan.Observe {
		return l, fmt.Errorf("%s only observes: it blocks nobody", ref)
	}
	has := func(field string) bool {
		return slices.ContainsFunc(given, func(g string) bool { return strings.HasPrefix(g, field+"=") })
	}
	for _, part := range l.Key {
		field, _, _ := strings.Cut(part.Field, ".")
		switch {
		case field == "pool":
			return l, fmt.Errorf("%s: its key is client.pool, for which no case can be opened by hand", ref)
		case field == "owner" && !has("auth") && !has("user") && !has("relay"):
			return l, cli.WrongUsage("%s: name one of auth=, user= and relay=", ref)
		case field != "owner" && !has(field):
			return l, cli.WrongUsage("%s: name %s=, too", ref, field)
		}
	}
	return l, nil
}
