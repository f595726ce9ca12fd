package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// account is a user as the kernel sees one. What it may do is told from the owners,
// groups and modes of files, so that root can say what others are kept from.
type account struct {
	name string
	uid  uint32
	gids []uint32
}

// What is wanted of a file, as the bits of its mode for others.
const (
	toRead  fs.FileMode = 4
	toWrite fs.FileMode = 2
	toPass  fs.FileMode = 1
)

func (a account) may(info fs.FileInfo, want fs.FileMode) bool {
	of, ok := info.Sys().(*syscall.Stat_t)
	if !ok || a.uid == 0 {
		return true
	}
	mode := info.Mode().Perm()
	switch {
	case of.Uid == a.uid:
		mode >>= 6
	case slices.Contains(a.gids, of.Gid):
		mode >>= 3
	}
	return mode&want == want
}

// obstacle is a directory that an account cannot pass, or a file of which it cannot
// have what it wants.
type obstacle struct {
	path string
	info fs.FileInfo
}

// obstacle is what keeps the account from a file, nil for nothing. An error means that
// this process cannot look.
func (a account) obstacle(path string, want fs.FileMode) (*obstacle, error) {
	path, err := filepath.Abs(path)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return nil, err
	}
	way := []string{path}
	for path != filepath.Dir(path) {
		path = filepath.Dir(path)
		way = append(way, path)
	}
	for i, p := range slices.Backward(way) {
		info, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		wanted := toPass
		if i == 0 {
			wanted = want
		}
		if !a.may(info, wanted) {
			return &obstacle{p, info}, nil
		}
	}
	return nil, nil
}

// group is the obstacle's group, by name.
func (o *obstacle) group() string { return groupName(gidOf(o.info)) }

func (o *obstacle) String() string {
	return fmt.Sprintf("%s belongs to %s:%s and has the mode %04o", o.path, userName(uidOf(o.info)), o.group(), o.info.Mode().Perm())
}

// mend is how to let the account in.
func (o *obstacle) mend(a account, want fs.FileMode) string {
	if o.info.IsDir() {
		want = toPass
	}
	switch inGroup := o.info.Mode().Perm()>>3&want == want; {
	case inGroup && gidOf(o.info) != 0:
		return fmt.Sprintf("usermod -a -G %s %s, then restart exipold", o.group(), a.name)
	case o.info.IsDir():
		return "chmod a+x " + o.path
	}
	return "let " + a.name + " read it: by its group, and mode 0640"
}

func uidOf(info fs.FileInfo) uint32 {
	if of, ok := info.Sys().(*syscall.Stat_t); ok {
		return of.Uid
	}
	return 0
}

func gidOf(info fs.FileInfo) uint32 {
	if of, ok := info.Sys().(*syscall.Stat_t); ok {
		return of.Gid
	}
	return 0
}

// accountOf finds a user by name or number in the system's lists.
func accountOf(name string) (account, bool) {
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return account{}, false
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return account{}, false
	}
	a := account{name: u.Username, uid: uint32(uid)}
	ids, _ := u.GroupIds()
	for _, id := range append(ids, u.Gid) {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil {
			a.gids = append(a.gids, uint32(n))
		}
	}
	return a, true
}

// groupNumber finds a group by name or number.
func groupNumber(name string) (uint32, bool) {
	id := name
	if g, err := user.LookupGroup(name); err == nil {
		id = g.Gid
	}
	n, err := strconv.ParseUint(id, 10, 32)
	return uint32(n), err == nil
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

func groupName(gid uint32) string {
	id := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}

// asRoot is the mend where this process may not look at a file: who may.
func asRoot(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return "run this as root"
	}
	for {
		info, err := os.Stat(path)
		if err != nil && path != filepath.Dir(path) {
			path = filepath.Dir(path) // in a directory that lets nobody else in
			continue
		}
		if err == nil && info.Mode()&0o040 != 0 && gidOf(info) != 0 {
			return "run this as root, or as a member of " + groupName(gidOf(info))
		}
		return "run this as root"
	}
}
