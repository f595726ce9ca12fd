// Package sqlite keeps the state in one SQLite file, for a site with one gateway.
//
// The file is in WAL mode: readers, each with a connection of its own, never wait
// for the writer. There is one writer per process; it commits all updates that wait
// for it in one transaction, with synchronous=FULL, and answers them after that. So
// an answered update survives a crash of the process and a power cut, and a disk
// that can do few commits a second still takes many updates.
//
// Several processes may open the same file (exipold serve, and exipold allow beside
// it); they wait for each other for a while (Options.BusyTimeout).
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/store/portable"
)

// FileMode is the mode of a new store.
const FileMode = 0o640

// Options of Open. The zero value has the defaults.
type Options struct {
	Create      bool          // make the file where it does not exist
	Readers     int           // connections for reading; default: one for each processor, 2 to 8
	Queue       int           // updates that may wait; one more gets store.ErrBusy; default 4096
	BusyTimeout time.Duration // how long to wait for another process's lock; default 2 s
	MaxBytes    int64         // the file's largest size, 0 for none; over it, store.ErrFull
	Copying     bool          // open an unfinished copy, too: for who makes it
}

func (o Options) filled() Options {
	if o.Readers <= 0 {
		o.Readers = min(max(runtime.GOMAXPROCS(0), 2), 8)
	}
	if o.Queue <= 0 {
		o.Queue = 4096
	}
	if o.BusyTimeout <= 0 {
		o.BusyTimeout = 2 * time.Second
	}
	return o
}

// Store is an open file. It is safe for concurrent use.
type Store struct {
	path    string
	options Options
	readDB  *sql.DB
	writeDB *sql.DB

	readers         chan *session // nil for one that is to be opened when needed
	writer          writer
	cache           *cache
	health          health
	*portable.Store // what all kinds do alike

	closing sync.Once
	quit    chan struct{} // closed by Close
	done    chan struct{} // closed when the writer has ended
}

var _ store.Store = (*Store)(nil)

// Page caches in KiB (negative, as SQLite has it), of each reader and of the writer.
// The kernel keeps the hot part of a large store once for all of them; the writer's
// holds what one transaction changes, which otherwise is written twice.
const (
	readerCache = "-2048"
	writerCache = "-8192"
)

// pageSize is SQLite's default, in bytes.
const pageSize = 4096

// Open opens the store at path. It proves that the file is a store that can be read
// and written to, but not that it has every table of a plan: Check does that. Errors
// are those of package store: ErrMissing, ErrNoFolder, ErrNewer, ErrCopying, ErrReadOnly, ErrCorrupt,
// ErrDisk, ErrFull, ErrLocked.
func Open(ctx context.Context, path string, options Options) (*Store, error) {
	s, err := openStore(ctx, path, options.filled())
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	return s, nil
}

func openStore(ctx context.Context, path string, options Options) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := prepareFile(path, options.Create); err != nil {
		return nil, err
	}
	reading := []pragma{{"query_only", "1"}, {"cache_size", readerCache}, {"temp_store", "memory"}}
	writing := []pragma{{"synchronous", "full"}, {"cache_size", writerCache}, {"temp_store", "memory"}, {"journal_size_limit", "67108864"}}
	if options.MaxBytes > 0 {
		writing = append(writing, pragma{"max_page_count", fmt.Sprint(options.MaxBytes / pageSize)})
	}
	s := &Store{
		path:    path,
		options: options,
		readers: make(chan *session, options.Readers),
		cache:   newCache(),
		quit:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	s.Store, s.health.since = s.portable(), time.Now()
	s.writer.queue = make(chan *request, options.Queue)
	if s.writeDB, err = sql.Open(driverName, dataSource(path, options.BusyTimeout, writing)); err != nil {
		return nil, err
	}
	if s.readDB, err = sql.Open(driverName, dataSource(path, options.BusyTimeout, reading)); err != nil {
		return nil, errors.Join(err, s.writeDB.Close())
	}
	for range options.Readers {
		s.readers <- nil
	}
	if err := s.probe(ctx); err != nil {
		_, _ = s.writeDB.Close(), s.readDB.Close()
		return nil, classify(err)
	}
	s.watch() // so that the next one forgets only what others changed since
	go s.write()
	return s, nil
}

// prepareFile says what is wrong with the path before SQLite says less, and makes a
// new file with the right mode (SQLite gives its journals the same).
func prepareFile(path string, create bool) error {
	directory := filepath.Dir(path)
	if info, err := os.Stat(directory); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: make it: install -d -m 0750 -o exipold -g exipold %s", store.ErrNoFolder, directory)
	} else if err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", directory)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist) && !create:
		return store.ErrMissing
	case errors.Is(err, os.ErrNotExist):
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, FileMode)
		if errors.Is(err, os.ErrExist) { // another process was faster
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w (%w)", store.ErrReadOnly, err)
		}
		// The umask may have taken the group's bit.
		return errors.Join(file.Chmod(FileMode), file.Close())
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("it is not a file")
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("%w (%w)", store.ErrReadOnly, err)
	}
	return file.Close()
}

// probe sets the journal's mode, and tries to read and to write.
func (s *Store) probe(ctx context.Context) error {
	conn, err := s.writeDB.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var mode string
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("%w (no write-ahead log on this file system)", store.ErrReadOnly)
	}
	if err := s.usable(ctx, conn); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "ROLLBACK")
	return err
}

// Path is the file's absolute name.
func (s *Store) Path() string { return s.path }

// View implements engine.Store. It waits for a free connection, not for a writer.
// f must not keep the State. A panic of f is an error.
func (s *Store) View(ctx context.Context, f func(engine.State) error) error {
	var reader *session
	select {
	case reader = <-s.readers:
	default:
		select {
		case reader = <-s.readers:
		case <-ctx.Done():
			return fmt.Errorf("store %s: %w", s.path, ctx.Err())
		case <-s.quit:
			return fmt.Errorf("store %s: %w", s.path, store.ErrClosed)
		}
	}
	select {
	case <-s.quit:
		s.readers <- reader
		return fmt.Errorf("store %s: %w", s.path, store.ErrClosed)
	default:
	}
	if reader == nil {
		var err error
		if reader, err = open(ctx, s.readDB, true); err != nil {
			s.readers <- nil
			if ctx.Err() == nil {
				s.health.failed(err, true)
			}
			return fmt.Errorf("store %s: %w", s.path, err)
		}
		reader.cache = s.cache
	}
	err := reader.each(f)
	if reader.broken == nil {
		s.health.read()
	} else {
		s.health.failed(reader.broken, true)
		err = fmt.Errorf("store %s: %w", s.path, err)
		reader.close()
		reader = nil
	}
	s.readers <- reader
	return err
}

// Close answers what still waits, and closes the file. Nothing that was answered is
// lost without it.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() {
		close(s.quit)
		<-s.done
		for range s.options.Readers {
			if reader := <-s.readers; reader != nil {
				reader.close()
			}
			s.readers <- nil
		}
		err = errors.Join(s.readDB.Close(), s.writeDB.Close())
	})
	if err != nil {
		return fmt.Errorf("close store %s: %w", s.path, err)
	}
	return nil
}
