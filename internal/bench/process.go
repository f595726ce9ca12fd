package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"exipol/helper"
)

// process is a server that was started here and is ended by its process id.
type process struct {
	name, socket string
	cmd          *exec.Cmd
	done         chan struct{}
	said         bytes.Buffer
}

// start runs a server and waits until its socket answers to connect.
func (b *bench) start(name, socket string, args ...string) *process {
	p := &process{name: name, socket: socket, cmd: exec.Command(args[0], args[1:]...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	p.cmd.Dir = b.dir
	// Where this program dies, so do its servers.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		b.Fatalf("start %s: %v", name, err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	b.Cleanup(p.stop)
	at := &syscall.SockaddrUnix{Name: socket}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if fd, err := connect(at); err == nil {
			_ = syscall.Close(fd)
			return p
		}
		select {
		case <-p.done:
			b.Fatalf("%s ended at once:\n%s", name, p.said.String())
		default:
		}
	}
	b.Fatalf("%s does not listen on %s", name, socket)
	return nil
}

// stop ends a server; it may be called twice.
func (p *process) stop() {
	select {
	case <-p.done:
		return
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// status is what an exipold says of itself, once it answers.
func (p *process) status() (helper.Status, error) {
	var s helper.Status
	conn, err := net.Dial("unix", p.socket)
	if err != nil {
		return s, err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, helper.StatusQuestion); err != nil {
		return s, err
	}
	return s, json.NewDecoder(conn).Decode(&s)
}

// cpu is the processor time that a server has used so far, by the kernel's clock of
// that process (clock_getcpuclockid(3)).
func (p *process) cpu() time.Duration {
	const schedulerClock = 2
	id := ^uintptr(p.cmd.Process.Pid)<<3 | schedulerClock
	var t syscall.Timespec
	// The kernel takes the clock's number as a 32-bit one.
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(uint32(id)), uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		return 0
	}
	return time.Duration(t.Nano())
}

// resident is a server's memory in MiB, and the part of it that is no file's.
func (p *process) resident() (total, own float64) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kb, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "VmRSS:":
			total = kb / 1024
		case "RssAnon:":
			own = kb / 1024
		}
	}
	return total, own
}

// machine is the line that says what this is measured on.
func machine() string {
	model := "unknown processor"
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	memory := ""
	text, _ = os.ReadFile("/proc/meminfo")
	if fields := strings.Fields(string(text)); len(fields) > 1 {
		kb, _ := strconv.ParseFloat(fields[1], 64)
		memory = fmt.Sprintf("%.0f GiB, ", kb/(1<<20))
	}
	return fmt.Sprintf("Machine: %d x %s, %sLinux %s, %s; load average at the start %s.",
		runtime.NumCPU(), model, memory, strings.TrimSpace(string(kernel)), runtime.Version(), loadAverage())
}

func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	if fields := strings.Fields(string(text)); len(fields) > 0 {
		return fields[0]
	}
	return "unknown"
}
