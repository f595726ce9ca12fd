package main

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// mostClients is the largest number of clients of any load.
const mostClients = 64

// source makes questions: it appends the n-th to buf and says what a right answer
// holds.
type source func(buf []byte, n int64) (question, want []byte)

// sample is what one load measured.
type sample struct {
	rate float64 // answers a second
	took []int64 // ns, sorted
	cpu  float64 // of the server, us an answer
}

// at is a quantile of the times, in ms.
func (s sample) at(q float64) float64 {
	if len(s.took) == 0 {
		return 0
	}
	return float64(s.took[min(int(q*float64(len(s.took))), len(s.took)-1)]) / 1e6
}

// counter numbers the questions of the whole run, so that no two are the same.
var counter atomic.Int64

// ask puts questions to a server from so many clients for d: each asks again when it
// has its answer. With a rate, the questions are due at fixed times in place of that,
// so many a second over all clients, and each one's time is counted from when it was
// due, whether or not its client was free by then.
func ask(p *process, from source, clients int, d time.Duration, rate float64) (sample, error) {
	type result struct {
		took []int64
		err  error
	}
	results := make([]result, clients)
	var ready, done sync.WaitGroup
	begin := make(chan time.Time)
	ready.Add(clients)
	for i := range clients {
		done.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			c := &client{at: &syscall.SockaddrUnix{Name: p.socket}, from: from}
			c.took = make([]int64, 0, 1<<15)
			ready.Done()
			start := <-begin
			if rate > 0 {
				c.preciseSleep()
				every := time.Duration(float64(clients) / rate * float64(time.Second))
				first := start.Add(every * time.Duration(i) / time.Duration(clients))
				results[i].err = c.openLoop(first, start.Add(d), every)
			} else {
				results[i].err = c.closedLoop(start.Add(d))
			}
			results[i].took = c.took
		})
	}
	ready.Wait()
	before := p.cpu()
	start := time.Now()
	for range clients {
		begin <- start
	}
	done.Wait()
	elapsed := time.Since(start)
	used := p.cpu() - before
	var s sample
	for _, r := range results {
		if r.err != nil {
			return s, fmt.Errorf("%s: %w", p.name, r.err)
		}
		s.took = append(s.took, r.took...)
	}
	slices.Sort(s.took)
	s.rate = float64(len(s.took)) / elapsed.Seconds()
	s.cpu = float64(used.Microseconds()) / float64(max(len(s.took), 1))
	return s, nil
}

// client asks as Exim does: a new connection for each question, and blocking system
// calls.
type client struct {
	at     *syscall.SockaddrUnix
	from   source
	took   []int64
	buf    [1024]byte
	answer [512]byte
}

func (c *client) closedLoop(end time.Time) error {
	for {
		start := time.Now()
		if start.After(end) {
			return nil
		}
		if err := c.exchange(); err != nil {
			return err
		}
		c.took = append(c.took, int64(time.Since(start)))
	}
}

func (c *client) openLoop(due, end time.Time, every time.Duration) error {
	for ; due.Before(end); due = due.Add(every) {
		if wait := time.Until(due); wait > 0 {
			t := syscall.NsecToTimespec(int64(wait))
			_ = syscall.Nanosleep(&t, nil)
		}
		if err := c.exchange(); err != nil {
			return err
		}
		c.took = append(c.took, int64(time.Since(due)))
	}
	return nil
}

// preciseSleep has the kernel not round this thread's sleeps up (50 us by default).
func (c *client) preciseSleep() {
	const setTimerSlack = 29 // PR_SET_TIMERSLACK
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, 1, 0)
}

func connect(at *syscall.SockaddrUnix) (int, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	for {
		err = syscall.Connect(fd, at)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		_ = syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// exchange is one question and its answer: the system calls of Exim's readsocket.
func (c *client) exchange() error {
	question, want := c.from(c.buf[:0], counter.Add(1))
	fd, err := connect(c.at)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer syscall.Close(fd)
	if _, err := syscall.Write(fd, question); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := syscall.Shutdown(fd, syscall.SHUT_WR); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	got := 0
	for {
		n, err := syscall.Read(fd, c.answer[got:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if n == 0 {
			break
		}
		got += n
	}
	if !bytes.Contains(c.answer[:got], want) {
		return fmt.Errorf("asked %q, and the answer is %q, without %q", question, c.answer[:got], want)
	}
	return nil
}
