package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"exipol/cmd/internal/eximconf"
	"exipol/generator/plan"
)

// findExim is Exim's binary, "" for none.
func (d *doctor) findExim() string { return cmp.Or(d.exim, eximconf.Find()) }

// eximTime is how long Exim may take to say what its configuration is.
const eximTime = 20 * time.Second

// eximSays asks Exim for options.
func (d *doctor) eximSays(ctx context.Context, options ...string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, eximTime)
	defer cancel()
	return eximconf.Values(ctx, d.findExim(), d.config, options...)
}

// eximUser is who Exim runs as.
type eximUser struct {
	account
	group string
	gid   uint32
}

// findEximUser finds out who that is, as far as an Exim says it.
func (d *doctor) findEximUser(ctx context.Context) {
	if d.findExim() == "" {
		return
	}
	said, err := d.eximSays(ctx, "exim_user", "exim_group")
	if err != nil || said["exim_group"] == "" {
		return // checkExim says why
	}
	is := eximUser{group: said["exim_group"]}
	var ok bool
	if is.gid, ok = groupNumber(is.group); !ok {
		d.say(warning, "exim", "Exim's group "+is.group+" is not known on this host", "")
		return
	}
	if is.account, ok = accountOf(said["exim_user"]); !ok {
		is.account = account{name: said["exim_user"], uid: ^uint32(0)} // nobody's number: by its group alone
	}
	is.gids = append(is.gids, is.gid)
	d.eximUser = &is
}

// checkExim looks at Exim's own configuration.
func (d *doctor) checkExim(ctx context.Context) {
	if d.findExim() == "" {
		d.say(warning, "exim", "no Exim in the usual places", "name it with --exim")
		return
	}
	options := []string{"strict_acl_vars", "smtp_accept_max"}
	for _, s := range d.plan.Stages {
		if option, _ := entrance(s.Name); option != "" {
			options = append(options, option)
		}
	}
	said, err := d.eximSays(ctx, options...)
	if err != nil {
		d.say(broken, "exim", err.Error(), "mend Exim's configuration (exim -bV says more)")
		return
	}
	before := len(d.findings)
	if said["strict_acl_vars"] == "true" {
		d.say(broken, "exim", "strict_acl_vars is set: the generated text reads variables that may be unset", "remove strict_acl_vars from Exim's configuration")
	}
	for _, s := range d.plan.Stages {
		if option, value := entrance(s.Name); option != "" && said[option] != value {
			d.say(broken, "exim", fmt.Sprintf("%s is %q, so Exim never comes to exipol_%s", option, said[option], s.Name), d.unread(said))
		}
	}
	d.checkSleepers(said["smtp_accept_max"])
	if len(d.findings) == before {
		d.say(fine, "exim", d.findExim()+" uses the generated text", "")
	}
	d.checkSettings(ctx)
}

// entrance is the option by which Exim comes to a stage of the generated text, and its value. "" for the
// stage that is no ACL.
func entrance(stage string) (option, value string) {
	switch stage {
	case plan.Delivery:
		return "", ""
	case plan.NotSMTP:
		return "acl_not_smtp", "exipol_" + stage
	}
	return "acl_smtp_" + stage, "exipol_" + stage
}

// unread is how Exim comes to read exipol.main, by what it says of its options.
func (d *doctor) unread(said map[string]string) string {
	file := filepath.Join(d.plan.Directory, "exipol.main")
	if _, err := os.Stat(file); err != nil {
		return "install exipol.main, as INSTALL.txt says"
	}
	for _, s := range d.plan.Stages {
		if option, value := entrance(s.Name); option != "" && said[option] == value {
			return "Exim reads another exipol.main: copy exipol.main, exipol.acl and plan.json from the same exipol build, and reload Exim and exipold"
		}
	}
	where := "the main part of Exim's configuration (exim -bP configure_file), in place of the site's own lines for these options, then restart Exim"
	if d.plan.Layout == "debian" {
		where = "/etc/exim4/exim4.conf.localmacros (dc_use_split_config='false') or /etc/exim4/conf.d/main/000_localmacros ('true'), then update-exim4.conf and restart Exim"
	}
	return fmt.Sprintf("%s is there, but Exim does not read it: put the line \".include %s\" into %s", file, file, where)
}

// checkSleepers compares how many connections may be kept waiting with how many
// Exim accepts.
func (d *doctor) checkSleepers(accepts string) {
	most, err := strconv.Atoi(accepts)
	if err != nil || most <= 0 {
		return // no limit
	}
	sleepers, unbounded := 0, ""
	for _, l := range d.plan.Limits {
		for _, t := range l.Tiers {
			switch {
			case t.Delay == nil:
			case t.Delay.Sleepers == 0:
				unbounded = l.Ref() + "/" + t.Name
			default:
				sleepers += t.Delay.Sleepers
			}
		}
	}
	switch {
	case unbounded != "":
		d.say(warning, "sleepers", fmt.Sprintf("%s may keep any number of connections waiting, and Exim accepts %d at a time (smtp_accept_max)", unbounded, most), "give its delay sleepers, well below that")
	case sleepers*2 > most:
		d.say(warning, "sleepers", fmt.Sprintf("delays may keep %d connections waiting, and Exim accepts %d at a time (smtp_accept_max)", sleepers, most), "raise smtp_accept_max, or lower the sleepers of the delays")
	}
}
