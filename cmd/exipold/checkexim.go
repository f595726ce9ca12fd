package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"exipol/cmd/internal/eximconf"
	"exipol/generator/plan"
)

// findExim is Exim's binary, "" for none.
func (d *doctor) findExim() string {
	if d.exim != "" {
		return d.exim
	}
	for _, path := range eximconf.Usual {
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// eximSays asks Exim for options, as exim -bP prints them: "name = value", or the
// bare name, with no_ before it where it is false.
func (d *doctor) eximSays(ctx context.Context, options ...string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	args := []string{}
	if d.config != "" {
		args = append(args, "-C", d.config)
	}
	out, err := exec.CommandContext(ctx, d.findExim(), append(append(args, "-bP"), options...)...).CombinedOutput()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no such program: %s (--exim)", d.findExim())
	}
	if err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return nil, fmt.Errorf("%s -bP: %w: %s", d.findExim(), err, first)
	}
	said := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if !found {
			value = "true"
		}
		said[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return said, nil
}

// eximUser is who Exim runs as, "" where that cannot be found out.
func (d *doctor) eximUser(ctx context.Context) (name, group string) {
	if d.findExim() == "" {
		return "", ""
	}
	said, err := d.eximSays(ctx, "exim_user", "exim_group")
	if err != nil {
		return "", ""
	}
	return said["exim_user"], said["exim_group"]
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
