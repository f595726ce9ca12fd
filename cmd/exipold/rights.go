package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"exipol/generator/plan"
)

// findHelper finds out which user exipold runs as. Where none is running that says so,
// it is the user of that name, or else the owner of the store's directory.
func (d *doctor) findHelper() {
	if r := d.running; r != nil && len(r.Groups) > 0 {
		d.helper = account{name: userName(uint32(r.User)), uid: uint32(r.User)}
		for _, g := range r.Groups {
			d.helper.gids = append(d.helper.gids, uint32(g))
		}
		d.known = true
		return
	}
	a, ok := accountOf("exipold")
	if !ok {
		if at, err := os.Stat(ownDir(d.plan)); err == nil {
			a, ok = accountOf(strconv.FormatUint(uint64(uidOf(at)), 10))
		}
	}
	if !ok {
		a = account{name: "exipold"} // may everything: nothing is said of one who is not known
	}
	d.helper = a
}

// kept says that exipold cannot do what it must, with what keeps it. A guess at who it
// is and which groups systemd gives it is worth a warning only.
func (d *doctor) kept(check, what string, o *obstacle, mend string) {
	level := broken
	if !d.known {
		level = warning
	}
	d.say(level, check, fmt.Sprintf("exipold (user %s) %s: %s", d.helper.name, what, o), mend)
}

// checkPlanRights sees whether exipold can read the plan.
func (d *doctor) checkPlanRights() {
	if o, err := d.helper.obstacle(d.planFile, toRead); err == nil && o != nil {
		d.kept("plan", "cannot read "+d.planFile, o, o.mend(d.helper, toRead))
	}
}

// checkStoreRights sees whether exipold can write its own files, and the store where that is one of them: what root has
// made, or serve run by root once, shuts it out.
func (d *doctor) checkStoreRights() {
	dir := ownDir(d.plan)
	plans := filepath.Join(dir, "plans")
	o, err := d.helper.obstacle(dir, toRead|toWrite|toPass)
	if err == nil && o != nil {
		todo := "chown " + d.helper.name + ": " + dir
		if o.path != dir && o.info.IsDir() {
			todo = o.mend(d.helper, toPass)
		}
		d.shutOut(o, todo)
		return
	}
	remembered, _ := filepath.Glob(filepath.Join(plans, "*.json"))
	files := append([]string{filepath.Join(dir, poolsState), filepath.Join(dir, knownState), filepath.Join(dir, outageState), plans}, remembered...)
	if file := d.plan.Store.Path; d.plan.Store.Kind == plan.SQLite {
		files = append([]string{file, file + "-wal", file + "-shm"}, files...)
	}
	for _, path := range files {
		want := toRead | toWrite
		if path == plans {
			want |= toPass
		}
		if o, err := d.helper.obstacle(path, want); err == nil && o != nil {
			d.shutOut(o, "chown "+d.helper.name+": "+path)
		} else if d.helper.uid == 0 {
			d.checkOwner(path)
		}
	}
}

// checkOwner compares a file of the store with its directory: root may write to both,
// and whoever runs exipold next may not.
func (d *doctor) checkOwner(path string) {
	at, err := os.Stat(path)
	in, inErr := os.Stat(filepath.Dir(path))
	if err != nil || inErr != nil || uidOf(at) == uidOf(in) {
		return
	}
	whose := userName(uidOf(in))
	d.say(warning, "store", fmt.Sprintf("%s belongs to %s, and its directory to %s", path, userName(uidOf(at)), whose), "chown "+whose+": "+path)
}

// shutOut is an error even of an account that is guessed: systemd gives exipold more
// groups than the system's lists do, but the store is its own and no group's.
func (d *doctor) shutOut(o *obstacle, todo string) {
	what := "its store"
	if d.plan.Store.Kind == plan.MySQL {
		what = "its directory"
	}
	d.say(broken, "store", fmt.Sprintf("exipold (user %s) cannot write to %s: %s", d.helper.name, what, o), todo)
}

// checkSocketRights compares the socket's rights, and those of the directories above it,
// with what Exim needs.
func (d *doctor) checkSocketRights() {
	at, err := os.Stat(d.socket)
	if err != nil {
		return // checkRunning has said it
	}
	if mode := at.Mode().Perm(); mode&0o007 != 0 {
		d.say(warning, "socket", fmt.Sprintf("any local user may ask: the mode of %s is %04o", d.socket, mode), "use SocketMode=0660 in exipold.socket")
	} else if mode&0o060 != 0o060 {
		d.say(broken, "socket", fmt.Sprintf("the group may not ask: the mode of %s is %04o", d.socket, mode), "use SocketMode=0660 in exipold.socket")
	}
	exim := d.eximUser
	if exim == nil {
		return
	}
	group := exim.group
	o, err := exim.obstacle(d.socket, toWrite)
	switch {
	case err != nil:
		d.say(warning, "socket", err.Error(), asRoot(d.socket))
	case o == nil:
		d.say(fine, "socket", fmt.Sprintf("Exim (user %s, group %s) may ask on %s", exim.name, group, d.socket), "")
	case o.info.IsDir():
		d.say(broken, "socket", fmt.Sprintf("Exim (user %s) does not come to %s, so it cannot ask: %s", exim.name, d.socket, o), "chmod a+x "+o.path)
	case gidOf(at) != exim.gid:
		d.say(broken, "socket", fmt.Sprintf("%s does not belong to Exim's group %s: Exim cannot ask", d.socket, group),
			fmt.Sprintf("set SocketGroup=%s in exipold.socket; without systemd, usermod -a -G %s %s, or start exipold serve with --group %s; then restart it", group, group, d.helper.name, group))
	}
}
