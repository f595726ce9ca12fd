package eximtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"unsafe"
)

// NameServer is the address with port at which a process made by [Alone] looks for its
// name server.
const NameServer = "127.0.0.153:53"

// aloneMark is set in the processes that Alone makes, to the name of their test.
const aloneMark = "EXIMTEST_ALONE"

// Alone runs a test in a process of its own whose name server is at [NameServer]: Exim
// asks whom /etc/resolv.conf names, and no option of Exim's changes that. The process has
// mounts of its own, with another such file, and a network of its own that is nothing but
// loopback, so that several may use the one port. It begins the test anew, and there
// Alone is true; in the process that go test started, it is false when that has ended,
// and the test has nothing left to do:
//
//	func TestWithDNS(t *testing.T) {
//		if !eximtest.Alone(t) {
//			return
//		}
//		...
//	}
//
// Linux only. A caller who is not root needs a kernel that lets him make user namespaces.
func Alone(t T) bool {
	t.Helper()
	if os.Getenv(aloneMark) == t.Name() {
		if err := settle(); err != nil {
			t.Fatalf("a network and a name server of our own: %v", err)
		}
		return true
	}
	if strings.Contains(t.Name(), "/") {
		t.Fatalf("only a whole test can run alone, not %s", t.Name())
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), aloneMark+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
	}
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		const netBindService, netAdmin, sysAdmin = 10, 12, 21 // linux/capability.h
		cmd.SysProcAttr.AmbientCaps = []uintptr{netBindService, netAdmin, sysAdmin}
	}
	runtime.LockOSThread() // Pdeathsig is about the thread that starts the process
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		t.Errorf("in a process of its own: %v", err)
	case err != nil:
		t.Fatalf("start a process of its own: %v", err)
	case !strings.Contains(string(out), "--- PASS: "+t.Name()+" "):
		t.Errorf("in a process of its own it did not run")
	}
	return false
}

// settle makes the namespaces that this process was born in what Alone promises.
func settle() error {
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	// What is mounted here must not show outside. Below chroot, where / need not be a
	// mount, that is for those to see to who called chroot.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		mounts, rerr := os.ReadFile("/proc/self/mountinfo")
		if rerr != nil || strings.Contains(string(mounts), " shared:") {
			return fmt.Errorf("private mounts: %w", err)
		}
	}
	dir, err := os.MkdirTemp("", "resolv")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // a mounted file stays
	host, _, _ := strings.Cut(NameServer, ":")
	file := filepath.Join(dir, "resolv.conf")
	//nolint:gosec // Exim's user reads it
	if err := os.WriteFile(file, []byte("nameserver "+host+"\noptions timeout:2 attempts:2\n"), 0o644); err != nil {
		return err
	}
	if err := syscall.Mount(file, "/etc/resolv.conf", "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount another /etc/resolv.conf: %w", err)
	}
	return nil
}

// loopbackUp switches the interface on, which a new network has switched off
// (netdevice(7)).
func loopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	var request [40]byte // struct ifreq: 16 bytes of name, then the flags
	copy(request[:], "lo")
	binary.NativeEndian.PutUint16(request[16:], syscall.IFF_UP|syscall.IFF_RUNNING)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request[0]))); errno != 0 {
		return errno
	}
	return nil
}
