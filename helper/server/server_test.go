package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"exipol/generator/wire"
)

// both runs a test on the accept loop that this system has, and on the portable one.
func both(t *testing.T, f func(t *testing.T, o Options)) {
	quiet := slog.New(slog.DiscardHandler)
	t.Run("portable", func(t *testing.T) { f(t, Options{Portable: true, Log: quiet}) })
	t.Run("raw", func(t *testing.T) { f(t, Options{Log: quiet}) })
}

// echo answers a question with itself; at once, unless it begins with "slow".
func echo(line []byte) ([]byte, Later) {
	text := strings.TrimSuffix(string(line), "\n")
	answer := func(context.Context) []byte {
		if strings.HasSuffix(text, "panic") {
			panic("asked to")
		}
		return []byte("<" + text + ">")
	}
	if strings.HasPrefix(text, "slow") {
		return nil, answer
	}
	return answer(nil), nil
}

// waiting is a handler that leaves everything for later.
func waiting(f func(ctx context.Context, line string) []byte) Handler {
	return func(line []byte) ([]byte, Later) {
		text := string(line)
		return nil, func(ctx context.Context) []byte { return f(ctx, text) }
	}
}

// start serves on a socket of its own until the test ends.
func start(t *testing.T, h Handler, o Options) (*Server, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, release, err := Listen(path, "")
	if err != nil {
		t.Fatal(err)
	}
	s := New(h, o)
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Errorf("serve: %v", err)
		}
		release()
		if _, err := os.Lstat(path); err == nil {
			t.Error("the socket is still there")
		}
	})
	return s, path
}

func dial(t testing.TB, path string) *net.UnixConn {
	t.Helper()
	for {
		c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		if err == nil {
			_ = c.SetDeadline(time.Now().Add(30 * time.Second))
			return c
		}
		if !errors.Is(err, errAgain) { // the queue is full: Exim's connect would wait
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}

// exchange asks as Exim does.
func exchange(t testing.TB, path, question string) string {
	t.Helper()
	c := dial(t, path)
	defer c.Close()
	if _, err := io.WriteString(c, question); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func TestOneQuestion(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		s, path := start(t, echo, o)
		long := strings.Repeat("x", 60<<10)
		for question, want := range map[string]string{
			"a\n":         "<a>",
			"slow\n":      "<slow>",
			"no newline":  "<no newline>",
			"two\nlines":  "<two>",
			long + "\n":   "<" + long + ">",
			"\n":          "<>",
			"panic\n":     wire.Answer{Verdict: wire.Failed}.String(),
			"panic":       wire.Answer{Verdict: wire.Failed}.String(),
			"slowpanic\n": wire.Answer{Verdict: wire.Failed}.String(),
			"":            "",
		} {
			if got := exchange(t, path, question); got != want {
				t.Errorf("%.20q: %.40q, want %.40q", question, got, want)
			}
		}
		if n := s.Stats().Panics; n != 3 {
			t.Errorf("%d panics counted, want 3", n)
		}
	})
}

// An answer comes at the newline: a client that keeps its side open need not wait.
func TestAnswerWithoutHalfClose(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		o.ReadTimeout = time.Hour
		_, path := start(t, echo, o)
		for _, parts := range [][]string{{"a\n"}, {"a", "b", "\n"}, {"slow", "ly\n"}} {
			c := dial(t, path)
			for _, p := range parts {
				time.Sleep(10 * time.Millisecond)
				if _, err := io.WriteString(c, p); err != nil {
					t.Fatal(err)
				}
			}
			got, err := io.ReadAll(c)
			if want := "<" + strings.TrimSuffix(strings.Join(parts, ""), "\n") + ">"; err != nil || string(got) != want {
				t.Errorf("%q: %q, %v", parts, got, err)
			}
			c.Close()
		}
	})
}

// A question that is too long reaches the handler cut off, so that no parser takes
// it for whole.
func TestHugeQuestion(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		var most int
		var mu sync.Mutex
		_, path := start(t, waiting(func(_ context.Context, line string) []byte {
			mu.Lock()
			most = max(most, len(line))
			mu.Unlock()
			return []byte("no")
		}), o)
		c := dial(t, path)
		defer c.Close()
		_, _ = c.Write(bytes.Repeat([]byte("x"), 10*wire.MaxQuestion)) // breaks when the server closes
		buf := make([]byte, 16)
		if n, _ := c.Read(buf); string(buf[:n]) != "no" {
			t.Errorf("answer %q", buf[:n])
		}
		mu.Lock()
		defer mu.Unlock()
		if most != wire.MaxQuestion+1 {
			t.Errorf("the handler was given %d bytes", most)
		}
	})
}

// A silent client, and one that sends a byte now and then, are cut off in time.
func TestSlowClientsAreCutOff(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		o.ReadTimeout = 100 * time.Millisecond
		s, path := start(t, echo, o)
		silent, trickle := dial(t, path), dial(t, path)
		defer silent.Close()
		defer trickle.Close()
		end := time.Now().Add(20 * time.Second)
		for time.Now().Before(end) {
			if _, err := trickle.Write([]byte("x")); err != nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if time.Now().After(end) {
			t.Error("a trickling client was let to go on")
		}
		if got, err := io.ReadAll(silent); len(got) > 0 || err != nil {
			t.Errorf("a silent client got %q, %v", got, err)
		}
		waitFor(t, func() bool { return s.Stats().Cut == 2 && s.Stats().Open == 0 })
	})
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never came to be")
		}
	}
}

// A thousand clients of every bad kind take nothing from an honest one.
func TestHostileClients(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		o.ReadTimeout = time.Minute // so that only the limit on their number gets rid of them
		o.MaxConns = 200
		s, path := start(t, echo, o)
		stop := make(chan struct{})
		var hostile sync.WaitGroup
		defer hostile.Wait()
		defer close(stop)
		for i := range 1000 {
			c := dial(t, path)
			hostile.Go(func() {
				defer c.Close()
				switch i % 5 {
				case 0: // silent
				case 1:
					_, _ = io.WriteString(c, "half a question")
				case 2: // huge
					_, _ = c.Write(bytes.Repeat([]byte("x"), 4*wire.MaxQuestion))
				case 3: // asks and goes away
					_, _ = io.WriteString(c, "slow\n")
					return
				case 4: // asks and never reads
					_, _ = io.WriteString(c, "slow\n")
				}
				<-stop
			})
			if i%10 == 0 {
				for _, q := range []string{"honest", "slow"} {
					if got := exchange(t, path, q+"\n"); got != "<"+q+">" {
						t.Fatalf("client %d: %q got %q", i, q, got)
					}
				}
			}
		}
		if open := s.Stats().Open; open > 200 {
			t.Errorf("%d open connections", open)
		}
		if s.Stats().Cut == 0 {
			t.Error("nobody was cut off")
		}
	})
}

// Where every connection waits for its answer, a new one waits its turn.
func TestFull(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		o.MaxConns = 3
		answer := make(chan struct{})
		_, path := start(t, waiting(func(_ context.Context, line string) []byte { <-answer; return []byte(line) }), o)
		var wg sync.WaitGroup
		for range 9 {
			wg.Go(func() {
				if got := exchange(t, path, "q\n"); got != "q\n" {
					t.Errorf("got %q", got)
				}
			})
		}
		for range 9 {
			answer <- struct{}{}
		}
		wg.Wait()
	})
}

// A shutdown lets a question that was asked be answered, and ends in time where
// the handler hangs.
func TestShutdown(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		o.ReadTimeout = time.Hour
		asked, answer := make(chan struct{}, 2), make(chan struct{})
		s, path := start(t, waiting(func(ctx context.Context, line string) []byte {
			asked <- struct{}{}
			if line == "hang\n" {
				<-ctx.Done()
				return nil
			}
			<-answer
			return []byte(line)
		}), o)
		silent := dial(t, path)
		defer silent.Close()
		first := dial(t, path)
		defer first.Close()
		hang := dial(t, path)
		defer hang.Close()
		_, _ = io.WriteString(first, "q\n")
		_, _ = io.WriteString(hang, "hang\n")
		<-asked
		<-asked
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		ended := make(chan error)
		go func() { ended <- s.Shutdown(ctx) }()
		waitFor(t, func() bool { return s.stop.Load() })
		close(answer)
		if got, err := io.ReadAll(first); err != nil || string(got) != "q\n" {
			t.Errorf("got %q, %v", got, err)
		}
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("shutdown: %v", err)
		}
		if got, _ := io.ReadAll(hang); len(got) != 0 {
			t.Errorf("the hung one got %q", got)
		}
	})
}

func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	ln, release, err := Listen(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, _, err := Listen(path, ""); err == nil || !strings.Contains(err.Error(), "another process answers there") {
		t.Errorf("second listener: %v", err)
	}
	ln.Close() // as after kill -9: the socket stays
	ln2, release2, err := Listen(path, "")
	if err != nil {
		t.Fatalf("stale socket: %v", err)
	}
	release()
	if _, err := os.Lstat(path); err != nil {
		t.Error("the first one removed the second one's socket")
	}
	ln2.Close()
	release2()
	if _, err := os.Lstat(path); err == nil {
		t.Error("socket still there")
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Listen(path, ""); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("file in the way: %v", err)
	}
	if _, _, err := Listen(filepath.Join(dir, "t"), "no-such-group"); err == nil {
		t.Error("unknown group taken")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".t*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A missing directory is named, and not a file that nobody asked for.
func TestListenWithoutDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	_, _, err := Listen(filepath.Join(dir, "s"), "")
	if err == nil || !strings.Contains(err.Error(), "the directory "+dir+" does not exist") || strings.Contains(err.Error(), ".s.") {
		t.Errorf("%v", err)
	}
}

// What a process has left that was killed before its socket had its name is removed;
// nothing else is.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	gone := exec.Command(os.Args[0], "-test.run=^$")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	socket := func(name string, open bool) string {
		ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, name), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		ln.SetUnlinkOnClose(false)
		if open {
			t.Cleanup(func() { ln.Close() })
		} else {
			ln.Close()
		}
		return name
	}
	pid := strconv.Itoa(gone.ProcessState.Pid())
	left := socket(".s."+pid, false)
	keep := []string{
		socket(".s."+strconv.Itoa(os.Getppid()), false), // of one that lives
		socket(".t."+pid, false),
		socket(".s.x", false),
		".s.0" + pid,
	}
	if err := os.WriteFile(filepath.Join(dir, ".s.0"+pid), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ln, release, err := Listen(filepath.Join(dir, "s"), "")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	defer ln.Close()
	if _, err := os.Lstat(filepath.Join(dir, left)); err == nil {
		t.Error("the socket that was left is still there")
	}
	for _, name := range keep {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}
