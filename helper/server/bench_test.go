package server

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var errAgain = syscall.EAGAIN

// BenchmarkServe is a new connection for each question, as Exim makes them, from
// another process with blocking system calls on threads of its own: the two accept
// loops beside each other. The handler does nothing, at once or later.
func BenchmarkServe(b *testing.B) {
	for _, clients := range []int{1, 8, 64} {
		for _, loop := range []string{"portable", "raw", "portable-later", "raw-later"} {
			b.Run(fmt.Sprintf("clients=%d/%s", clients, loop), func(b *testing.B) {
				path := filepath.Join(b.TempDir(), "s")
				ln, release, err := Listen(path, "")
				if err != nil {
					b.Fatal(err)
				}
				defer release()
				h := Handler(echo)
				if strings.HasSuffix(loop, "later") {
					h = waiting(func(_ context.Context, line string) []byte { return []byte(line) })
				}
				s := New(h, Options{Portable: strings.HasPrefix(loop, "portable"), Log: slog.New(slog.DiscardHandler)})
				done := make(chan error, 1)
				go func() { done <- s.Serve(ln) }()
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), fmt.Sprintf("BENCH_CLIENT=%s %d %d", path, clients, b.N))
				cmd.Stderr = os.Stderr
				before := cpu(b)
				b.ResetTimer()
				if err := cmd.Run(); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "questions/s")
				b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1000/float64(b.N), "server-cpu-us/question")
				_ = s.Shutdown(b.Context())
				<-done
			})
		}
	}
}

// cpu is what this process has used; unlike the rate it means something on a busy
// machine, too.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestMain is also the benchmark's client.
func TestMain(m *testing.M) {
	var path string
	var clients, n int
	if _, err := fmt.Sscan(os.Getenv("BENCH_CLIENT"), &path, &clients, &n); err != nil {
		os.Exit(m.Run())
	}
	var wg sync.WaitGroup
	for c := range clients {
		mine := n / clients
		if c == 0 {
			mine += n % clients
		}
		wg.Go(func() {
			runtime.LockOSThread()
			for range mine {
				if err := rawExchange(path); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
			}
		})
	}
	wg.Wait()
}

var question = []byte("v=1 plan=0123456789abcdef01234567 at=rcpt.after traffic=inbound events=recipient nonce=1.2 ip=192.0.2.1 helo=eA== sender=eA== rcpt=eA== auth=\n")

// rawExchange makes the system calls that Exim makes.
func rawExchange(path string) error {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		return err
	}
	if _, err := syscall.Write(fd, question); err != nil {
		return err
	}
	if err := syscall.Shutdown(fd, syscall.SHUT_WR); err != nil {
		return err
	}
	var buf [256]byte
	total := 0
	for {
		n, err := syscall.Read(fd, buf[:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		total += n
	}
	if total == 0 {
		return fmt.Errorf("empty answer")
	}
	return nil
}
