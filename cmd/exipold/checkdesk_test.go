package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/testplan"
)

// newStolenWorld is a store of the plan that holds the mail of stolen passwords, where others can come in.
func newStolenWorld(t *testing.T, change func(*plan.Plan)) *deskWorld {
	t.Helper()
	dir := openDir(t)
	p := testplan.Desk(dir)
	if change != nil {
		change(p)
	}
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "plan.json"), b, 0o644); err != nil {
		t.Fatal(err)
	}
	return openDeskWorld(t, dir)
}

// examined is what the doctor says of the desk, for an Exim of some user and group.
func (w *deskWorld) examined(uid, gid int) *doctor {
	w.t.Helper()
	b, err := os.ReadFile(w.plan)
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := plan.Decode(strings.NewReader(string(b)))
	if err != nil {
		w.t.Fatal(err)
	}
	d := &doctor{plan: p, planFile: w.plan, exim: eximSaying(w.t, uid, gid), helper: account{name: "exipold", uid: stranger}}
	d.findEximUser(w.t.Context())
	d.checkBlocked()
	d.checkDesk(w.t.Context())
	return d
}

// says compares what the doctor says of one thing with patterns.
func (w *deskWorld) says(d *doctor, check string, patterns ...string) {
	w.t.Helper()
	want(w.t, d.found(check), patterns...)
}

func TestDoctorOfTheDesk(t *testing.T) {
	w := newStolenWorld(t, nil)
	input := filepath.Join(w.dir, "input")
	if err := os.Mkdir(input, 0o750); err != nil {
		t.Fatal(err)
	}
	w.says(w.examined(stranger, stranger+1), "desk", `error +desk: exipold desk has never run here: nobody is told`, `mend: systemctl enable --now exipold-desk`, `warning +desk: user exipold is not in Exim's group`)
	p := testplan.Desk(w.dir)
	leave, err := leaveMark(p, "mx1")
	if err != nil {
		t.Fatal(err)
	}
	d := w.examined(stranger, stranger+1)
	w.says(d, "desk", `ok +desk: exipold desk runs \(user \S+, gateway mx1\)`)
	if os.Geteuid() != 0 {
		w.says(d, "desk", `error +desk: user \S+ is not in Exim's group .*can neither see what is held, nor thaw`, `mend: usermod -a -G`)
	}
	leave()
	w.says(w.examined(stranger, stranger), "desk", `ok +desk: exipold desk ran last at 20`) // by cron
	w.mark(func(m *deskMark) { m.Started = m.Started.Add(-2 * byCron) })
	w.says(w.examined(stranger, stranger), "desk", `error +desk: exipold desk does not run, since some time after 20`)
	w.mark(func(m *deskMark) { m.Started, m.User, m.Groups, m.NoMore = time.Now(), stranger, []int{stranger}, true })
	w.says(w.examined(stranger+1, stranger+1), "desk", `error +desk: user \d+ is not in Exim's group`, `error +desk: exipold desk runs with NoNewPrivileges`)
	w.says(w.examined(stranger+1, stranger), "desk", `error +desk: exipold desk \(user \d+\) cannot read Exim's queue: `+input+` belongs to`, `mend: chmod g\+rx `+input)
	if err := os.WriteFile(markFile(p), []byte("rubbish"), 0o640); err != nil {
		t.Fatal(err)
	}
	w.says(w.examined(stranger, stranger), "desk", `warning +desk: .*desk.json: invalid character`)

	// What only observes opens nothing.
	watching := newStolenWorld(t, func(p *plan.Plan) {
		for i := range p.Limits {
			p.Limits[i].Mode = plan.Observe
		}
	})
	watching.says(watching.examined(stranger, stranger), "desk", `info +desk: exipold desk has never run here`)
}

// mark changes the mark that exipold desk left.
func (w *deskWorld) mark(change func(*deskMark)) {
	w.t.Helper()
	m, err := readMark(testplan.Desk(w.dir))
	if err != nil || m == nil || m.runs {
		w.t.Fatalf("%+v, %v", m, err)
	}
	change(m)
	var b strings.Builder
	if err := printJSON(&b, m); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "desk.json"), []byte(b.String()), 0o640); err != nil {
		w.t.Fatal(err)
	}
}

func TestDoctorOfNotices(t *testing.T) {
	w := newStolenWorld(t, nil)
	w.cases(0, "open", "limit.stolen", "auth=bob", "--reason", "x", "--gateway", "mx1")
	if got := w.examined(stranger, stranger).found("notices"); got != "" {
		t.Errorf("it waits for a moment: %s", got)
	}
	all, err := w.store.ClaimNotices(t.Context(), "mx1", time.Now().UnixMilli(), time.Now().UnixMilli()+1, 5)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	settle := func(due time.Time, text string) {
		t.Helper()
		n := all[0]
		n.Due, n.Error = max(0, due.UnixMilli()), text
		if err := w.store.SettleNotice(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	settle(time.Now().Add(-2*noticeLate), "")
	w.says(w.examined(stranger, stranger), "notices", `error +notices: 1 notice waits, the oldest since 20\S+, and nobody takes them`, `mend: systemctl enable`)
	settle(time.Now().Add(time.Hour), "not today")
	if got := w.examined(stranger, stranger).found("notices"); got != "" {
		t.Errorf("it is tried again: %s", got)
	}
	settle(time.Time{}, "given up: no such\x1bhost")
	w.says(w.examined(stranger, stranger), "notices", `warning +notices: 1 notice was given up, nobody was told: case 1 to notice.desk: "no such\\x1bhost"`, `exipold case show 1`)
}

// Exim has to come to the file of blocks.
func TestDoctorOfBlocks(t *testing.T) {
	w := newStolenWorld(t, nil)
	file := filepath.Join(w.dir, "blocked")
	w.says(w.examined(stranger, stranger), "blocked", `ok +blocked: Exim \(user \d+\) can read`)
	if err := os.WriteFile(file, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	w.says(w.examined(stranger, stranger), "blocked", `error +blocked: Exim \(user \d+\) cannot read `+file+`, so that no block`, `mend: usermod -a -G`)
	w.says(w.examined(stranger, os.Getegid()), "blocked", `ok +blocked`)
	if err := os.Chmod(w.dir, 0o700); err != nil { //nolint:gosec // nobody else is to come in
		t.Fatal(err)
	}
	w.says(w.examined(stranger, stranger), "blocked", `error +blocked: .*: `+w.dir+` belongs to`, `mend: chmod a\+x `+w.dir)
	if d := w.examined(stranger, stranger); len(d.findings) == 0 {
		t.Error("nothing is found")
	}
	none := newStolenWorld(t, func(p *plan.Plan) {
		for i := range p.Limits {
			p.Limits[i].OnFailure = plan.Pass
		}
	})
	if got := none.examined(stranger, stranger).found("blocked"); got != "" {
		t.Errorf("this plan keeps none: %s", got)
	}
}

// A desk that is killed between the mail and the store's word for it tells again, and the mail can be told for the same
// one: by its Message-ID.
func TestDeskKilled(t *testing.T) {
	w := newStolenWorld(t, nil)
	exim := filepath.Join(w.dir, "exim")
	script := fmt.Sprintf("#!/bin/sh\ncat >>%[1]s/mails\nif test -e %[1]s/deadly; then rm %[1]s/deadly; kill -9 $PPID; fi\n", w.dir)
	for name, text := range map[string]string{exim: script, filepath.Join(w.dir, "deadly"): ""} {
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.cases(0, "open", "limit.stolen", "auth=bob", "--reason", "x", "--gateway", "mx1")
	once := func() error {
		cmd := exec.Command(os.Args[0], "desk", "--once", "--plan", w.plan, "--gateway", "mx1", "--exim", exim)
		cmd.Args[0] = "exipold" // TestMain goes by that
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		return err
	}
	ids := func() (ids []string) {
		b, err := os.ReadFile(filepath.Join(w.dir, "mails"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if id, is := strings.CutPrefix(line, "Message-ID: "); is {
				ids = append(ids, id)
			}
		}
		return ids
	}
	if err := once(); err == nil || len(ids()) != 1 {
		t.Fatalf("%v, %q", err, ids())
	}
	if file, err := w.store.Case(t.Context(), 1); err != nil || file.Notices[0].Mailed != 0 || file.Notices[0].Due == 0 {
		t.Fatalf("%+v, %v", file.Notices, err)
	}
	if m, err := readMark(testplan.Desk(w.dir)); err != nil || m == nil || m.runs {
		t.Errorf("the dead one's mark: %+v, %v", m, err)
	}
	if err := once(); err != nil || len(ids()) != 1 {
		t.Fatalf("while its claim lasts nobody tells: %v, %q", err, ids())
	}
	// The claim ends.
	file, err := w.store.Case(t.Context(), 1)
	if err == nil {
		err = w.store.SettleNotice(t.Context(), file.Notices[0])
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := once(); err != nil {
			t.Fatal(err)
		}
	}
	if got := ids(); len(got) != 2 || got[0] != got[1] || !strings.HasPrefix(got[0], "<exipol.case1.block.notice.desk.") {
		t.Errorf("%q", got)
	}
}
