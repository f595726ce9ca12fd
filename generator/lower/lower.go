// Package lower turns policies into a plan. It is the one place where meaning is
// decided: defaults that depend on other settings, the order of things, which
// stage asks what, and which tables that needs. It expects a set that packages load
// and check found no error in.
package lower

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"exipol/generator/plan"
	"exipol/generator/policy"
)

// siteACLs are the ACLs that each layout's stock configuration defines, by stage.
var siteACLs = map[string]map[string]string{
	"debian":   {plan.Mail: "acl_check_mail", plan.Rcpt: "acl_check_rcpt", plan.Data: "acl_check_data"},
	"upstream": {plan.Rcpt: "acl_check_rcpt", plan.Data: "acl_check_data"},
	"custom":   {},
}

// SiteACL is the name of the site's own ACL for a stage: what the site block says,
// else what the layout's stock configuration has, else "".
func SiteACL(site policy.Site, stage string) string {
	if acl, named := site.ACL[stage]; named {
		return acl.V
	}
	return siteACLs[site.Layout.V][stage]
}

// Lower makes the plan of a checked set, sealed.
func Lower(set *policy.Set) (*plan.Plan, error) {
	p := &plan.Plan{
		Exim:       set.Site.Exim.V,
		Layout:     set.Site.Layout.V,
		Directory:  set.Site.Directory.V,
		Admin:      set.Site.Admin.V,
		MaxDelay:   set.Site.MaxDelay.V,
		Domains:    values(set.Site.Domains),
		RelayHosts: texts(set.Site.RelayHosts),
		Forwarders: texts(set.Site.Forwarders),
		Socket:     set.Helper.Socket.V,
		Timeout:    set.Helper.Timeout.V,
		PoolsFile:  set.Helper.Pools.V,
		Mainlog:    values(set.Helper.Mainlog),
		Source:     set.Helper.Source.V,
		Spool:      set.Site.Spool.V,
		Blocked:    path.Join(stateDir(set.Store), "blocked"),
		RelayID:    set.Site.RelayID.V,
		Store:      store(set.Store),
	}
	for _, s := range set.Helper.DNS {
		p.DNS = append(p.DNS, s.V)
	}
	if m := set.Site.Submission; m != nil {
		p.SubmissionMode = &plan.SubmissionMode{Traffics: values(m.Traffic), Domain: m.Domain.V, Retain: m.Retain.V}
		slices.Sort(p.SubmissionMode.Traffics)
	}
	for _, n := range set.Notices {
		p.Notices = append(p.Notices, notice(n))
	}
	for _, l := range set.Pools {
		p.Pools = append(p.Pools, pool(l))
	}
	for _, l := range set.Lists {
		p.Lists = append(p.Lists, list(l))
	}
	for _, g := range set.Greylists {
		p.Greylists = append(p.Greylists, greylist(set, g))
	}
	for _, l := range set.Limits {
		p.Limits = append(p.Limits, limit(set, l))
	}
	slices.SortFunc(p.Notices, func(a, b plan.Notice) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(p.Pools, func(a, b plan.Pool) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(p.Lists, func(a, b plan.List) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(p.Greylists, func(a, b plan.Grey) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(p.Limits, func(a, b plan.Limit) int { return cmp.Compare(a.Name, b.Name) })
	p.Stages = stages(set.Site, p)
	p.Tables = tables(p)
	if err := p.Seal(); err != nil {
		return nil, fmt.Errorf("seal the plan: %w", err)
	}
	return p, nil
}

// stateDir is where exipold keeps its own files: beside its store, where that is a file.
func stateDir(s policy.Store) string {
	if s.Kind.V == plan.MySQL {
		return s.State.V
	}
	return path.Dir(s.Path.V)
}

func store(s policy.Store) plan.Store {
	if s.Kind.V != plan.MySQL {
		return plan.Store{Kind: s.Kind.V, Path: s.Path.V}
	}
	return plan.Store{
		Kind: s.Kind.V, Hosts: values(s.Hosts), Database: s.Database.V, User: s.User.V,
		PasswordFile: s.PasswordFile.V, TLS: s.TLS.V, CAFile: s.CAFile.V, Connections: int(s.Connections.V),
	}
}

func values(vs []policy.Value[string]) []string {
	out := make([]string, 0, len(vs))
	for _, v := range vs {
		out = append(out, v.V)
	}
	return out
}

func texts[T fmt.Stringer](vs []policy.Value[T]) []string {
	out := make([]string, 0, len(vs))
	for _, v := range vs {
		out = append(out, v.V.String())
	}
	return out
}

// origin drops the folder, so that the plan does not depend on where the policies
// lie on this machine.
func origin(r hcl.Range) plan.Origin {
	return plan.Origin{File: filepath.Base(r.Filename), Line: r.Start.Line}
}

func list(l *policy.List) plan.List {
	out := plan.List{Name: l.Name, Reviewed: l.Reviewed.V, Origin: origin(l.DeclRange)}
	for _, e := range l.Entries {
		out.Entries = append(out.Entries, plan.Entry{
			Field: e.Field, Pattern: e.Pattern.V, Until: e.Until.V, Why: e.Why.V, Owner: e.Owner.V,
		})
	}
	for _, learn := range l.Learn {
		out.Learn = append(out.Learn, plan.Learn{Traffic: learn.Traffic.V, From: learn.From.V, Remember: learn.Remember.V})
	}
	slices.SortFunc(out.Learn, func(a, b plan.Learn) int {
		return cmp.Or(cmp.Compare(a.Traffic, b.Traffic), cmp.Compare(a.From, b.From))
	})
	return out
}

func pool(p *policy.Pool) plan.Pool {
	out := plan.Pool{Name: p.Name, Origin: origin(p.DeclRange)}
	for _, d := range p.SPF {
		out.SPF = append(out.SPF, d.V)
	}
	for _, n := range p.Clients {
		out.Clients = append(out.Clients, n.V.String())
	}
	return out
}

func facts(fs []policy.Fact) []plan.Fact {
	var out []plan.Fact
	for _, f := range fs {
		out = append(out, f.Fact)
	}
	return out
}

// mode is the site's where it observes, for that overrides every policy.
func mode(set *policy.Set, own policy.Value[string]) string {
	if set.Site.Mode.V == plan.Observe {
		return plan.Observe
	}
	return own.V
}

func onFailure(set *policy.Set, own policy.Value[string]) string {
	if own.Set {
		return own.V
	}
	return set.Helper.OnFailure.V
}

func parts(ps []policy.Part) []plan.Part {
	out := make([]plan.Part, 0, len(ps))
	for _, p := range ps {
		out = append(out, p.Part)
	}
	return out
}

func refs(rs []policy.Ref) []plan.Ref {
	var out []plan.Ref
	for _, r := range rs {
		out = append(out, r.Ref)
	}
	return out
}

func greylist(set *policy.Set, g *policy.Greylist) plan.Grey {
	out := plan.Grey{
		Name:     g.Name,
		Traffic:  g.Traffic.V,
		Key:      parts(g.Key),
		Delay:    g.Delay.V,
		Retry:    g.Retry.V,
		Remember: g.Remember.V,
		GiveUp:   g.GiveUp.V,
		Except:   refs(g.Except),

		Suspicious: facts(g.Suspicious),
		Spare:      facts(g.Spare),
		Urgent:     refs(g.Urgent),

		Mode:      mode(set, g.Mode),
		OnFailure: onFailure(set, g.OnFailure),
		Message:   g.Message.V,
		Origin:    origin(g.DeclRange),
	}
	if t := g.Trust; t != nil {
		out.Trust = &plan.Trust{Key: parts(t.Key), After: t.After.V, Per: t.Per.V, Remember: t.Remember.V}
	}
	return out
}
