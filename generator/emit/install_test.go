package emit

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"exipol/generator/plan"
)

// installPlan asks something at every stage.
func installPlan(t *testing.T, layout, directory string) *plan.Plan {
	t.Helper()
	p := &plan.Plan{
		Exim: "4.94", Layout: layout, Directory: directory,
		Domains: []string{"+local_domains", "+relay_to_domains"},
		Socket:  "/run/exipol/exipold.sock",
		Store:   plan.Store{Kind: "sqlite", Path: "/var/lib/exipol/exipol.db"},
	}
	if err := p.Timeout.UnmarshalJSON([]byte(`"3s"`)); err != nil {
		t.Fatal(err)
	}
	limit := plan.Limit{
		Name: "all", Traffic: plan.Inbound, Key: []plan.Part{{Field: "client", V4: 32, V6: 128}},
		Engine: plan.EngineHelper, Mode: plan.Enforce, OnFailure: plan.Pass,
		Tiers:  []plan.Tier{{Name: "one", Verdict: plan.Deny, Message: "no", Origin: plan.Origin{File: "a.hcl", Line: 2}}},
		Origin: plan.Origin{File: "a.hcl", Line: 1},
	}
	p.Limits = []plan.Limit{limit}
	for _, s := range []struct{ stage, event, acl string }{
		{plan.Connect, plan.Connection, ""},
		{plan.Helo, plan.HeloEvent, ""},
		{plan.Rcpt, plan.UnknownRecipient, "acl_check_rcpt"},
	} {
		p.Stages = append(p.Stages, plan.Stage{Name: s.stage, SiteACL: s.acl, Before: []plan.Ask{
			{Traffic: plan.Inbound, Event: s.event, Policies: []string{limit.Ref()}},
		}})
	}
	p.Stages = append(p.Stages, plan.Stage{Name: plan.Dkim}, plan.Stage{Name: plan.Data, SiteACL: "acl_check_data", After: []plan.Ask{
		{Traffic: plan.Inbound, Event: plan.Message, Policies: []string{limit.Ref()}},
	}})
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestInstallNames holds INSTALL.txt to what this plan uses, in every layout.
func TestInstallNames(t *testing.T) {
	for _, layout := range []string{"debian", "upstream", "custom"} {
		p := installPlan(t, layout, "/etc/somewhere/exipol")
		text := installSteps(t, p)
		for _, want := range []string{
			p.ID, "/etc/somewhere/exipol/exipol.main", "acl_smtp_rcpt: acl_check_rcpt", "acl_smtp_connect", "    acl_smtp_dkim", "look for it in \"exim -bP config\"",
			"exipold migrate", "plan.json /etc/exipol/plan.json", "Taking it away again",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", layout, want, text)
			}
		}
		for _, not := range []string{"acl_smtp_mail", "MAIN_ACL_CHECK_MAIL", "predata", "<no value>", "\n\n\n"} {
			if strings.Contains(text, not) {
				t.Errorf("%s: %q in\n%s", layout, not, text)
			}
		}
		for line := range strings.Lines(text) {
			if len(line) > 81 {
				t.Errorf("%s: a line of %d columns: %s", layout, len(line)-1, line)
			}
		}
	}
}

// TestInstallPaths tells the units of paths that they do not know.
func TestInstallPaths(t *testing.T) {
	p := installPlan(t, "debian", "/etc/exim4/exipol")
	if text := installSteps(t, p); strings.Contains(text, "ListenStream") || strings.Contains(text, "ReadWritePaths") {
		t.Errorf("the units know these paths:\n%s", text)
	}
	p.Socket, p.Store.Path = "/srv/sock", "/srv/db/exipol.db"
	text := installSteps(t, p)
	for _, want := range []string{"    ListenStream=\n    ListenStream=/srv/sock\n", "    ReadWritePaths=/srv/db\n", "    test -d /srv/db || install -d -o exipold -g exipold -m 0751 /srv/db\n",
		"    test -d /srv || install -d", "    rm -f /srv/db/exipol.db*\n    rm -rf /srv/db/plans /srv/db/pools.json\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, not := range []string{"rm -rf /srv\n", "rm -rf /srv/db\n"} {
		if strings.Contains(text, not) {
			t.Errorf("%q deletes what may be somebody else's", not)
		}
	}
}

// debian is a private copy of Debian's configuration.
type debian struct {
	t      *testing.T
	dir    string
	script string
	split  bool
}

// newDebian copies the configuration and the script that puts it together. The
// script looks for localmacros in /etc whatever -d says, so the copy of it is told
// the other path.
func newDebian(t *testing.T, split bool) *debian {
	t.Helper()
	d := &debian{t: t, dir: openDir(t), split: split}
	d.shell("tar -C /etc/exim4 --exclude=./passwd.client -cf - . | tar -C " + d.dir + " -xf - && rm -f " + d.macros())
	config := filepath.Join(d.dir, "update-exim4.conf.conf")
	d.shell("sed -i \"s/^dc_use_split_config=.*/dc_use_split_config='" + map[bool]string{true: "true", false: "false"}[split] + "'/\" " + config)
	script, err := os.ReadFile("/usr/sbin/update-exim4.conf")
	if err != nil {
		t.Fatalf("%v: these tests need Debian's exim4-config", err)
	}
	const macros = "/exim4.conf.localmacros"
	if !strings.Contains(string(script), "/etc/exim4"+macros) {
		t.Log("update-exim4.conf looks for localmacros elsewhere now")
	}
	d.script = filepath.Join(openDir(t), "update-exim4.conf")
	changed := strings.ReplaceAll(string(script), "/etc/exim4"+macros, d.dir+macros)
	if err := os.WriteFile(d.script, []byte(changed), 0o755); err != nil {
		t.Fatal(err)
	}
	return d
}

// macros is the file that INSTALL.txt adds a line to.
func (d *debian) macros() string {
	if d.split {
		return d.dir + "/conf.d/main/000_localmacros"
	}
	return d.dir + "/exim4.conf.localmacros"
}

func (d *debian) shell(command string) string {
	d.t.Helper()
	out, err := exec.Command("/bin/sh", "-ec", command).CombinedOutput()
	if err != nil {
		d.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// make runs the script and returns the configuration that it makes.
func (d *debian) make() string {
	d.t.Helper()
	out := filepath.Join(openDir(d.t), "config")
	d.shell("sh " + d.script + " -d " + d.dir + " -o " + out + " && chmod 644 " + out)
	return out
}

// installSteps is INSTALL.txt.
func installSteps(t *testing.T, p *plan.Plan) string {
	t.Helper()
	text, err := installText(p)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestInstallDebian follows INSTALL.txt with the real script, and takes it away
// again.
func TestInstallDebian(t *testing.T) {
	for name, split := range map[string]bool{"split": true, "unsplit": false} {
		t.Run(name, func(t *testing.T) {
			d := newDebian(t, split)
			before := d.make()
			dir := d.dir + "/exipol"
			p := installPlan(t, "debian", dir)
			here := strings.NewReplacer("/etc/exim4/", d.dir+"/").Replace
			add := here(block(t, p, "2. Exim", "file=/etc/exim4/"))
			writeText(t, p, dir)
			d.shell(add + add) // as one does who is not sure
			if got, want := read(t, d.macros()), ".include "+dir+"/exipol.main\n"; got != want {
				t.Fatalf("the steps write %q, want %q", got, want)
			}

			after := d.make()
			d.shell("exim4 -C " + after + " -bV")
			got := d.shell("exim4 -C " + after + " -bP acl_smtp_connect acl_smtp_helo acl_smtp_mail acl_smtp_rcpt acl_smtp_data")
			want := "acl_smtp_connect = exipol_connect\nacl_smtp_helo = exipol_helo\nacl_smtp_mail = acl_check_mail\nacl_smtp_rcpt = exipol_rcpt\nacl_smtp_data = exipol_data\n"
			if got != want {
				t.Errorf("exim4 -bP says\n%swant\n%s", got, want)
			}
			session := "printf 'EHLO client.example\\r\\nMAIL FROM:<>\\r\\nRCPT TO:<root@localhost>\\r\\nRCPT TO:<a@elsewhere.example>\\r\\nQUIT\\r\\n' | exim4 -C %s -bh 192.0.2.1 2>/dev/null | grep -v '^220'"
			was := d.shell(strings.ReplaceAll(session, "%s", before))
			is := d.shell(strings.ReplaceAll(session, "%s", after))
			if !strings.Contains(is, "550") {
				t.Errorf("the site's ACL did not refuse to relay:\n%s", is)
			}
			// Nobody answers and the policy lets pass, so only the site speaks.
			if strings.ReplaceAll(was, "250 Accepted", "250 OK") != strings.ReplaceAll(is, "250 Accepted", "250 OK") {
				t.Errorf("with exipol the session is\n%swithout it\n%s", is, was)
			}

			remove, _, _ := strings.Cut(block(t, p, "Taking it away again", "for file in "), "update-exim4.conf")
			d.shell(here(remove))
			if _, err := os.Stat(d.macros()); !os.IsNotExist(err) {
				t.Errorf("%s is left: %v", d.macros(), err)
			}
			if a, b := read(t, before), read(t, d.make()); a != b {
				t.Error("taken away again, the configuration is not what it was")
			}
		})
	}
}

// TestInstallDebianHook is the section of INSTALL.txt for sites that use the hook
// themselves.
func TestInstallDebianHook(t *testing.T) {
	d := newDebian(t, true)
	dir := d.dir + "/exipol"
	p := installPlan(t, "debian", dir)
	writeText(t, p, dir)
	site := d.dir + "/site_exceptions"
	hook := "LOCAL_DENY_EXCEPTIONS_LOCAL_ACL_FILE == " + site
	if !strings.Contains(installSteps(t, p), strings.ReplaceAll(hook, site, "SITEFILE")) {
		t.Errorf("INSTALL.txt does not say %q", hook)
	}
	d.shell("printf '  accept hosts = 192.0.2.77\\n.include " + dir + "/exipol.acl\\n' > " + site)
	d.shell("printf '.include " + dir + "/exipol.main\\n" + hook + "\\n' >> " + d.macros())
	config := d.make()
	d.shell("exim4 -C " + config + " -bV")
	// The wrong way is an error and not a silent loss, as INSTALL.txt says.
	d.shell("printf 'LOCAL_DENY_EXCEPTIONS_LOCAL_ACL_FILE = " + site + "\\n.include " + dir + "/exipol.main\\n' > " + d.macros())
	out, err := exec.Command("exim4", "-C", d.make(), "-bV").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is already defined") {
		t.Errorf("defined twice: %v\n%s", err, out)
	}
}

// TestInstallUpstream follows INSTALL.txt on Exim's own default configuration.
func TestInstallUpstream(t *testing.T) {
	const example = "/usr/share/doc/exim4-base/examples/example.conf"
	config := read(t, example)
	work := openDir(t)
	dir := filepath.Join(work, "exipol")
	p := installPlan(t, "upstream", dir)
	writeText(t, p, dir)
	text := installSteps(t, p)
	var kept []string
	replaced := 0
	for line := range strings.Lines(config) {
		fields := strings.Fields(line)
		if len(fields) == 3 && strings.HasPrefix(fields[0], "acl_smtp_") && strings.Contains(text, "    "+strings.Join(fields, " ")+"\n") {
			if replaced++; replaced == 1 {
				kept = append(kept, ".include "+dir+"/exipol.main\n")
			}
			continue
		}
		if kept = append(kept, line); strings.TrimSpace(line) == "begin acl" {
			kept = append(kept, ".include "+dir+"/exipol.acl\n")
		}
	}
	if replaced != 2 {
		t.Errorf("INSTALL.txt names %d lines of the default configuration, want those of rcpt and data", replaced)
	}
	path := filepath.Join(work, "exim.conf")
	if err := os.WriteFile(path, []byte(strings.Join(kept, "")), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("exim4", "-C", path, "-bV").CombinedOutput(); err != nil {
		t.Fatalf("exim4 -bV: %v\n%s", err, out)
	}
	out, err := exec.Command("exim4", "-C", path, "-bP", "acl_smtp_rcpt", "acl_smtp_data", "acl_smtp_connect").Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "acl_smtp_rcpt = exipol_rcpt\nacl_smtp_data = exipol_data\nacl_smtp_connect = exipol_connect\n"; string(out) != want {
		t.Errorf("exim4 -bP says\n%swant\n%s", out, want)
	}
}

// openDir is a temporary directory that Exim can enter: with -C it reads the ACLs
// as its own user, even when root started it.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func writeText(t *testing.T, p *plan.Plan, dir string) {
	t.Helper()
	files, err := Files(p, nil, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestInstallRemoves: taking it away leaves nothing of exipol's, and whatever else
// the site keeps in the directory.
func TestInstallRemoves(t *testing.T) {
	for _, layout := range []string{"debian", "upstream", "custom"} {
		for name, own := range map[string]bool{"own directory": true, "with a file of the site's": false} {
			t.Run(layout+" "+name, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "exipol")
				p := installPlan(t, layout, dir)
				writeText(t, p, dir)
				mine := filepath.Join(dir, "mine.hcl")
				if !own {
					if err := os.WriteFile(mine, nil, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				steps := block(t, p, "Taking it away again", "cd "+dir)
				if strings.Contains(steps, "rm -r") {
					t.Fatalf("no removal of named files in\n%s", steps)
				}
				if out, err := exec.Command("/bin/sh", "-ec", steps).CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				left, err := filepath.Glob(dir + "/*")
				if _, gone := os.Stat(dir); err != nil || own != os.IsNotExist(gone) || own != (len(left) == 0) {
					t.Errorf("left: %q", left)
				}
			})
		}
	}
}
