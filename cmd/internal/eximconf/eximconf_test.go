package eximconf

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/internal/eximtest"
)

// by says what is found of some values.
func by(values map[string]string) *Config {
	c := &Config{file: "/etc/exim.conf", macros: map[string]string{"_HAVE_X": "y"}, values: map[string]string{
		"timeout_frozen_after": "0s", "auto_thaw": "0s", "ignore_bounce_errors_after": "10w", "move_frozen_messages": "false",
		"log_selector": "", "log_file_path": "/var/log/exim/%slog", "helo_accept_junk_hosts": "",
	}}
	maps.Copy(c.values, values)
	return c
}

// found is what was found, as "level option".
func found(all []Finding) string {
	var out []string
	for _, f := range all {
		out = append(out, string("nDF"[f.Level])+" "+f.Option)
	}
	return strings.Join(out, ", ")
}

func TestFreezing(t *testing.T) {
	for values, want := range map[string]string{
		"":                                   "",
		"timeout_frozen_after=1w":            "F timeout_frozen_after",
		"timeout_frozen_after=1w6d23h59m59s": "F timeout_frozen_after",
		"timeout_frozen_after=2w":            "n timeout_frozen_after",
		"timeout_frozen_after=-1s":           "D timeout_frozen_after",
		"timeout_frozen_after=soon":          "D timeout_frozen_after",
		"auto_thaw=1s":                       "F auto_thaw",
		"ignore_bounce_errors_after=0s":      "F ignore_bounce_errors_after",
		"ignore_bounce_errors_after=2w":      "",
		"move_frozen_messages=true":          "F move_frozen_messages",
	} {
		name, value, _ := strings.Cut(values, "=")
		if got := found(by(map[string]string{name: value}).Freezing(freezing("upstream"), nil)); got != want {
			t.Errorf("%s: %q, want %q", values, got, want)
		}
	}
	c := by(nil)
	delete(c.values, "timeout_frozen_after")
	delete(c.values, "move_frozen_messages")
	if got := found(c.Freezing(freezing("upstream"), nil)); got != "D timeout_frozen_after" {
		t.Errorf("an Exim that does not say: %q", got)
	}
}

// Settings matter to plans only that hold mail.
func TestFreezes(t *testing.T) {
	for want, tiers := range map[bool][]plan.Tier{
		false: {{Verdict: plan.Deny, Block: &plan.Block{Verdict: plan.Deny}}},
		true:  {{Verdict: plan.Deny}, {Block: &plan.Block{Verdict: plan.Defer, Queued: plan.Freeze}}},
	} {
		p := &plan.Plan{Limits: []plan.Limit{{Tiers: tiers}}}
		if Freezes(p) != want {
			t.Errorf("%+v: %v", tiers, !want)
		}
		p.Limits[0].Mode = plan.Observe
		if Freezes(p) {
			t.Errorf("%+v: what observes freezes nothing", tiers)
		}
	}
	if !Freezes(&plan.Plan{Limits: []plan.Limit{{Tiers: []plan.Tier{{Verdict: plan.Freeze}}}}}) {
		t.Error("a tier that freezes")
	}
}

// following is a plan that counts an event.
func following(event string, logs ...string) *plan.Plan {
	return &plan.Plan{Source: plan.FromLog, Mainlog: logs, Limits: []plan.Limit{{Events: []plan.WeightedEvent{{Event: event, Weight: 1}}}}}
}

func TestLog(t *testing.T) {
	here := "" // the zone of this host, if it is UTC
	if _, offset := time.Now().Zone(); offset == 0 && local("UTC", time.Now()) {
		here = "UTC"
	}
	for values, want := range map[string]string{
		"log_selector=+all":                                     "F log_selector, D log_selector",
		"log_selector=+all -smtp_mailauth":                      "D log_selector",
		"log_selector=+all -smtp_mailauth -received_recipients": "",
		"log_selector=-all":                                     "",
		"log_selector=+smtp_mailauth -all":                      "",
		"log_selector=-smtp_mailauth +all":                      "F log_selector, D log_selector",
		"log_selector=+pid+smtp_mailauth":                       "F log_selector",
		"log_selector=+smtp_mailauth_x":                         "",
		"log_selector==0x7":                                     "D log_selector",
		"helo_accept_junk_hosts=*":                              "D helo_accept_junk_hosts",
		"log_file_path=syslog":                                  "F log_file_path",
		"log_file_path=syslog : /var/log/exim/%slog":            "",
		"log_file_path=/var/log/exim/%slog:syslog":              "",
		"log_file_path=/elsewhere/%slog":                        "F log_file_path",
		"log_file_path=/var/log/exim/%slog-%D":                  "F log_file_path",
		"log_file_path=":                                        "",
		"timezone=" + here:                                      "",
		"timezone=Nowhere/At/All":                               "D timezone",
		"timezone=Asia/Kathmandu":                               "D timezone",
		"log_file_path=:syslog":                                 "",
	} {
		name, value, _ := strings.Cut(values, "=")
		if got := found(by(map[string]string{name: value}).Log(following(plan.Login, "/var/log/exim/mainlog"), nil)); got != want {
			t.Errorf("%s: %q, want %q", values, got, want)
		}
	}
	if got := found(by(map[string]string{"timezone": "Asia/Kathmandu", "log_timezone": "true"}).Log(following(plan.Login, "/var/log/exim/mainlog"), nil)); got != "" {
		t.Errorf("a log that says its zone: %q", got)
	}
	bad := map[string]string{"log_selector": "+all", "log_file_path": "/elsewhere/%slog"}
	if got := found(by(bad).Log(following(plan.Recipient, "/x"), nil)); got != "" {
		t.Errorf("a plan that counts nothing of it: %q", got)
	}
	events := following(plan.Bounce, "/x")
	events.Source = plan.FromEvent
	if got := found(by(bad).Log(events, nil)); got != "" {
		t.Errorf("bounces by Exim's events: %q", got)
	}
	if all := by(nil).Log(following(plan.Bounce), nil); found(all) != "F log_file_path" || !strings.Contains(all[0].Mend, `"/var/log/exim/mainlog"`) {
		t.Errorf("no log at all: %+v", all)
	}
	moved := func(a, b string) bool { return a == "/link" && b == "/elsewhere/mainlog" }
	if got := found(by(map[string]string{"log_file_path": "/elsewhere/%slog"}).Log(following(plan.Bounce, "/link"), moved)); got != "" {
		t.Errorf("another name of the same file: %q", got)
	}
	for path, want := range map[string]string{"/var/log/exim/%slog-%D": "/var/log/exim/%slog", "/l/%s-%M.log": "/l/%s.log"} {
		all := by(map[string]string{"log_file_path": path}).Log(following(plan.Bounce, "/x"), nil)
		if len(all) != 1 || !strings.Contains(all[0].Mend, `"log_file_path = `+want+`"`) {
			t.Errorf("%s: %+v", path, all)
		}
	}
}

// What Exim prints is taken only as it prints it.
func TestParse(t *testing.T) {
	said := "/etc/exim.conf\nauto_thaw = 1d\nauto_thaw = 0s\nlog_selector = +a\nmove_frozen_messages = 7\nno_move_frozen_messages\nspool_directory=/x\nx auto_thaw = 9d\nno_strict\n"
	got := parse(said, []string{"auto_thaw", "log_selector", "move_frozen_messages", "spool_directory", "strict"})
	want := map[string]string{"auto_thaw": "1d", "log_selector": "+a", "move_frozen_messages": "7", "strict": "false"}
	if !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestSplitConfig(t *testing.T) {
	for text, want := range map[string]string{
		"dc_use_split_config='true'\n":                                "true",
		"# dc_use_split_config='true'\ndc_use_split_config=false\n":   "false",
		"dc_use_split_config='true'\ndc_use_split_config=\"false\"\n": "false",
		"": "",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "update-exim4.conf.conf"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := splitConfig(dir); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	if splitConfig(t.TempDir()) != "" {
		t.Error("no file")
	}
	// Where nobody knows, both are named.
	c := by(nil)
	c.macros = nil
	if mend := c.set("debian", "timeout_frozen_after", "0s"); !strings.Contains(mend, "MAIN_TIMEOUT_FROZEN_AFTER = 0s") || strings.Count(mend, "localmacros") != 2 {
		t.Error(mend)
	}
	// A configuration of the site's own on Debian has no macros of Debian's.
	if mend := by(nil).set("debian", "timeout_frozen_after", "0s"); !strings.Contains(mend, `"timeout_frozen_after = 0s" into the main part of /etc/exim.conf`) {
		t.Error(mend)
	}
}

// A real Exim is asked, and one that cannot be.
func TestAsk(t *testing.T) {
	t.Parallel()
	b := eximtest.New(t, eximtest.Small)
	b.Main = "log_selector = +all -received_recipients\nhelo_accept_junk_hosts = 192.0.2.0/24\n"
	b.Configure()
	file := readable(t, b)
	c, err := Ask(context.Background(), eximtest.Find(t), file)
	if err != nil {
		t.Fatal(err)
	}
	if c.file != file {
		t.Errorf("the configuration is %s", c.file)
	}
	if got := found(c.Log(following(plan.Bounce, b.Path("log/mainlog")), nil)); got != "F log_selector, D helo_accept_junk_hosts" {
		t.Errorf("%q in %v", got, c.values)
	}
	for _, option := range options[1:] {
		if _, known := c.values[option]; !known && option != "move_frozen_messages" {
			t.Errorf("Exim says nothing of %s", option)
		}
	}
	for _, exim := range []string{"/nosuch/exim", file} {
		if _, err := Ask(context.Background(), exim, ""); err == nil || !strings.Contains(err.Error(), "(--exim)") {
			t.Errorf("%s: %v", exim, err)
		}
	}
	broken := filepath.Join(t.TempDir(), "broken.conf")
	if err := os.WriteFile(broken, []byte("log_file_path = "+filepath.Dir(broken)+"/%slog\nnonsense = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Ask(context.Background(), eximtest.Find(t), broken); err == nil || !strings.Contains(err.Error(), "broken.conf") {
		t.Errorf("a configuration that Exim cannot read: %v", err)
	}
	if Find() == "" {
		t.Error("no Exim was found")
	}
}
