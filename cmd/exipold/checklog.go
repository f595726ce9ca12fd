package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"exipol/cmd/internal/eximconf"
)

// checkSettings looks at the settings of Exim's that what a block freezes, and what is counted from the
// log, depend on.
func (d *doctor) checkSettings(ctx context.Context) {
	if !eximconf.Freezes(d.plan) && !eximconf.Follows(d.plan) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	c, err := eximconf.Ask(ctx, d.findExim(), d.config)
	if err != nil {
		d.say(broken, "exim", err.Error(), "mend Exim's configuration (exim -bV says more)")
		return
	}
	d.settings("frozen", c.Freezing(d.plan, sameFile))
	if eximconf.Freezes(d.plan) && !d.said("frozen", warning, broken) {
		d.say(fine, "frozen", "Exim keeps what is frozen", "")
	}
	d.settings("log", c.Log(d.plan, sameFile))
	if eximconf.Follows(d.plan) && !d.said("log", warning, broken) {
		d.say(fine, "log", "Exim's log can be followed", "")
	}
}

// settings says what was found of settings.
func (d *doctor) settings(check string, findings []eximconf.Finding) {
	for _, f := range findings {
		level := map[eximconf.Level]string{eximconf.Note: remark, eximconf.Doubt: warning, eximconf.Fault: broken}[f.Level]
		d.say(level, check, f.Text, f.Mend)
	}
}

// said says whether there is a finding of a check at one of these levels.
func (d *doctor) said(check string, levels ...string) bool {
	for _, f := range d.findings {
		for _, level := range levels {
			if f.Check == check && f.Level == level {
				return true
			}
		}
	}
	return false
}

// sameFile says whether two names are one file, as where a log was moved and left a link.
func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// checkMainlog sees whether exipold can read Exim's log. Where policies count what is in it, they need that.
func (d *doctor) checkMainlog() {
	for _, file := range d.plan.Mainlog {
		info, err := os.Stat(file)
		if errors.Is(err, fs.ErrNotExist) {
			d.say(fine, "mainlog", file+" is not there: Exim has not logged yet", "")
			continue
		}
		if err == nil && !info.Mode().IsRegular() {
			d.say(broken, "mainlog", file+" is no file, so it cannot be followed, and nothing in it is counted", "name Exim's main log in the policies (helper.mainlog), or have it written into a file")
			continue
		}
		var o *obstacle
		if err == nil {
			o, err = d.helper.obstacle(file, toRead)
		}
		switch {
		case err != nil:
			d.say(warning, "mainlog", err.Error(), asRoot(file))
		case o != nil:
			level := warning
			if d.known && eximconf.Follows(d.plan) {
				level = broken
			}
			d.say(level, "mainlog", fmt.Sprintf("exipold (user %s) cannot read %s: %s", d.helper.name, file, o), o.mend(d.helper, toRead))
		default:
			d.say(fine, "mainlog", file+" can be read by exipold (user "+d.helper.name+")", "")
		}
	}
}
