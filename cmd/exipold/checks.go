package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"

	"exipol/generator/plan"
	"exipol/helper/store"
)

// checkRunning asks the running exipold.
func (d *doctor) checkRunning(ctx context.Context) {
	r, err := running(ctx, d.socket)
	if err != nil {
		remedy := "start exipold (systemctl start exipold.socket exipold.service), and look at its log"
		if errors.Is(err, fs.ErrPermission) {
			remedy = asRoot(d.socket)
		}
		d.say(broken, "running", "nobody answers on "+d.socket+": "+err.Error(), remedy)
		return
	}
	d.running = r
	if len(r.Plans) == 0 || r.Plans[0] != d.plan.ID {
		held := "none"
		if len(r.Plans) > 0 {
			held = r.Plans[0]
		}
		d.say(broken, "running", fmt.Sprintf("exipold answers by plan %s, the file is plan %s", held, d.plan.ID), "systemctl reload exipold (or, without systemd, kill -HUP $(cat /run/exipold.pid)); where that changes nothing, its log says why")
	} else {
		d.say(fine, "running", "exipold answers on "+d.socket+" by this plan", "")
	}
	if r.UnknownPlan > 0 {
		d.say(warning, "unknown-plan", fmt.Sprintf("Exim asked %d times by a plan that exipold does not hold", r.UnknownPlan), "install the exipol.acl of this plan and reload Exim, then reload exipold")
	}
	if r.Trouble != "" {
		d.say(broken, "trouble", "the store fails at the moment: "+r.Trouble, "see the findings about the store and the disk")
	}
	if r.Malformed > 0 {
		d.say(warning, "malformed", fmt.Sprintf("%d questions could not be read", r.Malformed), "install the exipol.acl of the same version as exipold")
	}
}

// planIn finds the plan that an Exim text asks by.
var planIn = regexp.MustCompile(`\bv=1 plan=([0-9a-f]+)`)

// checkText compares the installed Exim text with the plan.
func (d *doctor) checkText() {
	file := filepath.Join(d.plan.Directory, "exipol.acl")
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.say(broken, "acl", file+" is not there", "install it, as INSTALL.txt says")
		return
	case err != nil:
		d.say(warning, "acl", err.Error(), asRoot(file))
		return
	}
	found := planIn.FindAllSubmatch(text, -1)
	for _, m := range found {
		if id := string(m[1]); id != d.plan.ID {
			d.say(broken, "acl", fmt.Sprintf("%s asks by plan %s, the plan is %s", file, id, d.plan.ID), "copy exipol.acl and plan.json from the same exipol build, and reload Exim and exipold")
			return
		}
	}
	if len(found) == 0 && len(d.plan.Stages) > 0 {
		d.say(warning, "acl", file+" asks exipold nothing", "copy exipol.acl and plan.json from the same exipol build")
		return
	}
	d.say(fine, "acl", file+" asks by this plan", "")
}

// checkStore compares the store with the plan's schema, and says what is switched off.
func (d *doctor) checkStore(ctx context.Context) {
	var hosts servers
	if d.plan.Store.Kind == plan.MySQL {
		var usable bool
		if hosts, usable = d.askServers(ctx); !usable {
			return
		}
	}
	s, err := openStore(ctx, d.plan, storeOptions{wait: hostsSeen})
	if err == nil {
		defer s.Close()
	}
	d.judgeServers(ctx, hosts, s)
	if err != nil {
		d.badStore(err)
		return
	}
	missing, err := s.Pending(ctx, d.plan.Tables)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("store %s: %w (%s to run)", s.Name(), store.ErrMissing, number(len(missing), "statement", "statements"))
	}
	if err != nil {
		d.badStore(err)
		return
	}
	d.say(fine, "store", d.plan.Store.String()+" has what this plan needs", "")
	r, err := s.Runtime(ctx, s.Now().UnixMilli())
	if err != nil {
		d.badStore(err)
		return
	}
	for _, o := range switches(r) {
		d.say(remark, "off", fmt.Sprintf("%s by %s, %s: %s", o.Policy, readable(o.Owner), ends(o.Until), strconv.Quote(o.Why)), "")
	}
}

func (d *doctor) badStore(err error) {
	remedy := mend(err, d.plan)
	var said mended
	if errors.As(err, &said) {
		err = said.error // what mends it stands beside it
	}
	switch {
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
		remedy = "run this as root, or as " + d.helper.name
	case errors.Is(err, store.ErrMissing):
		remedy = "exipold migrate --plan " + d.planFile
		if d.helper.name != "" && d.helper.uid != uint32(os.Geteuid()) {
			remedy = "runuser -u " + d.helper.name + " -- " + remedy
		}
	}
	if d.plan.Store.Kind == plan.SQLite {
		remedy = cmp.Or(remedy, "look at the file and its directory")
	}
	d.say(broken, "store", err.Error(), remedy)
}

// Room on the store's disk below which the doctor warns, and calls it broken.
const (
	littleRoom = 512 << 20
	noRoom     = 32 << 20
)

// checkDisk looks at the disk of the store's file. Where that is on a server, what exipold writes here is little.
func (d *doctor) checkDisk() {
	dir := ownDir(d.plan)
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		d.say(warning, "disk", dir+": "+err.Error(), "")
		return
	}
	free := int64(st.Bavail) * int64(st.Bsize)
	text := fmt.Sprintf("%d MiB free for %s", free>>20, dir)
	switch {
	case free < noRoom:
		loss := "nothing can be counted"
		if d.plan.Store.Kind == plan.MySQL {
			loss = "no new plan is remembered, and Exim does not hear of new blocks for when exipold is away"
		}
		d.say(broken, "disk", text, "make room: without it "+loss)
	case free < littleRoom && d.plan.Store.Kind == plan.SQLite:
		d.say(warning, "disk", text, "make room soon")
	default:
		d.say(fine, "disk", text, "")
	}
}
