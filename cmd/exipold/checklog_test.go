package main

import (
	"os"
	"strings"
	"testing"

	"exipol/generator/plan"
	"exipol/helper"
	"exipol/internal/eximtest"
)

// doctored is what the doctor says of a real Exim's settings, "level check" each.
func doctored(t *testing.T, s *importSite, settings string) (short string, d doctor) {
	t.Helper()
	config := s.file("exim.conf", "keep_environment =\nlog_file_path = "+s.dir+"/%slog\n"+settings)
	d = doctor{plan: s.p, exim: eximtest.Find(t), config: config}
	d.checkSettings(t.Context())
	var words []string
	for _, f := range d.findings {
		words = append(words, f.Level+" "+f.Check)
	}
	return strings.Join(words, ", "), d
}

func TestSettings(t *testing.T) {
	t.Parallel()
	s := newImportSite(t, func(*plan.Plan) {})
	log := s.file("mainlog", "")
	s.p.Mainlog = []string{log}
	for settings, want := range map[string]string{
		"":                                    "ok frozen, ok log",
		"timeout_frozen_after = 30d":          "info frozen, ok frozen, ok log",
		"timeout_frozen_after = 7d":           "error frozen, ok log",
		"auto_thaw = 1h":                      "error frozen, ok log",
		"ignore_bounce_errors_after = 2d":     "error frozen, ok log",
		"log_selector = +all":                 "ok frozen, error log, warning log",
		"log_selector = +received_recipients": "ok frozen, warning log",
	} {
		got, d := doctored(t, s, settings+"\n")
		if got != want {
			t.Errorf("%s: %s, want %s\n%+v", settings, got, want, d.findings)
		}
		for _, f := range d.findings {
			if (f.Level == broken || f.Level == warning) && !strings.Contains(f.Mend, "put the line") {
				t.Errorf("%s: no mend: %+v", settings, f)
			}
		}
	}
	// Another name of the same log is the same log; another log is none.
	link := s.dir + "/link"
	if err := os.Symlink(log, link); err != nil {
		t.Fatal(err)
	}
	s.p.Mainlog = []string{link}
	if got, _ := doctored(t, s, ""); got != "ok frozen, ok log" {
		t.Error(got)
	}
	s.p.Mainlog = []string{s.file("other", "")}
	if got, d := doctored(t, s, ""); got != "ok frozen, error log" || !strings.Contains(d.findings[1].Mend, `mainlog = ["`+log+`"]`) {
		t.Errorf("%s\n%+v", got, d.findings)
	}
	// Who freezes and follows nothing need not know any of it.
	s.p.Limits = s.p.Limits[:2]
	if got, _ := doctored(t, s, "auto_thaw = 1h\n"); got != "" {
		t.Error(got)
	}
}

// A log that exipold cannot read is an error where something is counted from it.
func TestUnreadableLog(t *testing.T) {
	t.Parallel()
	s := newImportSite(t, func(*plan.Plan) {})
	log := s.file("mainlog", "")
	if err := os.Chmod(log, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.dir, 0o755); err != nil { //nolint:gosec // only the file is to keep it out
		t.Fatal(err)
	}
	s.p.Mainlog = []string{log}
	other := account{name: "other", uid: uint32(os.Getuid()) + 4711}
	for _, c := range []struct {
		known  bool
		limits []plan.Limit
		want   string
	}{
		{true, s.p.Limits, broken}, {false, s.p.Limits, warning}, {true, s.p.Limits[:2], warning},
	} {
		p := *s.p
		p.Limits = c.limits
		d := doctor{plan: &p, helper: other, known: c.known, running: &helper.Status{}}
		d.checkMainlog()
		if len(d.findings) != 1 || d.findings[0].Level != c.want || !strings.Contains(d.findings[0].Text, "exipold (user other) cannot read "+log) {
			t.Errorf("%+v: %+v", c.known, d.findings)
		}
	}
}
