package follow

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// kind says what a name tells about a file's age.
type kind int

const (
	live     kind = iota // the log itself, newer than all others
	numbered             // mainlog.3: the higher, the older
	dated                // mainlog-20261122: the higher, the newer
	other                // known by a pattern of the caller's only: its time must do
)

// rank is a file's place in the order, as its name has it.
type rank struct {
	kind   kind
	number int
	stamp  string // digits only
}

// family knows the names of one log: its own, and those of its predecessors.
type family struct {
	dir, name     string
	before, after string   // what stands around the date, where the log's own name has one
	digits        int      // of that date; 0: the name stays the same
	old           []string // patterns of further predecessors
}

// newFamily reads a path as Exim's log_file_path has it: %D is the day, %M the month.
func newFamily(file string, old []string) (family, error) {
	f := family{dir: filepath.Dir(file), name: filepath.Base(file), old: old}
	if file == "" {
		return f, fmt.Errorf("no log is named")
	}
	for escape, digits := range map[string]int{"%D": 8, "%M": 6} {
		if strings.Contains(f.dir, escape) {
			return f, fmt.Errorf("%s: %s in the name of a directory cannot be followed", file, escape)
		}
		before, after, found := strings.Cut(f.name, escape)
		if !found {
			continue
		}
		if f.digits > 0 || strings.Contains(after, escape) {
			return f, fmt.Errorf("%s: only one date in a name can be followed", file)
		}
		f.before, f.after, f.digits = before, after, digits
	}
	for _, pattern := range old {
		if _, err := path.Match(pattern, ""); err != nil {
			return f, fmt.Errorf("%s: %w", pattern, err)
		}
		if strings.ContainsAny(filepath.Dir(pattern), `*?[`) {
			return f, fmt.Errorf("%s: a pattern can be only in the last part of a name", pattern)
		}
	}
	return f, nil
}

// packings are the endings of compressed files.
var packings = []string{".gz", ".bz2", ".xz", ".zst", ".lz4", ".lzma", ".lzo", ".br", ".Z"}

// unpackedName is a name without the ending that says that the file is compressed, and
// that ending.
func unpackedName(name string) (bare, packed string) {
	for _, p := range packings {
		if bare, found := strings.CutSuffix(name, p); found {
			return bare, p
		}
	}
	return name, ""
}

// member says whether a name in the log's directory is one of the log's, and which.
func (f family) member(name string) (of rank, packed string, ok bool) {
	bare, packed := unpackedName(name)
	if f.digits > 0 {
		stamp, ok := between(bare, f.before, f.after)
		ok = ok && len(stamp) == f.digits && strings.Trim(stamp, "0123456789") == ""
		return rank{kind: dated, stamp: stamp}, packed, ok
	}
	if name == f.name {
		return rank{kind: live}, "", true
	}
	rest, ok := strings.CutPrefix(bare, f.name)
	if ext := filepath.Ext(f.name); !ok && ext != "" { // logrotate's "extension": main-20261122.log
		rest, ok = between(bare, strings.TrimSuffix(f.name, ext), ext)
	}
	if !ok {
		return rank{}, "", false
	}
	of, ok = suffixRank(rest)
	return of, packed, ok
}

// between is what stands in s after before and ahead of after.
func between(s, before, after string) (string, bool) {
	s, head := strings.CutPrefix(s, before)
	s, tail := strings.CutSuffix(s, after)
	return s, head && tail
}

// suffixRank reads what rotation puts behind a name: .1, .01, -20261122, .2026-11-22, ...
func suffixRank(rest string) (rank, bool) {
	if len(rest) < 2 || !strings.Contains(".-_", rest[:1]) {
		return rank{}, false
	}
	rest = rest[1:]
	digits := make([]byte, 0, len(rest))
	number := 0
	for i := range len(rest) {
		switch c := rest[i]; {
		case c >= '0' && c <= '9':
			digits = append(digits, c)
			if len(digits) <= 4 {
				number = number*10 + int(c-'0')
			}
		case i == 0 || i == len(rest)-1 || !strings.ContainsRune(".-_:T", rune(c)):
			return rank{}, false
		}
	}
	if len(digits) == len(rest) && len(digits) <= 4 {
		return rank{kind: numbered, number: number}, true
	}
	return rank{kind: dated, stamp: string(digits)}, len(digits) >= 6
}

// file is a file of the log's family, as a look at its directory found it.
type file struct {
	path string
	rank
	packed   string // "", or the ending that says how it is compressed
	dev, ino uint64
	mod      time.Time
	head     []byte // its first bytes, uncompressed, where they were looked at
	err      error  // why they could not be
}

// isNode says whether the file is the one with that number. (While somebody holds the
// file open, that is certain; later the number may be another file's.)
func (f file) isNode(dev, ino uint64) bool { return f.dev == dev && f.ino == ino }

// writtenBefore says whether the file was written last before then. Archivers keep
// times to the second or to the nanosecond.
func (f file) writtenBefore(then time.Time) bool {
	if f.mod.Nanosecond() == 0 {
		return f.mod.Unix() < then.Unix()
	}
	return f.mod.Before(then)
}

// sortFiles brings files into the order in which they were written, the oldest first.
// Names decide while they speak one language; where the site changed it lately, or a
// name says nothing, the time of the last write does. A file that is being compressed
// stands after what becomes of it.
func sortFiles(files []file) {
	oneKind := true
	first := other
	for _, f := range files {
		if f.kind != live {
			if first == other {
				first = f.kind
			}
			oneKind = oneKind && f.kind == first && f.kind != other
		}
	}
	slices.SortFunc(files, func(a, b file) int {
		switch {
		case a.kind == live || b.kind == live:
			return boolOrder(a.kind == live, b.kind == live)
		case oneKind && first == numbered && a.number != b.number:
			return b.number - a.number
		case oneKind && first == dated && a.stamp != b.stamp:
			return strings.Compare(a.stamp, b.stamp)
		case oneKind && (a.packed != "") != (b.packed != ""):
			return boolOrder(a.packed == "", b.packed == "")
		case !a.mod.Equal(b.mod):
			return a.mod.Compare(b.mod)
		case (a.packed != "") != (b.packed != ""):
			return boolOrder(a.packed == "", b.packed == "")
		}
		return strings.Compare(a.path, b.path)
	})
}

// boolOrder puts false before true.
func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
