package eximconf

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"exipol/generator/plan"
)

// Follows says whether a plan counts events that are read from Exim's log.
func Follows(p *plan.Plan) bool {
	for _, l := range p.Limits {
		for _, w := range l.Events {
			if plan.Events[w.Event].Log && (w.Event != plan.Bounce || p.Source != plan.FromEvent) {
				return true
			}
		}
	}
	return false
}

// Log judges what the follower of the log depends on: where the log is, and whether strangers can
// write lines into it. Every other log selector may be as it is: what is counted is logged with all of
// them off. same says whether two paths are one file.
func (c *Config) Log(p *plan.Plan, same func(a, b string) bool) []Finding {
	if !Follows(p) {
		return nil
	}
	all := append(c.where(p, same), c.who(p)...)
	// Without its zone in each line, the follower takes the log's times for those of its own host.
	if zone := c.values["timezone"]; zone != "" && c.values["log_timezone"] != "true" && !local(zone, time.Now()) {
		all = append(all, Finding{Doubt, "timezone",
			fmt.Sprintf("timezone is %q: what Exim logs is counted as if it had happened hours before or after", zone),
			fmt.Sprintf("start exipold serve with --mainlog-timezone %s; or %s", zone, c.set(p.Layout, "log_timezone", "true"))})
	}
	return all
}

// local says whether the clocks of a time zone show what those of this host do, in summer and in winter.
func local(zone string, now time.Time) bool {
	there, err := time.LoadLocation(zone)
	for _, t := range []time.Time{now, now.AddDate(0, 6, 0)} {
		_, here := t.Local().Zone()
		if err == nil {
			if _, offset := t.In(there).Zone(); offset == here {
				continue
			}
		}
		return false
	}
	return true
}

// where compares the log's name with the one that the policies have.
func (c *Config) where(p *plan.Plan, same func(a, b string) bool) []Finding {
	const option = "log_file_path"
	fault := func(mend, format string, args ...any) []Finding {
		return []Finding{{Fault, option, fmt.Sprintf(format, args...), mend}}
	}
	if len(p.Mainlog) == 0 {
		return fault(`name it in the policies: helper { mainlog = ["`+logName(c.values[option], "/var/log/exim/mainlog")+`"] }`,
			"policies count what Exim logs, and helper.mainlog names no log: nothing is counted")
	}
	file, syslog, known := logFile(c.values[option])
	switch {
	case !known:
		return nil
	case file == "" && syslog:
		const files = "/var/log/exim/%slog : syslog"
		return fault(c.set(p.Layout, option, files)+"; or have syslogd write all that Exim logs into a file of its own, name that in helper.mainlog, and start exipold serve with --mainlog-syslog",
			"Exim logs to syslog only (log_file_path = %s), and writes no log that could be followed", c.values[option])
	case strings.Contains(file, "%D"), strings.Contains(file, "%M"):
		return fault(c.set(p.Layout, option, strings.NewReplacer("-%D", "", "%D", "", "-%M", "", "%M", "").Replace(c.values[option])),
			"the name of Exim's log changes with the day (log_file_path = %s), and exipold follows one name: let logrotate rename it", c.values[option])
	}
	if !slices.ContainsFunc(p.Mainlog, func(m string) bool { return m == file || same != nil && same(m, file) }) {
		return fault(`write into the policies: helper { mainlog = ["`+file+`"] }`,
			"Exim logs to %s, and exipold reads %s (helper.mainlog): nothing that Exim logs is counted", file, strings.Join(p.Mainlog, ", "))
	}
	return nil
}

// logFile is the main log of a log_file_path (Exim's specification, "Where the logs are written"): a list of at
// most a file and the word syslog. known is false where an item is empty, which stands for the
// path that Exim was built with.
func logFile(path string) (file string, syslog, known bool) {
	if strings.TrimSpace(path) == "" {
		return "", false, false
	}
	for item := range strings.SplitSeq(path, ":") {
		switch item = strings.TrimSpace(item); {
		case item == "":
			return "", syslog, false
		case item == "syslog":
			syslog = true
		case file == "":
			file = filepath.Clean(strings.ReplaceAll(item, "%s", "main"))
		}
	}
	return file, syslog, true
}

func logName(path, otherwise string) string {
	if file, _, known := logFile(path); known && file != "" {
		return file
	}
	return otherwise
}

// who judges the settings by which those who are counted can write lines of their own.
func (c *Config) who(p *plan.Plan) []Finding {
	var all []Finding
	selector := c.values["log_selector"]
	on, err := selected(selector)
	if err != nil {
		return []Finding{{Doubt, "log_selector", fmt.Sprintf("log_selector is %q: %v, so what it selects is not known", selector, err), ""}}
	}
	without := func(name string) string {
		return c.set(p.Layout, "log_selector", strings.TrimSpace(selector+" -"+name))
	}
	if on("smtp_mailauth") {
		all = append(all, Finding{Fault, "log_selector",
			"log_selector has smtp_mailauth: whoever is logged in can write lines into the log that look like Exim's own (by AUTH= of a MAIL command), and have others blocked for them", without("smtp_mailauth")})
	}
	if on("received_recipients") {
		all = append(all, Finding{Doubt, "log_selector",
			"log_selector has received_recipients: local users can write lines into the log that look like Exim's own (by a recipient on the command line), and have others blocked for them", without("received_recipients")})
	}
	if hosts := c.values["helo_accept_junk_hosts"]; hosts != "" {
		all = append(all, Finding{Doubt, "helo_accept_junk_hosts",
			fmt.Sprintf("helo_accept_junk_hosts is %q: these hosts may put anything into the name of their HELO, which Exim logs as it is, and have lines read otherwise than Exim meant them", hosts),
			"start exipold serve with --mainlog-junk-helo, or take helo_accept_junk_hosts out of " + c.file})
	}
	return all
}

// selected reads a log_selector: what it switches on and off, in its order. Neither of those that matter here
// is on by itself.
func selected(selector string) (on func(name string) bool, err error) {
	state := map[string]bool{}
	all := false
	rest := strings.TrimSpace(selector)
	for rest != "" {
		add := rest[0] == '+'
		if !add && rest[0] != '-' {
			return nil, fmt.Errorf("no + or - before %q", rest)
		}
		rest = strings.TrimLeft(rest[1:], " \t\n")
		end := strings.IndexFunc(rest, func(r rune) bool {
			return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		})
		if end < 0 {
			end = len(rest)
		}
		name := rest[:end]
		if name == "all" {
			all, state = add, map[string]bool{}
		} else {
			state[name] = add
		}
		rest = strings.TrimSpace(rest[end:])
	}
	return func(name string) bool {
		if is, said := state[name]; said {
			return is
		}
		return all
	}, nil
}
