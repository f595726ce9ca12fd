package eximconf

import (
	"fmt"
	"path/filepath"
	"time"

	"exipol/generator/plan"
)

// Finding is what is to be said of one setting.
type Finding struct {
	Level  Level
	Option string // Exim's
	Text   string // what is so, and what comes of it
	Mend   string // the line to set, and where; "" where there is nothing to do
}

// Level says how bad a finding is.
type Level int

// Levels.
const (
	Note  Level = iota // good to know
	Doubt              // to be looked at
	Fault              // the plan's promises do not hold
)

// Enough is how long held mail must stay held at least, for somebody to decide about it.
const Enough = 14 * 24 * time.Hour

// Freezes says whether a plan holds mail in Exim's queue: by a tier, by a block, or by what
// a block does to mail that waits. What only observes holds nothing.
func Freezes(p *plan.Plan) bool {
	for _, l := range p.Limits {
		if l.Mode == plan.Observe {
			continue
		}
		for _, t := range l.Tiers {
			if t.Verdict == plan.Freeze || t.Block != nil && (t.Block.Verdict == plan.Freeze || t.Block.Queued == plan.Freeze) {
				return true
			}
		}
	}
	return false
}

// Freezing judges the settings that end a freeze, as deliver.c of Exim carries them out from 4.92 to 4.100. All
// of them work at a queue run. freeze_tell is none of them: the generated text freezes with no_tell, and
// exim -Mf tells nobody.
// same says whether two paths are one file.
func (c *Config) Freezing(p *plan.Plan, same func(a, b string) bool) []Finding {
	if !Freezes(p) {
		return nil
	}
	all := c.spool(p, same)
	add := func(level Level, option, mend, format string, args ...any) {
		all = append(all, Finding{level, option, fmt.Sprintf(format, args...), mend})
	}
	each := func(option string, judge func(time.Duration)) {
		text, known := c.values[option]
		if !known {
			add(Doubt, option, "", "this Exim does not say what %s is: what becomes of held mail is not known", option)
			return
		}
		t, err := plan.ParseDuration(text)
		if err != nil {
			add(Doubt, option, "", "%s is %q, which is no time: what becomes of held mail is not known", option, text)
			return
		}
		judge(t.Std())
	}
	each("timeout_frozen_after", func(t time.Duration) {
		switch {
		case t <= 0:
		case t < Enough:
			add(Fault, "timeout_frozen_after", c.set(p.Layout, "timeout_frozen_after", "0s"),
				"timeout_frozen_after is %s: a held message that came in so long ago is cancelled, and a bounce with its text goes to its sender, who may be forged; at least 14d are needed, 0s is never", c.values["timeout_frozen_after"])
		default:
			add(Note, "timeout_frozen_after", "", "timeout_frozen_after is %s: a message that is still held then is cancelled, and a bounce with its text goes to its sender, who may be forged", c.values["timeout_frozen_after"])
		}
	})
	each("auto_thaw", func(t time.Duration) {
		if t > 0 {
			add(Fault, "auto_thaw", c.set(p.Layout, "auto_thaw", "0s"), "auto_thaw is %s: a held message is delivered so long after it was frozen", c.values["auto_thaw"])
		}
	})
	each("ignore_bounce_errors_after", func(t time.Duration) {
		if t < Enough {
			add(Fault, "ignore_bounce_errors_after", c.set(p.Layout, "ignore_bounce_errors_after", "10w"),
				"ignore_bounce_errors_after is %s: a held message with a null sender that came in so long ago is thawed and delivered; at least 14d are needed (bounces that nobody takes then stay in the queue for as long)", c.values["ignore_bounce_errors_after"])
		}
	})
	// An Exim that was built without it does not know the option.
	if c.values["move_frozen_messages"] == "true" {
		add(Fault, "move_frozen_messages", c.set(p.Layout, "move_frozen_messages", "false"),
			"move_frozen_messages is set: held messages are moved to Finput in the spool, where exim -bp does not show them, and no case can release or remove them")
	}
	return all
}

// spool compares Exim's spool with the one that the policies name, in which exipold desk looks for what is held.
func (c *Config) spool(p *plan.Plan, same func(a, b string) bool) []Finding {
	dir := filepath.Clean(c.values["spool_directory"])
	if p.Spool == "" || !filepath.IsAbs(dir) || dir == filepath.Clean(p.Spool) || same != nil && same(dir, p.Spool) {
		return nil
	}
	return []Finding{{Fault, "spool_directory",
		fmt.Sprintf("Exim keeps its messages in %s, and exipold desk looks for them in %s (site.spool): what is held is never released nor removed", dir, p.Spool),
		fmt.Sprintf("write into the policies: site { spool = %q }", dir)}}
}

// CancelledAfter is how long after it came in a held message is cancelled, with a bounce to its sender;
// 0 for never. ok is false where Exim does not say.
func (c *Config) CancelledAfter() (after time.Duration, ok bool) {
	t, err := plan.ParseDuration(c.values["timeout_frozen_after"])
	return t.Std(), err == nil
}
