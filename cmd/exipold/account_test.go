package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"exipol/helper"
	"exipol/helper/store/sqlite"
	"exipol/helper/testplan"
)

// openDir is a directory that everybody can come to.
func openDir(t *testing.T) string {
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if o, err := (account{uid: stranger}).obstacle(dir, toPass); o != nil || err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("the directory for tests is not for everybody, so rights are not tested:", o, err)
		}
		t.Skip("the directory for tests is not for everybody:", o, err)
	}
	return dir
}

// stranger is nobody's number.
const stranger = 1<<31 - 7

func TestObstacle(t *testing.T) {
	dir := openDir(t)
	sub := filepath.Join(dir, "sub")
	file := filepath.Join(sub, "file")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	mine := []uint32{uint32(os.Getegid())}
	for _, c := range []struct {
		dir, file os.FileMode
		a         account
		want      os.FileMode
		at        string
	}{
		{0o750, 0o660, account{uid: stranger}, toWrite, sub},
		{0o750, 0o660, account{uid: stranger, gids: mine}, toWrite, ""},
		{0o750, 0o640, account{uid: stranger, gids: mine}, toWrite, file},
		{0o750, 0o640, account{uid: stranger, gids: mine}, toRead, ""},
		{0o755, 0o660, account{uid: stranger}, toWrite, file},
		{0o755, 0o666, account{uid: stranger}, toWrite, ""},
		{0o755, 0o606, account{uid: stranger, gids: mine}, toRead, file}, // the group's bits count, not the others'
		{0o705, 0o606, account{uid: stranger}, toRead, ""},
		{0o700, 0o600, account{uid: uint32(os.Geteuid())}, toRead | toWrite, ""},
		{0o700, 0o600, account{}, toRead | toWrite, ""}, // root
	} {
		if err := os.Chmod(sub, c.dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, c.file); err != nil {
			t.Fatal(err)
		}
		o, err := c.a.obstacle(file, c.want)
		at := ""
		if o != nil {
			at = o.path
		}
		if err != nil || at != c.at {
			t.Errorf("%v: at %q, %v", c, at, err)
		}
	}
}

// found is what the doctor says of one thing.
func (d *doctor) found(check string) string {
	var b strings.Builder
	d.print(&b)
	var out []string
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, " "+check+": ") || len(out) > 0 && strings.Contains(line, "mend: ") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// The doctor is root, and says what Exim and exipold are kept from.
func TestOthersRights(t *testing.T) {
	dir := openDir(t)
	p := testplan.New(dir)
	s, err := sqlite.Open(t.Context(), p.Store.Path, sqlite.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "mainlog")
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d := &doctor{plan: p, running: &helper.Status{User: stranger, Groups: []int{stranger}}}
	p.Mainlog = []string{log}
	d.findHelper()
	d.checkStoreRights()
	d.checkMainlog()
	if got := d.found("store"); !strings.Contains(got, "cannot write to its store: "+dir) || !strings.Contains(got, "mend: chown ") {
		t.Errorf("the store in a directory of another's: %s", got)
	}
	if got := d.found("mainlog"); !strings.Contains(got, "warning") || !strings.Contains(got, "cannot read "+log) {
		t.Errorf("the log of another's: %s", got)
	}
	needRoot(t, "only root can give files away")
	if err := os.Chown(dir, stranger, stranger); err != nil {
		t.Fatal(err)
	}
	d.findings = nil
	d.checkStoreRights()
	if got := d.found("store"); !strings.Contains(got, "its store: "+p.Store.Path) || !strings.Contains(got, "chown ") {
		t.Errorf("a store of another's: %s", got)
	}
	d = &doctor{plan: p, running: &helper.Status{Groups: []int{0}}} // run by root
	d.findHelper()
	d.checkStoreRights()
	if got := d.found("store"); !strings.Contains(got, "and its directory to "+strconv.Itoa(stranger)) {
		t.Errorf("a store of root's in another's directory: %s", got)
	}
	d = &doctor{plan: p}
	d.findHelper()
	if _, exists := accountOf("exipold"); !exists && d.helper.uid != 0 {
		t.Errorf("nobody knows who exipold is: %+v", d.helper)
	}
}

// needRoot ends a test that only root can go on with; where that is to be tested, it
// fails.
func needRoot(t *testing.T, why string) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// What root makes belongs to whom the directory belongs to.
func TestInherit(t *testing.T) {
	needRoot(t, "only root makes files for others")
	dir := t.TempDir()
	if err := os.Chown(dir, stranger, stranger); err != nil {
		t.Fatal(err)
	}
	if err := writePlan(dir, "plan.json", nil); err != nil {
		t.Fatal(err)
	}
	if code := run([]string{"migrate", "--plan", dir + "/plan.json"}, nil, &strings.Builder{}, os.Stderr); code != 0 {
		t.Fatal(code)
	}
	p := testplan.New(dir)
	s, err := openStore(t.Context(), p, storeOptions{create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	plans := filepath.Join(dir, "plans")
	h, err := helper.New(t.Context(), p, helper.Options{Store: s, Plans: plans})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{p.Store.Path, plans, filepath.Join(plans, p.ID+".json")} {
		at, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if of := at.Sys().(*syscall.Stat_t); of.Uid != stranger || of.Gid != stranger {
			t.Errorf("%s belongs to %d:%d", file, of.Uid, of.Gid)
		}
	}
	b, err := json.Marshal(h.Status())
	if err != nil || !strings.Contains(string(b), `"user":0,"groups":[0`) {
		t.Errorf("%s %v", b, err)
	}
}

// Exim is kept from a socket in a directory of exipold's.
func TestSocketRights(t *testing.T) {
	dir := openDir(t)
	run := filepath.Join(dir, "run")
	if err := os.Mkdir(run, 0o750); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	p := testplan.New(dir)
	d := &doctor{plan: p, socket: filepath.Join(run, "s"), exim: eximSaying(t, stranger, stranger), helper: account{name: "exipold"}}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: d.socket}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dir, socket os.FileMode
		group       int
		want        []string
	}{
		{0o750, 0o660, stranger, []string{"error", "so it cannot ask: " + run, "mend: chmod a+x " + run}},
		{0o755, 0o660, stranger, []string{"error", "does not belong to Exim's group", "usermod -a -G"}},
		{0o755, 0o660, os.Getegid(), []string{"ok", "may ask on " + d.socket}},
		{0o755, 0o600, os.Getegid(), []string{"error", "the group may not ask"}},
	} {
		if err := os.Chmod(run, c.dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d.socket, c.socket); err != nil {
			t.Fatal(err)
		}
		d.findings, d.exim = nil, eximSaying(t, stranger, c.group)
		d.findEximUser(t.Context())
		d.checkSocketRights()
		got := d.found("socket")
		if slices.ContainsFunc(c.want, func(w string) bool { return !strings.Contains(got, w) }) {
			t.Errorf("directory %v, socket %v, group %d: %s", c.dir, c.socket, c.group, got)
		}
	}
}

// eximSaying is a program that says who Exim is.
func eximSaying(t *testing.T, uid, gid int) string {
	file := filepath.Join(t.TempDir(), "exim")
	text := "#!/bin/sh\necho exim_user = " + strconv.Itoa(uid) + "\necho exim_group = " + strconv.Itoa(gid) + "\n"
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}
