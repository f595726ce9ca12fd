package follow

import (
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"
)

var (
	// ErrNotFile is for something with a log's name that is a directory, a FIFO, ...
	ErrNotFile = errors.New("not a regular file")
	// ErrPacked is for a predecessor that is compressed in a way that is not known here.
	ErrPacked = errors.New("this compression cannot be read (gzip and bzip2 can)")

	// errUnsettled means that files were being renamed while they were looked at.
	errUnsettled = errors.New("files are being renamed")
)

// disk is what is asked of a file system, so that a test can do things between any two
// questions, and let them fail.
type disk interface {
	ReadDir(dir string) ([]os.DirEntry, error)
	Stat(name string) (os.FileInfo, error)
	Open(name string) (handle, error)
}

type handle interface {
	io.Reader
	io.ReaderAt
	Stat() (os.FileInfo, error)
	Close() error
}

type osDisk struct{}

func (osDisk) ReadDir(dir string) ([]os.DirEntry, error) { return os.ReadDir(dir) }
func (osDisk) Stat(name string) (os.FileInfo, error)     { return os.Stat(name) }

// Open does not wait for a writer, should the name have become a FIFO's.
func (osDisk) Open(name string) (handle, error) {
	return os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// identify makes out which file something is.
func identify(info os.FileInfo) (dev, ino uint64) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Dev), uint64(st.Ino)
	}
	return 0, 0
}

// scan lists the files of a family, the oldest first, without looking into them. What
// is no regular file is left out, except under the log's own name.
func (f family) scan(ctx context.Context, d disk) ([]file, error) {
	var files []file
	seen := map[string]bool{}
	add := func(name string, of rank, packed string) error {
		if err := ctx.Err(); err != nil || seen[name] {
			return err
		}
		seen[name] = true
		info, err := d.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // renamed since
		case err != nil:
			return err
		case !info.Mode().IsRegular() && of.kind == live:
			return fmt.Errorf("%s: %w", name, ErrNotFile)
		case !info.Mode().IsRegular():
			return nil
		}
		found := file{path: name, rank: of, packed: packed, mod: info.ModTime()}
		found.dev, found.ino = identify(info)
		files = append(files, found)
		return nil
	}
	err := each(d, f.dir, func(name string) error {
		if of, packed, ok := f.member(name); ok {
			return add(filepath.Join(f.dir, name), of, packed)
		}
		return nil
	})
	for _, pattern := range f.old {
		if err != nil {
			break
		}
		dir, last := filepath.Split(pattern)
		err = each(d, filepath.Clean(dir), func(name string) error {
			if ok, _ := path.Match(last, name); !ok {
				return nil
			}
			of, packed, ok := f.member(name)
			if !ok || of.kind == live {
				_, packed = unpackedName(name)
				of = rank{kind: other}
			}
			return add(filepath.Join(dir, name), of, packed)
		})
	}
	sortFiles(files)
	return files, err
}

// each calls do for every name in a directory. One that is not there has none.
func each(d disk, dir string, do func(name string) error) error {
	entries, err := d.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := do(e.Name()); err != nil {
			return err
		}
	}
	return nil
}

// list is scan with the first bytes of every file. A rotation renames one file after
// the other; so the names are read before and after, and must be the same.
func (f family) list(ctx context.Context, d disk) ([]file, error) {
	files, err := f.scan(ctx, d)
	if err != nil {
		return nil, err
	}
	for i := range files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		peek(d, &files[i])
	}
	again, err := f.scan(ctx, d)
	if err != nil {
		return nil, err
	}
	same := func(a, b file) bool { return a.path == b.path && a.isNode(b.dev, b.ino) }
	if !slices.EqualFunc(files, again, same) {
		return nil, errUnsettled
	}
	return slices.DeleteFunc(files, func(f file) bool { return f.beingPacked(files) }), nil
}

// beingPacked says whether f is what a compressor has begun to write: not to be read
// yet, and beside it stands what it is made of.
func (f file) beingPacked(files []file) bool {
	return f.packed != "" && f.err != nil && slices.ContainsFunc(files, func(g file) bool {
		return g.path+f.packed == f.path
	})
}

// peek reads the first bytes of a file.
func peek(d disk, f *file) {
	h, in, err := f.open(d)
	if err != nil {
		f.err = err
		return
	}
	defer h.Close()
	head := make([]byte, headSize)
	n, err := readFull(in, head)
	if err != nil {
		f.err = fmt.Errorf("%s: %w", f.path, err)
		return
	}
	f.head = head[:n]
}

// open opens a file that was found, if its name is still its own.
func (f file) open(d disk) (handle, io.Reader, error) {
	if f.packed != "" && f.packed != ".gz" && f.packed != ".bz2" {
		return nil, nil, fmt.Errorf("%s: %w", f.path, ErrPacked)
	}
	h, err := d.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, errUnsettled
	}
	if err != nil {
		return nil, nil, err
	}
	in, err := f.unpack(h)
	if err != nil {
		h.Close()
		return nil, nil, fmt.Errorf("%s: %w", f.path, err)
	}
	return h, in, nil
}

func (f file) unpack(h handle) (io.Reader, error) {
	info, err := h.Stat()
	if err != nil {
		return nil, err
	}
	if dev, ino := identify(info); !f.isNode(dev, ino) || !info.Mode().IsRegular() {
		return nil, errUnsettled
	}
	switch f.packed {
	case ".gz":
		in, err := gzip.NewReader(h)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // without a header it is not the end, but no beginning
		}
		return in, err
	case ".bz2":
		return bzip2.NewReader(h), nil
	}
	return h, nil
}

// readFull fills b, or less at the end. That is no error, but the end of compressed
// data in their midst is one.
func readFull(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var got int
		got, err = r.Read(b[n:])
		n += got
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}
