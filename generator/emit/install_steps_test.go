package emit

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
)

// blocks are the indented parts of a section of INSTALL.txt, without the indent; those
// of all sections for "".
func blocks(text, section string) []string {
	lines := strings.Split(text, "\n")
	var all []string
	inside, open := section == "", false
	for i, line := range lines {
		if i+1 < len(lines) && strings.HasPrefix(lines[i+1], "-----") && section != "" {
			inside = strings.HasPrefix(line, section)
		}
		command, indented := strings.CutPrefix(line, "    ")
		switch {
		case !inside || !indented:
			open = false
		case open:
			all[len(all)-1] += command + "\n"
		default:
			all, open = append(all, command+"\n"), true
		}
	}
	return all
}

// block is the one block of a section that begins in this way.
func block(t *testing.T, p *plan.Plan, section, begins string) string {
	t.Helper()
	var found []string
	for _, b := range blocks(installSteps(t, p), section) {
		if strings.HasPrefix(b, begins) {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		t.Fatalf("section %q has %d blocks that begin with %q, want 1:\n%s", section, len(found), begins, installSteps(t, p))
	}
	return found[0]
}

// TestInstallShell has shells read every block. Those that are lines for files read as
// commands, too.
func TestInstallShell(t *testing.T) {
	for _, layout := range []string{"debian", "upstream", "custom"} {
		text := installSteps(t, installPlan(t, layout, "/etc/somewhere/exipol"))
		all := blocks(text, "")
		if len(all) < 15 {
			t.Errorf("%s: %d blocks only in\n%s", layout, len(all), text)
		}
		for _, b := range all {
			for _, shell := range []string{"sh", "bash"} {
				if out, err := exec.Command(shell, "-nc", b).CombinedOutput(); err != nil {
					t.Errorf("%s, %s: %v\n%s%s", layout, shell, err, out, b)
				}
			}
		}
	}
}

// stubs stand for the programs that only root may run, or that would change the machine.
// Each writes its name and arguments into $LOG.
var stubs = map[string]string{
	"install": "", "cp": "", "useradd": "", "runuser": "", "systemctl": "", "service": "", "userdel": "",
	"update-exim4.conf": "", "exim": "", "exim4": "",
	"getent":  "exit 2",
	"stat":    "echo mail",
	"setpriv": `while test "$1" != exipold; do shift; done; exec "$@"`,
	// The first stays, and logs what reaches it; later ones find it there. The wait is
	// done in short pieces, for a shell runs its trap between two commands.
	"exipold": `test ! -e $LOG.socket || { echo another process answers; exit 1; }
		: >$LOG.socket
		trap 'echo "exipold HUP" >>$LOG' HUP
		trap 'echo "exipold TERM" >>$LOG; rm -f $LOG.socket; exit 0' TERM
		while :; do /bin/sleep 0.05; done`,
	"sleep": "/bin/sleep 0.3",
}

// TestInstallWithoutSystemd types the blocks for a machine without systemd, in every
// layout: twice for the first time, then for changed policies, then away with it.
func TestInstallWithoutSystemd(t *testing.T) {
	for _, layout := range []string{"debian", "upstream", "custom"} {
		t.Run(layout, func(t *testing.T) {
			root := t.TempDir()
			log := filepath.Join(root, "log")
			for _, dir := range []string{"bin", "run", "var/log"} {
				if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for name, does := range stubs {
				script := "#!/bin/sh\necho \"" + name + " $*\" >>$LOG\n" + does + "\n"
				if err := os.WriteFile(filepath.Join(root, "bin", name), []byte(script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			here := strings.NewReplacer("/run/", root+"/run/", "/var/", root+"/var/", "/etc/", root+"/etc/").Replace
			typed := func(steps string) string {
				t.Helper()
				_ = os.Remove(log)
				cmd := exec.Command("bash", "-c", here(steps))
				cmd.Env = append(os.Environ(), "PATH="+root+"/bin:"+os.Getenv("PATH"), "LOG="+log)
				out, err := cmd.CombinedOutput()
				if err != nil && !strings.Contains(steps, "make uninstall") {
					t.Errorf("%v\n%s\n%s", err, out, steps)
				}
				return string(out)
			}
			p := installPlan(t, layout, "/etc/exim/exipol")
			all := blocks(installSteps(t, p), "1. The helper")
			if len(all) != 3 {
				t.Fatalf("%d blocks, want that for systemd and two without", len(all))
			}
			without := all[1] + all[2]
			if strings.Contains(without, "systemd") || strings.Contains(without, "systemctl") {
				t.Errorf("systemd, in place of systemd:\n%s", without)
			}
			typed(without)
			pidFile := filepath.Join(root, "run/exipold.pid")
			pid := read(t, pidFile)
			t.Cleanup(func() { _ = exec.Command("kill", strings.TrimSpace(pid)).Run() })
			order(t, read(t, log), "useradd ", "install -d -o root", "/var/lib/exipol", "plan.json", "runuser -u exipold -- exipold migrate", "/run/exipol", "exipold serve")
			if layout != "debian" && !strings.Contains(read(t, log), "exipold serve --plan "+root+"/etc/exipol/plan.json --group mail\n") {
				t.Errorf("the socket is not for Exim's group:\n%s", read(t, log))
			}

			if out := typed(without); !strings.Contains(out, "another process answers") || read(t, pidFile) != pid {
				t.Errorf("typed again: %s\nand the process is %s, not %s", out, read(t, pidFile), pid)
			}

			change := block(t, p, "When the policies change", map[bool]string{true: "install ", false: "group="}[layout == "debian"])
			typed(change)
			waitFor(t, log, "exipold HUP")
			order(t, read(t, log), "plan.json", "exipol.main exipol.acl", "-bV", map[bool]string{true: "service exim4 restart", false: "systemctl restart exim"}[layout == "debian"])

			typed(block(t, p, "Taking it away again", "if test -f"))
			order(t, read(t, log), "exipold TERM")
			if _, err := os.Stat(pidFile); !os.IsNotExist(err) {
				t.Errorf("the number of a process that has ended is left: %v", err)
			}
			if typed(change); !strings.Contains(read(t, log), "systemctl reload exipold") {
				t.Errorf("no reload where systemd has started it:\n%s", read(t, log))
			}
		})
	}
}

// order wants these in a text, one after the other.
func order(t *testing.T, text string, wants ...string) {
	t.Helper()
	rest := text
	for _, want := range wants {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Errorf("no %q in its place in\n%s", want, text)
			return
		}
		rest = after
	}
}

// waitFor waits until a file has this text.
func waitFor(t *testing.T, file, want string) {
	t.Helper()
	for range 200 {
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), want) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("no %q in %s", want, file)
}
