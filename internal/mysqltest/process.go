package mysqltest

import (
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// patience is how long anything here is waited for that should come soon. Long, because machines
// that run tests can be busy; nothing normal takes it up.
const patience = 60 * time.Second

// process is a server that runs, with what it started.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has, and was waited for
	meant  atomic.Bool   // it was told to end
}

// starts gives work to a thread that lives as long as this process: a parent's death signal is sent
// when the thread ends that started the child, and Go ends threads when it likes.
var starts = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// start starts a command that ends with this process, whatever ends this process.
func start(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	result := make(chan error, 1)
	starts() <- func() { result <- cmd.Start() }
	if err := <-result; err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		_ = syscall.Kill(-p.pid(), syscall.SIGKILL) // what it started, and left
		close(p.exited)
	}()
	return p, nil
}

// pid is the process id, and that of the process's group.
func (p *process) pid() int { return p.cmd.Process.Pid }

// gone says whether it ended.
func (p *process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// kill ends it, with what it started, as a crash would, and waits for it.
func (p *process) kill() {
	p.meant.Store(true)
	if !p.gone() {
		_ = syscall.Kill(-p.pid(), syscall.SIGKILL)
	}
	<-p.exited
}

// stop asks it to end, and says whether it did so in good time. If not, it is killed.
func (p *process) stop() bool {
	if p.gone() {
		return true
	}
	p.meant.Store(true)
	_ = syscall.Kill(p.pid(), syscall.SIGCONT) // a frozen one does not listen
	_ = syscall.Kill(p.pid(), syscall.SIGTERM)
	select {
	case <-p.exited:
		return true
	case <-time.After(patience):
		p.kill()
		return false
	}
}
