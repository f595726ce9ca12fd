package mysqltest

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// WithRoom gives the server a disk with only about so many bytes left for tables: when they are used up, a table is full (error 1114), as
// InnoDB says on a full disk. It needs no file system of its own, and no privilege: all tables are in one file, which is larger
// than all others, and the kernel keeps it from growing. See [Server.Room].
func WithRoom(bytes int64) Option {
	return func(o *options) { o.bounded, o.room = true, bytes }
}

// roomArguments put all tables into one file that grows in small steps.
func (s *server) roomArguments() []string {
	if !s.options.bounded {
		return nil
	}
	return []string{"--innodb-file-per-table=OFF", "--innodb-autoextend-increment=1"}
}

// load makes the file of the tables larger than any other of the server's, with something that stays in it: a bound is one for all files, and
// is to be about this one.
func (s *server) load() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, query := range []string{"CREATE DATABASE IF NOT EXISTS ballast", "CREATE TABLE IF NOT EXISTS ballast.t (content LONGBLOB) ENGINE=InnoDB"} {
		if _, err := s.db.ExecContext(ctx, query); err != nil {
			return err
		}
	}
	for {
		tables, err := os.Stat(s.path("data/ibdata1"))
		if err != nil {
			return err
		}
		largest, err := largestFile(s.path("data"), "ibdata1")
		if err != nil || tables.Size() > largest {
			return err
		}
		if _, err := s.db.ExecContext(ctx, "INSERT INTO ballast.t VALUES (repeat('x', 1000000))"); err != nil {
			return err
		}
	}
}

// Room has about so many bytes left on the disk of a server that runs and was made with [WithRoom]. Less than none: as many as there are.
func (s *Server) Room(bytes int64) {
	s.t.Helper()
	s.own()
	if !s.options.bounded {
		s.t.Fatalf("only a server that was made with WithRoom has a bounded disk")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = 0
	s.options.room = bytes
	if err := s.bound(); err != nil {
		s.t.Fatalf("bound the disk of a server: %v", err)
	}
}

// bound keeps the files of the server that runs from growing. One that is started again has the bound that it had.
func (s *server) bound() error {
	switch {
	case !s.options.bounded:
		return nil
	case s.options.room < 0:
		return s.limitFiles(math.MaxInt64)
	case s.limit == 0:
		if err := s.limitFiles(math.MaxInt64); err != nil {
			return err
		}
		if err := s.load(); err != nil {
			return err
		}
		largest, err := largestFile(s.path("data"), "")
		if err != nil {
			return err
		}
		s.limit = largest + s.options.room
		if !s.home.program.maria {
			s.limit += 3 << 20 // MySQL does not begin to make a table with less
		}
	}
	return s.limitFiles(s.limit)
}

// limitFiles sets the size that no file of the server's may exceed. The server's user may do that; root may not everywhere.
func (s *server) limitFiles(size int64) error {
	cmd := exec.Command("prlimit", "--pid", strconv.Itoa(s.process.pid()), "--fsize="+strconv.FormatInt(size, 10)+":") //nolint:gosec // numbers
	s.home.id.Become(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd, err, out)
	}
	return nil
}

// largestFile is the size of the largest file below a folder that is not called so.
func largestFile(dir, not string) (int64, error) {
	var largest int64
	return largest, filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			if strings.HasPrefix(filepath.Base(name), "#") { // the server's, which come and go
				return nil
			}
			return err
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() && entry.Name() != not {
			largest = max(largest, info.Size())
		}
		return nil
	})
}
