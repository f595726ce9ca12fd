package check

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"exipol/generator/exim"
	"exipol/generator/plan"
	"exipol/generator/policy"
)

// eximVersion: site.exim is a version, and not too old.
func eximVersion(c *checker) {
	v := c.set.Site.Exim
	version, err := exim.ParseVersion(v.V)
	if err != nil {
		c.fail("EP301", v.Range, fmt.Sprintf("%q is not a version of Exim", v.V), `for example: "4.94", "4.98.2"`)
		return
	}
	if version.Less(exim.Oldest) {
		c.fail("EP302", v.Range, fmt.Sprintf("Exim %s is too old", v.V), fmt.Sprintf("the generated text needs Exim %s or newer", exim.Oldest))
	}
}

// stagesUsed are the stages that the policies need, each with what needs it.
func (c *checker) stagesUsed() map[string]string {
	used := map[string]string{}
	need := func(stage, by string) {
		if used[stage] == "" {
			used[stage] = by
		}
	}
	for _, g := range c.set.Greylists {
		need(plan.Rcpt, "greylist."+g.Name)
		if len(g.Urgent) > 0 {
			need(plan.Dkim, "greylist."+g.Name)
		} else {
			need(plan.Predata, "greylist."+g.Name)
		}
		need(plan.Data, "greylist."+g.Name) // of a message that came by BDAT, or of all
	}
	for _, lim := range c.set.Limits {
		c.limitStages(lim, func(stage string) { need(stage, "limit."+lim.Name) })
	}
	if mode := c.set.Site.Submission; mode != nil {
		need(plan.Rcpt, "site.submission")
		if slices.ContainsFunc(mode.Traffic, func(v policy.Value[string]) bool { return v.V == plan.Local }) {
			need(plan.NotSMTP, "site.submission")
		}
	}
	refs := c.references()
	for _, l := range c.set.Lists {
		if len(l.Learn) > 0 && c.usesLearned(l.Name, refs) {
			need(plan.Rcpt, "list."+l.Name)
			need(plan.Data, "list."+l.Name)
			if slices.ContainsFunc(l.Learn, func(learn *policy.Learn) bool { return learn.Traffic.V == plan.Local }) {
				need(plan.NotSMTP, "list."+l.Name)
			}
		}
	}
	return used
}

// limitStages calls need for every stage that a limit needs.
func (c *checker) limitStages(lim *policy.Limit, need func(stage string)) {
	local := slices.Contains(traffics(lim), plan.Local) && lim.Engine.V != plan.EngineExim
	event := func(name string) {
		at := plan.Events[name]
		if at.Log {
			return
		}
		need(at.Stage)
		if name == plan.Message && lim.Engine.V != plan.EngineExim {
			need(plan.Rcpt) // where the recipients that a question names are kept
		}
		if local && at.NotSMTP {
			need(plan.NotSMTP)
		}
	}
	for _, e := range lim.Events {
		event(e.Name.V)
	}
	if lim.Share != nil {
		event(lim.Share.V)
	}
	for _, t := range lim.Tiers {
		if b := t.Block; b != nil {
			need(b.At.V)
			if b.Verdict.V == plan.Freeze {
				need(plan.Rcpt)
				need(plan.Data)
			}
		}
		acts := onlyLogged(lim) && (t.Verdict.Set || t.Delay != nil || len(t.AddHeader) > 0)
		if acts {
			need(plan.Rcpt)
		}
		if local && (acts || t.Block != nil && t.Block.At.V == plan.Rcpt) {
			need(plan.NotSMTP)
		}
	}
}

// aclOption is Exim's option for a stage.
func aclOption(stage string) string {
	if stage == plan.NotSMTP {
		return "acl_not_smtp"
	}
	return "acl_smtp_" + stage
}

// siteACLs: no ACL of the site's is lost, and none of ours is taken for one.
func siteACLs(c *checker) {
	site := c.set.Site
	used := c.stagesUsed()
	for _, stage := range plan.StageOrder {
		acl, named := site.ACL[stage]
		if named && strings.HasPrefix(acl.V, "exipol_") {
			c.fail("EP208", acl.Range, fmt.Sprintf("%q would be an ACL of the output, not of the site", acl.V),
				"names that begin with exipol_ are the output's; name the ACL that the site had before")
		}
		if site.Layout.V != "custom" || used[stage] == "" {
			continue
		}
		switch {
		case stage == plan.Rcpt && acl.V == "":
			at := site.Layout.Range
			if named {
				at = acl.Range
			}
			c.fail("EP207", at, "with the layout custom, the site's ACL for RCPT must be named",
				`Exim accepts no recipient without one: write acl { rcpt = "..." } with the value of acl_smtp_rcpt`, note(hcl.Range{}, "%s needs the stage rcpt", used[stage]))
		case !named:
			c.fail("EP207", site.Layout.Range, fmt.Sprintf("the site's ACL for the stage %s would be lost", stage),
				fmt.Sprintf(`write %s = "..." in acl, with the value of %s, or "" where the site has none`, stage, aclOption(stage)),
				note(hcl.Range{}, "%s needs the stage %s", used[stage], stage))
		}
	}
}

// helperDirectory holds the helper's plan and the policies, which are not for
// everybody to read.
const helperDirectory = "/etc/exipol"

// siteDirectory: the directory is open to everybody and goes away again, so it
// holds nothing else.
func siteDirectory(c *checker) {
	if d := c.set.Site.Directory; path.Clean(d.V) == helperDirectory {
		c.fail("EP307", d.Range, fmt.Sprintf("%s holds the helper's plan, which is not for everybody to read", helperDirectory),
			"a directory of its own for the Exim text, such as /etc/exim4/exipol")
	}
}

// Bounds of the helper's settings.
const (
	leastTimeout = plan.Duration(2 * time.Second)  // one second must be left for the second try
	mostTimeout  = plan.Duration(20 * time.Second) // twice that is what a client waits at worst
	// A Unix socket's address holds 108 bytes on Linux, 104 on BSD, a zero at its end.
	longestSocket = 100
)

// helperLimits: what Exim and the system allow for the socket.
func helperLimits(c *checker) {
	h := c.set.Helper
	switch {
	case h.Timeout.V < leastTimeout:
		c.fail("EP306", h.Timeout.Range, fmt.Sprintf("a timeout of %s is too short", h.Timeout.V),
			"Exim counts it in whole seconds and asks twice: at least 2s")
	case h.Timeout.V > mostTimeout:
		c.warn("EP306", h.Timeout.Range, fmt.Sprintf("with the helper away, clients would wait up to twice %s", h.Timeout.V),
			"other hosts' callouts give up after 30 seconds: at most 20s")
	}
	c.socketPath(h.Socket)
}

// socketPath: a system has room for it.
func (c *checker) socketPath(v policy.Value[string]) {
	if len(v.V) > longestSocket {
		c.fail("EP305", v.Range, fmt.Sprintf("the path of a Unix socket has at most %d bytes", longestSocket), "")
	}
}
