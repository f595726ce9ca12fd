package emit

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"exipol/generator/plan"
)

// installOutbound is an outbound plan of a layout.
func installOutbound(t *testing.T, layout, directory string) *plan.Plan {
	t.Helper()
	p := outbound("/run/exipol/exipold.sock", "/var/lib/exipol/blocked")
	p.Layout, p.Directory, p.Store = layout, directory, plan.Store{Kind: "sqlite", Path: "/var/lib/exipol/exipol.db"}
	p.Mainlog = []string{"/var/log/exim4/mainlog"}
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestInstallOutbound: what the policies need besides is said, and only where they do.
func TestInstallOutbound(t *testing.T) {
	for _, layout := range []string{"debian", "upstream", "custom"} {
		says := map[string]bool{}
		for _, change := range []struct {
			change func(*plan.Plan)
			not    []string
		}{
			{func(*plan.Plan) {}, nil},
			{func(p *plan.Plan) {
				p.Limits, p.Stages = nil, p.Stages[3:4]
				p.Stages[0].Before, p.Stages[0].After = nil, nil
			},
				[]string{"exipold-desk", "mainlog", "event_action", "acl_not_smtp", "acl_smtp_auth", "exipol/blocked", "case list"}},
			{func(p *plan.Plan) { p.Source, p.Limits = plan.FromEvent, p.Limits[:1]; p.Stages = p.Stages[6:] }, []string{"mainlog", "case list"}},
			{func(p *plan.Plan) {
				for i := range p.Limits {
					p.Limits[i].Mode = plan.Observe
				}
			}, []string{"exipold-desk", "exipol/blocked", "case list"}},
		} {
			p := installOutbound(t, layout, "/etc/exim/exipol")
			change.change(p)
			text := installSteps(t, p)
			for _, want := range []string{"systemctl enable --now exipold-desk.service", "exipold desk --plan /etc/exipol/plan.json", "/run/exipold-desk.pid", "/var/log/exim4/mainlog", "event_action",
				"acl_not_smtp", "acl_smtp_auth", "/var/lib/exipol/blocked", "exipold case list"} {
				says[want] = says[want] || strings.Contains(text, want)
			}
			for _, not := range append(change.not, "acl_smtp_not_smtp", "acl_smtp_delivery", "<no value>", "\n\n\n") {
				if strings.Contains(text, not) {
					t.Errorf("%s: %q in\n%s", layout, not, text)
				}
			}
			for line := range strings.Lines(text) {
				if len(line) > 81 && !strings.Contains(line, "event_action = ") {
					t.Errorf("%s: a line of %d columns: %s", layout, len(line)-1, line)
				}
			}
			for _, b := range blocks(text, "") {
				if out, err := exec.Command("sh", "-nc", b).CombinedOutput(); err != nil && !strings.Contains(b, ".include") && !strings.Contains(b, "event_action") {
					t.Errorf("%s: %v\n%s%s", layout, err, out, b)
				}
			}
		}
		for want, there := range says {
			if !there {
				t.Errorf("%s: nothing says %q", layout, want)
			}
		}
	}
}

// TestInstallOutboundDebian types the steps on Debian's own configuration, split and not: Exim then
// has the ACLs and the transports their line, and without exipol all is as before.
func TestInstallOutboundDebian(t *testing.T) {
	for _, split := range []bool{true, false} {
		t.Run(map[bool]string{true: "split", false: "unsplit"}[split], func(t *testing.T) {
			d := newDebian(t, split)
			before := read(t, d.make())
			dir := d.dir + "/exipol"
			p := installOutbound(t, "debian", dir)
			p.Stages[3].SiteACL, p.Stages[4].SiteACL = "acl_check_rcpt", "acl_check_data"
			p.Stages[2].SiteACL = "acl_check_mail"
			if err := p.Seal(); err != nil {
				t.Fatal(err)
			}
			writeText(t, p, dir)
			here := func(s string) string { return strings.ReplaceAll(s, "/etc/exim4/", d.dir+"/") }
			for range 2 { // typed again, it changes nothing more
				d.shell(here(block(t, p, "2. Exim", "file=")))
				d.shell(here(block(t, p, "2. Exim", "action=")))
			}
			config := d.make()
			d.shell("exim4 -C " + config + " -bV")
			got := d.shell("exim4 -C " + config + " -bP acl_smtp_auth acl_not_smtp acl_smtp_rcpt event_action")
			if want := "acl_smtp_auth = exipol_auth\nacl_not_smtp = exipol_not_smtp\nacl_smtp_rcpt = exipol_rcpt\nevent_action = " + string(eventAction) + "\n"; got != want {
				t.Errorf("exim4 -bP says\n%swant\n%s", got, want)
			}
			for _, transport := range []string{"remote_smtp", "remote_smtp_smarthost"} {
				if got := d.shell("exim4 -C " + config + " -bP transport " + transport); !strings.Contains(got, "event_action = "+string(eventAction)+"\n") {
					t.Errorf("%s:\n%s", transport, got)
				}
			}
			remove, _, _ := strings.Cut(block(t, p, "Taking it away again", "for file in "), "update-exim4.conf")
			d.shell(here(remove))
			d.shell(here(block(t, p, "Taking it away again", "rm -f /etc/exim4")))
			if after := read(t, d.make()); after != before {
				t.Error("taken away again, the configuration is not what it was")
			}
			left, err := filepath.Glob(d.dir + "/conf.d/transport/*exipol*")
			if err != nil || left != nil {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// TestInstallDesk types the steps for exipold-desk without systemd, and those that end it.
func TestInstallDesk(t *testing.T) {
	root := t.TempDir()
	log := filepath.Join(root, "log")
	for _, dir := range []string{"bin", "run", "var/log"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, does := range stubs {
		if err := os.WriteFile(filepath.Join(root, "bin", name), []byte("#!/bin/sh\necho \""+name+" $*\" >>$LOG\n"+does+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	here := strings.NewReplacer("/run/", root+"/run/", "/var/", root+"/var/", "/etc/", root+"/etc/").Replace
	typed := func(steps string) {
		t.Helper()
		_ = os.Remove(log)
		cmd := exec.Command("bash", "-c", here(steps))
		cmd.Env = append(os.Environ(), "PATH="+root+"/bin:"+os.Getenv("PATH"), "LOG="+log)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s\n%s", err, out, steps)
		}
	}
	p := installOutbound(t, "debian", "/etc/exim4/exipol")
	typed(block(t, p, "1. The helper", "(\n"))
	pid := strings.TrimSpace(read(t, filepath.Join(root, "run/exipold-desk.pid")))
	t.Cleanup(func() { _ = exec.Command("kill", pid).Run() })
	waitFor(t, log, "exipold desk --plan "+root+"/etc/exipol/plan.json")
	typed("echo 1 >/run/exipold.pid; kill() { echo \"kill $*\" >>$LOG; command kill $*; }\nrm /run/exipold.pid\n" + block(t, p, "Taking it away again", "if test -f"))
	order(t, read(t, log), "kill "+pid, "systemctl disable --now exipold.socket exipold.service")
	waitFor(t, log, "exipold TERM") // its last word: the folder can go
	if _, err := os.Stat(filepath.Join(root, "run/exipold-desk.pid")); !os.IsNotExist(err) {
		t.Errorf("the number of a process that has ended is left: %v", err)
	}
}
