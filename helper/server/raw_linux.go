package server

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// The accept loop on raw system calls. Threads block in accept, read the question
// that an honest client has sent by then, have the handler answer it, and close: five
// system calls and no goroutine. Whatever is not done in a moment (a silent
// client, a question that must be written down) goes to a goroutine, as in the
// portable loop. Measured against that loop in BenchmarkServe.

const (
	// acceptWait bounds how long a thread sleeps in accept, and so how long a
	// shutdown waits for it. A shutdown(2) would wake it earlier, but would break the
	// socket for systemd, too.
	acceptWait = 200 * time.Millisecond
	// patience is how long a thread waits for a question. Between an honest client's
	// connect and its write there are microseconds.
	patience = 2 * time.Millisecond
	// mostSilent is with how many silent clients about that patience ends: then only
	// a question that is there already is answered on the spot.
	mostSilent = 4
)

// AcceptThreads is how many threads block in accept while a server serves a Unix
// socket. Blocked so, each of them holds a processor of the runtime's (see
// runtime.GOMAXPROCS) until the runtime takes notice and takes it back, and whatever
// else the process does, the store's writer above all, waits that long. A program that
// serves should have so many more. Measured on two busy processors, with unknown keys
// from 64 clients: a third to twice as many answers a second, and half the slowest
// hundredth's time.
func AcceptThreads() int { return max(2, runtime.NumCPU()) }

func (s *Server) serveRaw(ln *net.UnixListener) error {
	f, err := ln.File()
	if err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	defer f.Close()
	fd := int(f.Fd()) // and makes accept block
	wait := syscall.NsecToTimeval(int64(acceptWait))
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &wait); err != nil {
		return errors.ErrUnsupported
	}
	errs := make([]error, AcceptThreads())
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			errs[i] = s.acceptLoop(fd)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *Server) acceptLoop(listener int) error {
	buf := make([]byte, 16<<10)
	for {
		if s.stop.Load() {
			return ErrClosed
		}
		n, _, errno := syscall.Syscall6(syscall.SYS_ACCEPT4, uintptr(listener), 0, 0, syscall.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
		case syscall.EAGAIN, syscall.EINTR, syscall.ECONNABORTED:
			continue
		case syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK:
			return fmt.Errorf("accept: %w", errno)
		default:
			_ = s.acceptFailed(errno)
			continue
		}
		s.accepted.Add(1)
		if fd := int(n); !s.answerNow(fd, buf) {
			continue
		}
		_ = syscall.Close(int(n))
	}
}

// answerNow does the whole of a connection where that can be done in a moment, and
// says whether the connection is done with; else it belongs to a goroutine now.
func (s *Server) answerNow(fd int, buf []byte) bool {
	flags := uintptr(syscall.MSG_DONTWAIT)
	if s.silent.Load() < mostSilent {
		wait := syscall.NsecToTimeval(int64(patience))
		if syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &wait) == nil {
			flags = 0
		}
	}
	n, _, errno := syscall.Syscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), flags, 0, 0)
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		s.handOver(fd, nil, nil)
		return false
	case errno != 0 || n == 0: // gone, or asked nothing
		return true
	}
	got := buf[:n]
	end := bytes.IndexByte(got, '\n')
	if end < 0 {
		s.handOver(fd, bytes.Clone(got), nil)
		return false
	}
	answer, later := s.handle(got[:end+1])
	if later != nil {
		s.handOver(fd, nil, later)
		return false
	}
	if len(answer) > 0 {
		_, _ = send(fd, answer)
	}
	return true
}

// handOver gives a connection to a goroutine. One whose question is there only needs
// to be written to, once; the other kind needs the poller and its deadlines.
func (s *Server) handOver(fd int, got []byte, later Later) {
	if later != nil {
		s.start(&answerOnly{fd: fd}, nil, later)
		return
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		_ = syscall.Close(fd)
		return
	}
	s.start(os.NewFile(uintptr(fd), "client"), got, nil)
}

// answerOnly is a connection from which nothing more is read. Writing never waits:
// an answer fits into an empty socket's buffer.
type answerOnly struct {
	mu sync.Mutex // a shutdown may close while the answer is written
	fd int        // -1: closed
}

func (c *answerOnly) Read([]byte) (int, error)         { return 0, os.ErrInvalid }
func (c *answerOnly) SetReadDeadline(time.Time) error  { return nil }
func (c *answerOnly) SetWriteDeadline(time.Time) error { return nil }

func (c *answerOnly) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 || len(b) == 0 {
		return 0, os.ErrClosed
	}
	return send(c.fd, b)
}

func (c *answerOnly) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return os.ErrClosed
	}
	fd := c.fd
	c.fd = -1
	return syscall.Close(fd)
}

// send writes without waiting, and without a signal where nobody reads.
func send(fd int, b []byte) (int, error) {
	n, _, errno := syscall.Syscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// wake ends an accept loop that waits: this one looks by itself.
func (s *Server) wake(ln net.Listener) {
	if _, ok := ln.(*net.UnixListener); ok && !s.o.Portable {
		return
	}
	ln.Close()
}
