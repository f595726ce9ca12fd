// Package unprivileged says as whom tests run other people's servers: as the caller, and
// where the caller is root, as nobody. So nothing that a test starts has any privilege.
package unprivileged

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// Identity is a user and his group.
type Identity struct {
	UID, GID    uint32
	User, Group string // names for configurations, or the numbers where there are none
}

// Find returns the caller, or nobody where the caller is root. The error is that there is no such user.
func Find() (Identity, error) {
	if os.Getuid() != 0 {
		return named(uint32(os.Getuid()), uint32(os.Getgid())), nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return Identity{}, fmt.Errorf("root needs the user nobody to run servers without privilege: %w", err)
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return named(uint32(uid), uint32(gid)), nil
}

func named(uid, gid uint32) Identity {
	id := Identity{UID: uid, GID: gid, User: strconv.Itoa(int(uid)), Group: strconv.Itoa(int(gid))}
	if u, err := user.LookupId(id.User); err == nil {
		id.User = u.Username
	}
	if g, err := user.LookupGroupId(id.Group); err == nil {
		id.Group = g.Name
	}
	return id
}

// Become has a command run as this identity, in a process group of its own so that its
// children can be ended with it.
func (id Identity) Become(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: id.UID, Gid: id.GID}
	}
}

// Own gives a file or a folder to this identity, which only root can do, and only root need.
func (id Identity) Own(path string) error {
	if os.Getuid() != 0 {
		return nil
	}
	return os.Chown(path, int(id.UID), int(id.GID))
}
