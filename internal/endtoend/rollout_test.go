package endtoend

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"exipol/internal/eximtest"
	"exipol/policies"
)

// starter is the ready-made set, but for the site and with another delay.
func starter(t *testing.T, delay string) string {
	t.Helper()
	files, err := policies.Starter()
	if err != nil {
		t.Fatal(err)
	}
	set := "list \"friends\" {\n  clients = [\"198.51.100.200\"]\n}\n"
	for _, file := range files[1:] {
		set += strings.Replace(string(file.Text), `delay    = "5m"`, `delay    = "`+delay+`"`, 1) + "\n"
	}
	return set
}

// TestRollOut is what an administrator does: the starter set in observe mode changes
// nothing; exipold status says whom it would have deferred, and why; then it is enforced,
// and exactly those are deferred, until they come back.
func TestRollOut(t *testing.T) {
	t.Parallel()
	if !eximtest.Alone(t) {
		return
	}
	records, _ := provider()
	online(t, records, "2.0.0.127.zen.spamhaus.org A 127.0.0.2\n50.2.0.192.zen.spamhaus.org A 127.0.0.4\n"+
		"2.0.0.127.list.dnswl.org A 127.0.10.0\n20.2.0.192.list.dnswl.org A 127.0.5.2\n"+
		`_spf.google.com TXT "v=spf1 include:_spf.provider.test ~all"`)
	good := map[string]contact{
		"well run":            wellRun,
		"on the white list":   {"192.0.2.20", "mail.nameless.test", "a@nameless.test", nil},
		"of a provider":       {"198.18.3.25", "out3.provider.test", "a@spoofed.test", nil},
		"a friend":            {"198.51.100.200", "friend", "a@friend.test", nil},
		"an honest null":      {"192.0.2.10", "mail.honest.test", "", nil},
		"listed nowhere else": {"192.0.2.53", "mail.other.test", "a@other.test", nil},
	}
	bad := map[string]struct {
		contact
		why string
	}{
		"no name":      {contact{"203.0.113.5", "mail.new.test", "a@no-record.test", nil}, "no_reverse_dns,helo_mismatch"},
		"dial-up":      {contact{"198.51.100.30", "198-51-100-30.dyn.access.test", "a@access.test", nil}, "dynamic_name"},
		"on the list":  {contact{"192.0.2.50", "mail.listed.test", "a@listed.test", nil}, "dnslist.zen.spamhaus.org"},
		"SPF fails":    {contact{"192.0.2.53", "mail.other.test", "a@spoofed.test", nil}, "spf_fail"},
		"HELO is none": {contact{"192.0.2.10", "friend", "b@no-record.test", nil}, "helo_mismatch"},
	}
	set := starter(t, "3s")
	lookUp := func(b *eximtest.Bed) { b.Main += "host_lookup = *\nhost_lookup_order = bydns\n" }
	site := func(mode string) *Site {
		return New(t, set, Options{
			Site: "mode = \"" + mode + "\"", Helper: "dns = [\"" + eximtest.NameServer + "\"]", Configure: lookUp,
		})
	}
	s := site("observe")
	d := s.daemon(t)
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
	for name, c := range good {
		want(t, "observing, "+name, try(s, c), 250)
	}
	for name, c := range bad {
		want(t, "observing, "+name, try(s, c.contact), 250)
		wantLogged(t, s, "exipol: observe greylist.selective: would defer ("+c.why+") ["+c.client+"]")
	}
	if n := len(s.Grep("exipol: observe")); n != len(bad) {
		t.Errorf("%d lines of what would have been, not %d", n, len(bad))
	}
	out, err := exec.Command(d.exe, "status", "--plan", d.plan).CombinedOutput()
	if err != nil {
		t.Fatalf("exipold status: %v\n%s", err, out)
	}
	status := string(out)
	for name, c := range bad {
		for _, said := range []string{strings.ReplaceAll(c.why, ",", ", "), c.from} {
			if !strings.Contains(status, said) {
				t.Errorf("%s: exipold status does not say %q", name, said)
			}
		}
	}
	for name, c := range good {
		if c.from != "" && strings.Contains(status, c.from) && c.from != "a@spoofed.test" {
			t.Errorf("%s: exipold status names %s", name, c.from)
		}
	}
	t.Logf("exipold status says\n%s", status)
	s.CheckLogs()
	d.kill()

	s = site("enforce")
	d = s.daemon(t)
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
	for name, c := range good {
		want(t, "enforcing, "+name, try(s, c), 250)
	}
	for name, c := range bad {
		want(t, "enforcing, "+name, try(s, c.contact), 451)
		wantLogged(t, s, "greylist.selective ("+c.why+")")
	}
	time.Sleep(3 * time.Second)
	for name, c := range bad {
		want(t, "coming back, "+name, try(s, c.contact), 250)
	}
	s.CheckLogs()
}
