package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/storetest"
)

func TestOpenErrors(t *testing.T) {
	directory := t.TempDir()
	path := func(name, content string) string {
		p := filepath.Join(directory, name)
		if content != "" {
			if err := os.WriteFile(p, []byte(content), 0o640); err != nil {
				t.Fatal(err)
			}
		}
		return p
	}
	newer := path("newer.db", "")
	s := create(t, newer, Options{})
	script(t, s, "UPDATE meta SET value = '99' WHERE name = 'schema_version'")
	damaged := path("damaged.db", "")
	d := create(t, damaged, Options{})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	overwrite(t, damaged, 100)

	for _, c := range []struct {
		path    string
		options Options
		want    error
		says    string
	}{
		{path("absent.db", ""), Options{}, store.ErrMissing, "run exipold migrate"},
		{filepath.Join(directory, "no", "such.db"), Options{Create: true}, store.ErrNoFolder, "make it: install -d "},
		{directory, Options{Create: true}, nil, "not a file"},
		{filepath.Join(path("file", "x"), "below.db"), Options{Create: true}, nil, "not a directory"},
		{path("text.db", strings.Repeat("this is no database\n", 400)), Options{}, store.ErrCorrupt, "damaged"},
		{newer, Options{}, store.ErrNewer, "schema version 99"},
		{damaged, Options{}, store.ErrCorrupt, "damaged"},
	} {
		s, err := Open(t.Context(), c.path, c.options)
		if err == nil {
			_ = s.Close()
			t.Errorf("%s: no error", c.path)
			continue
		}
		if c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: %v; want %v and %q", c.path, err, c.want, c.says)
		}
	}
}

// script runs SQL that the store's own methods do not have.
func script(t *testing.T, s *Store, sql string) {
	t.Helper()
	if _, err := s.writeDB.ExecContext(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// overwrite damages a file from an offset on, to its end.
func overwrite(t *testing.T, path string, from int64) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte(strings.Repeat("rubbish ", int(info.Size()-from)/8)), from); err != nil {
		t.Fatal(err)
	}
}

func TestModeAndOddNames(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	for _, name := range []string{"plain.db", "with blank.db", "50%25.db", "what?_pragma=x.db", "a#b;c'd.db", "ä.db"} {
		path := filepath.Join(t.TempDir(), name)
		s := create(t, path, Options{})
		storetest.Do(t, s, storetest.Add("k", 1, 1))
		for _, suffix := range []string{"", "-wal", "-shm"} {
			info, err := os.Stat(path + suffix)
			if err != nil {
				t.Error(err)
			} else if info.Mode().Perm() != FileMode {
				t.Errorf("%s%s has mode %o", name, suffix, info.Mode().Perm())
			}
		}
	}
}

func TestDamageWhileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exipol.db")
	s := create(t, path, Options{})
	var writes []engine.Write
	for i := range 4000 {
		writes = append(writes, storetest.Add(fmt.Sprint(strings.Repeat("k", 200), i), 1, 1))
	}
	storetest.Do(t, s, writes...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	overwrite(t, path, 60*pageSize)
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatalf("the schema is whole: %v", err)
	}
	defer s.Close()
	failures := 0
	for i := range 50 {
		key := fmt.Sprint(strings.Repeat("k", 200), i*79)
		err := s.View(t.Context(), func(st engine.State) error {
			_, err := st.Count(storetest.Policy, key, storetest.Window, 0, 1<<50)
			return err
		})
		if err != nil {
			failures++
			if !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("a lookup in a damaged file: %v", err)
			}
		}
		err = s.Update(t.Context(), func(engine.State) ([]engine.Write, error) { return []engine.Write{storetest.Add(key, 1, 1)}, nil })
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("an update of a damaged file: %v", err)
		}
	}
	if failures == 0 {
		t.Error("nobody noticed the damage")
	}
}

// Where there is no room, updates fail, lookups go on; when there is room again, so
// do updates.
func TestFullAndRecovered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exipol.db")
	s := create(t, path, Options{MaxBytes: 60 * pageSize})
	kept, err := fillUp(t, s)
	if !errors.Is(err, store.ErrFull) {
		t.Fatalf("after %d updates: %v", kept, err)
	}
	if n := storetest.Count(t, s, "n", 0); n != kept {
		t.Errorf("%d kept, %d answered", n, kept)
	}
	s.writeDB.SetMaxIdleConns(0)
	script(t, s, "DELETE FROM seen")
	for range 3 {
		storetest.Do(t, s, storetest.Add("n", 1, 1))
	}
	if n := storetest.Count(t, s, "n", 0); n != kept+3 {
		t.Errorf("%d kept after recovery, %d answered", n, kept+3)
	}
}

// fillUp updates until that fails, and says how often it did not.
func fillUp(t *testing.T, s *Store) (kept int64, err error) {
	for i := range 100000 {
		err := s.Update(t.Context(), func(engine.State) ([]engine.Write, error) {
			row := engine.SeenRow{First: 1, Expires: 1 << 50}
			return []engine.Write{storetest.Add("n", 1, 1),
				engine.PutSeen{Policy: "greylist.x", Key: fmt.Sprint(strings.Repeat("k", 200), i), Row: row}}, nil
		})
		if err != nil {
			return kept, err
		}
		kept++
	}
	return kept, nil
}

// Where the file, its directory or the file system cannot be written to, Open says so.
func TestReadOnly(t *testing.T) {
	if child := os.Getenv("SQLITE_TEST_READONLY"); child != "" {
		if s, err := Open(t.Context(), child, Options{}); err != nil {
			fmt.Printf("error %v %v\n", errors.Is(err, store.ErrReadOnly), err)
		} else {
			err := s.Update(t.Context(), func(engine.State) ([]engine.Write, error) { return []engine.Write{storetest.Add("n", 1, 1)}, nil })
			fmt.Printf("opened, update: %v %v\n", errors.Is(err, store.ErrReadOnly), err)
		}
		return
	}
	for name, modes := range map[string][2]os.FileMode{"file": {0o777, 0o444}, "directory": {0o555, 0o666}, "both": {0o555, 0o444}} {
		t.Run(name, func(t *testing.T) {
			directory := filepath.Join(open0755(t), "store")
			if err := os.Mkdir(directory, 0o777); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(directory, "exipol.db")
			s := create(t, path, Options{})
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.Chmod(path, modes[1]), os.Chmod(directory, modes[0])); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(directory, 0o700) })
			cmd := again(t, "TestReadOnly", "SQLITE_TEST_READONLY="+path)
			if os.Getuid() == 0 { // whom no mode stops
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !strings.Contains(string(out), "error true") || !strings.Contains(string(out), path) {
				t.Errorf("%s", out)
			}
		})
	}
}

// open0755 is a directory that other users may pass through, which t.TempDir is not.
func open0755(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "exipol-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	if err := os.Chmod(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	return directory
}

// again is this test program as a child that runs one test, from a copy that any
// user may execute.
func again(t *testing.T, test string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		program, err := os.ReadFile(self)
		if err != nil {
			t.Fatal(err)
		}
		self = filepath.Join(open0755(t), "sqlite.test")
		if err := os.WriteFile(self, program, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return child(t, self, test, env...)
}

// child is a test program that runs one test.
func child(t *testing.T, program, test string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), env...)
	cmd.Dir = "/"
	return cmd
}

func TestLockedByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exipol.db")
	s := create(t, path, Options{BusyTimeout: 50 * time.Millisecond})
	other := create(t, path, Options{})
	lock, err := other.writeDB.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, err := lock.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	add := func(ctx context.Context) error {
		return s.Update(ctx, func(engine.State) ([]engine.Write, error) { return []engine.Write{storetest.Add("k", 1, 1)}, nil })
	}
	if err := add(t.Context()); !errors.Is(err, store.ErrLocked) {
		t.Errorf("an update beside a lock: %v", err)
	}
	if n := storetest.Count(t, s, "k", 0); n != 0 {
		t.Errorf("%d were kept", n)
	}
	// A caller that gives up while the lock lasts has kept nothing, for sure.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if err := add(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrUnknown) {
		t.Errorf("an impatient update beside a lock: %v", err)
	}
	if _, err := lock.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	for {
		err := add(t.Context())
		if err == nil {
			break
		}
		if !errors.Is(err, store.ErrLocked) {
			t.Fatal(err)
		}
	}
	if n := storetest.Count(t, s, "k", 0); n != 1 {
		t.Errorf("%d were kept after all, want 1", n)
	}
}

// With the writer held up, callers beyond the queue are told so at once, and one
// that gave up while it waited has kept nothing.
func TestQueueFull(t *testing.T) {
	s := create(t, filepath.Join(t.TempDir(), "exipol.db"), Options{Queue: 4})
	hold, held := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := s.Update(t.Context(), func(engine.State) ([]engine.Write, error) {
			close(held)
			<-hold
			return nil, nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-held
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error, 8)
	for range 8 {
		wg.Go(func() {
			results <- s.Update(ctx, func(engine.State) ([]engine.Write, error) { return []engine.Write{storetest.Add("k", 1, 1)}, nil })
		})
	}
	for range 4 {
		if err := <-results; !errors.Is(err, store.ErrBusy) {
			t.Errorf("an update beyond the queue: %v", err)
		}
	}
	cancel()
	for range 4 {
		if err := <-results; !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnknown) {
			t.Errorf("an update that gave up: %v", err)
		}
	}
	close(hold)
	wg.Wait()
	if n := storetest.Count(t, s, "k", 0); n != 0 {
		t.Errorf("%d were kept", n)
	}
}

func TestGivenUpTooLate(t *testing.T) {
	s := create(t, filepath.Join(t.TempDir(), "exipol.db"), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	hold := make(chan struct{})
	err := make(chan error)
	go func() {
		err <- s.Update(ctx, func(engine.State) ([]engine.Write, error) {
			cancel()
			<-hold
			return []engine.Write{storetest.Add("k", 1, 1)}, nil
		})
	}()
	if err := <-err; !errors.Is(err, store.ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(hold)
}

// What one process says at run time the other sees, and none loses what the other
// counts.
func TestTwoProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exipol.db")
	serve, command := create(t, path, Options{}), create(t, path, Options{})
	storetest.Do(t, serve, storetest.Add("k", 1, 1))
	if _, err := command.Allow(t.Context(), engine.Allowance{Field: "client", Pattern: "192.0.2.1/32"}); err != nil {
		t.Fatal(err)
	}
	if r, err := serve.Runtime(t.Context(), 0); len(r.Allowances) != 1 || err != nil {
		t.Errorf("%+v, %v", r, err)
	}
	var wg sync.WaitGroup
	for _, s := range []*Store{serve, command} {
		wg.Go(func() {
			for range 200 {
				storetest.Do(t, s, storetest.Add("both", 1, 1))
			}
		})
	}
	wg.Wait()
	if n := storetest.Count(t, serve, "both", 0); n != 400 {
		t.Errorf("two processes counted %d, want 400", n)
	}
}
