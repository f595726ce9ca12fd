package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/generator/policy"
)

// eachBlock calls f for every tier that blocks.
func (c *checker) eachBlock(f func(*policy.Limit, *policy.Tier, *policy.Block)) {
	c.eachTier(func(lim *policy.Limit, t *policy.Tier) {
		if t.Block != nil {
			f(lim, t, t.Block)
		}
	})
}

// stageField says whether a part of a key is known at the command at which a block is in
// force, and if not, why.
func stageField(field, stage, traffic string) (why string, ok bool) {
	base, _, _ := strings.Cut(field, ".")
	early := stage == plan.Connect || stage == plan.Auth
	switch base {
	case "login":
		return "which login is tried is not known at any command", false
	case "pool", "sender":
		if early {
			return "there is no sender yet", false
		}
	case "helo":
		if stage == plan.Connect {
			return "a client that connects has not said HELO yet", false
		}
	case "recipient":
		if stage != plan.Rcpt {
			return "there is no recipient yet", false
		}
	case "auth", "user":
		if early {
			return "nobody is logged in yet", false
		}
	case "owner":
		if early && traffic != plan.Relay {
			return "nobody is logged in yet", false
		}
	}
	return "", true
}

// blockStages: a block knows whom it is about, where it is in force.
func blockStages(c *checker) {
	c.eachBlock(func(lim *policy.Limit, t *policy.Tier, b *policy.Block) {
		where := note(b.At.Range, "the block is in force at %s", b.At.V)
		for _, p := range lim.Key {
			if why, ok := stageField(p.Field, b.At.V, lim.Traffic.V); !ok {
				help := fmt.Sprintf("at = %q", plan.Rcpt)
				if p.Field == "login" {
					help = "use client.ip, or, with the event login, auth"
				}
				c.fail("EP232", p.Range, fmt.Sprintf("at %s it is not known whether the block of the tier %q is for this %s: %s", b.At.V, t.Name, p.Text, why), help, where)
			}
		}
		switch {
		case lim.Traffic.V == plan.Local && b.At.V != plan.Rcpt:
			c.fail("EP232", b.At.Range, fmt.Sprintf("a message that comes without SMTP has no command %s", b.At.V), fmt.Sprintf("at = %q is in force for it", plan.Rcpt))
		case lim.Traffic.V == "" && b.At.V == plan.Mail:
			c.warn("EP232", b.At.Range, "this block is not in force for messages that come without SMTP", fmt.Sprintf("at = %q is", plan.Rcpt))
		}
		if b.Verdict.V == plan.Freeze && (b.At.V == plan.Connect || b.At.V == plan.Auth) {
			c.fail("EP213", b.Verdict.Range, fmt.Sprintf("at %s there is no message to freeze", b.At.V), "use defer or deny, or at = \"rcpt\"", where)
		}
	})
}

// logTiers: a tier of a limit that counts only what the log says acts at the next RCPT.
func logTiers(c *checker) {
	c.eachTier(func(lim *policy.Limit, t *policy.Tier) {
		if !onlyLogged(lim) || !t.Verdict.Set && t.Delay == nil && len(t.AddHeader) == 0 {
			return
		}
		for _, p := range lim.Key {
			if base, _, _ := strings.Cut(p.Field, "."); base == "login" || base == "recipient" {
				c.fail("EP232", p.Range, fmt.Sprintf("the tier %q acts at the next RCPT, where it is not known whether it is for this %s", t.Name, p.Text),
					"count for another key; or let the tier only notify", note(t.DeclRange, "the tier is here"))
			}
		}
	})
}

// keyNames says whether a limit's key has one of these fields.
func keyNames(lim *policy.Limit, fields ...string) bool {
	return slices.ContainsFunc(lim.Key, func(p policy.Part) bool { return slices.Contains(fields, p.Field) })
}

// keepable says whether Exim can look a part of a key up by itself.
func keepable(p policy.Part) bool {
	return slices.Contains([]string{"auth", "user", "owner"}, p.Field) || p.Field == "client" && p.V4 == 32 && p.V6 == 128
}

// awayBlocks: what holds while the helper is away is looked up by Exim alone.
func awayBlocks(c *checker) {
	c.eachBlock(func(lim *policy.Limit, t *policy.Tier, b *policy.Block) {
		failure := c.set.Helper.OnFailure
		if lim.OnFailure.Set {
			failure = lim.OnFailure
		}
		i := slices.IndexFunc(lim.Key, func(p policy.Part) bool {
			_, known := stageField(p.Field, b.At.V, lim.Traffic.V)
			return known && !keepable(p)
		})
		if i < 0 || failure.V != plan.LastKnown {
			return
		}
		c.warn("EP233", lim.Key[i].Range, fmt.Sprintf("while exipold is away, the block of the tier %q is not in force: Exim alone cannot look %s up", t.Name, lim.Key[i].Text),
			`it can where the key is of auth, user, owner and client.ip; on_failure = "pass" says that this is meant`, note(b.DeclRange, "the block is here"))
	})
}

// told: somebody hears of what was done.
func told(c *checker) {
	c.eachTier(func(lim *policy.Limit, t *policy.Tier) {
		if b := t.Block; b != nil && len(t.Notify) == 0 && (b.At.V == plan.Rcpt || b.At.V == plan.Mail) {
			c.warn("EP234", b.DeclRange, fmt.Sprintf("nobody is told when the tier %q blocks", t.Name), "give the tier a notify; exipold case list names those who are blocked")
		}
		for _, n := range t.Notify {
			if n.Ref != plan.NotifyOwner {
				continue
			}
			if !keyNames(lim, "auth", "user", "owner") || lim.Traffic.V == plan.Relay {
				c.warn("EP234", n.Range, "the owner is not told: nothing here says at which address", "a key of auth, user or owner does, but for relay traffic")
			}
		}
	})
}

// foreverBlocks: an address of a stranger's is somebody else's next month.
func foreverBlocks(c *checker) {
	c.eachBlock(func(lim *policy.Limit, t *policy.Tier, b *policy.Block) {
		if b.Until.V == 0 && lim.Traffic.V == plan.Inbound && (b.At.V == plan.Connect || b.At.V == plan.Rcpt) && keyNames(lim, "client", "pool") {
			c.warn("EP235", b.Until.Range, "a stranger's address is blocked until somebody releases it, whoever has it by then", `give it an end: until = "24h"`)
		}
	})
}

// idleBlocks: arguments of a block that change nothing.
func idleBlocks(c *checker) {
	c.eachBlock(func(lim *policy.Limit, t *policy.Tier, b *policy.Block) {
		if len(b.AddHeader) > 0 && b.Verdict.V != plan.Freeze {
			c.warn("EP214", b.AddHeader[0].Name.Range, fmt.Sprintf("nothing gets this header: the block answers with %s", b.Verdict.V), "leave it out", note(b.Verdict.Range, "%s is here", b.Verdict.V))
		}
		relay := lim.Traffic.V == plan.Relay && slices.ContainsFunc(lim.Key, keepable)
		if b.Queued.Set && !relay && !keyNames(lim, "auth", "user", "owner") {
			c.fail("EP214", b.Queued.Range, "nothing that waits in the queue is frozen: the key does not say whose mail it is", "leave queued out, or count for auth, user or owner")
		}
	})
}

// shortestDigest is how often a summary goes out at most.
const shortestDigest = plan.Duration(time.Hour)

// deskTimes: times of notices and probations.
func deskTimes(c *checker) {
	for _, n := range c.set.Notices {
		if n.Digest.Set && n.Digest.V < shortestDigest {
			c.fail("EP236", n.Digest.Range, fmt.Sprintf("a summary every %s is none", n.Digest.V), "at most every hour: 24h, say; each case is told at once anyhow")
		}
	}
	c.eachBlock(func(_ *policy.Limit, _ *policy.Tier, b *policy.Block) {
		if p := b.Probation; p != nil && p.Lasts.V == 0 {
			c.fail("EP236", p.Lasts.Range, "a probation of no time at all", "leave the probation out")
		}
	})
}
