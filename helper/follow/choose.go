package follow

import (
	"bytes"
	"time"
)

// What is decided here, is decided from a list of files, oldest first, whose first
// bytes were looked at.

// plan is how to go on from a Position.
type plan struct {
	picks []pick // the files of the marks that were found
	fresh int    // the file to read from its start, where the last mark's is gone; or -1
	gaps  []Gap
}

// pick is a file in which to go on at a mark.
type pick struct {
	file int
	mark Mark
	same bool // it is that file, or might be; otherwise a copy, which never grows
}

// choose finds the files of a position.
//
// A mark's file that is not the last is there for the sake of a late writer: all lines
// that it had were delivered. Where it is gone, nothing is known to be missing.
func choose(from Position, files []file) plan {
	p := plan{fresh: -1}
	if len(from.Marks) == 0 {
		if p.fresh = begin(files, 0, from.After); p.fresh < 0 && len(files) > 0 {
			p.fresh = len(files) - 1 // nobody wrote lately; somebody will
		}
		return p
	}
	newest := -1
	for i, m := range from.Marks {
		at, same := find(m, files)
		if at >= 0 {
			p.picks = append(p.picks, pick{at, m, same})
			newest = max(newest, at)
		}
		if i < len(from.Marks)-1 {
			continue
		}
		switch was := node(m.Dev, m.Ino, files); {
		case at >= 0 && !same && was >= 0 && files[at].packed == "":
			// It was copied where it could have been renamed. (Of a compressed one that
			// cannot be said: its number is free, and the next new file gets it.)
			p.gaps = append(p.gaps, Gap{Why: Emptied, Name: files[was].path})
		case at < 0:
			p.fresh = begin(files, newest+1, from.After)
			p.gaps = append(p.gaps, Gap{Why: Lost, Name: m.Name})
		}
	}
	return p
}

// find is the file of a mark: by its number, if its first bytes confirm it, for a number
// is given away again; or else by its first bytes alone, as they stay the same when a
// file is copied or compressed.
func find(m Mark, files []file) (at int, same bool) {
	if i := node(m.Dev, m.Ino, files); i >= 0 && m.of(files[i]) {
		return i, true
	}
	for i := len(files) - 1; i >= 0; i-- {
		if m.of(files[i]) {
			// Nothing is copied from the newest: so its number has changed, as after
			// a restore or when a volume gets another device number.
			return i, i == len(files)-1
		}
	}
	return -1, false
}

// node is the file with that number, or -1.
func node(dev, ino uint64, files []file) int {
	for i, f := range files {
		if f.isNode(dev, ino) {
			return i
		}
	}
	return -1
}

// begin is the oldest file from an index on that was written to after some time, or -1.
// The log itself is newer than all others, even if the clock was set back.
func begin(files []file, from int, after time.Time) int {
	for i := from; i < len(files); i++ {
		if files[i].kind == live || !files[i].writtenBefore(after) {
			return newestCopy(files, i)
		}
	}
	return -1
}

// next is the file that was written after files[i], or -1, and whether the numbers say
// that there was another between the two.
func next(files []file, i int) (after int, hole bool) {
	after = i + 1
	for after < len(files) && i >= 0 && sameLog(files[i], files[after]) {
		after++ // a copy of what has just been read
	}
	if after >= len(files) {
		return -1, false
	}
	if i >= 0 && files[i].kind == numbered {
		switch files[after].kind {
		case numbered:
			hole = files[after].number < files[i].number-1
		case live:
			hole = files[i].number > 1 // there are rotators that start at 0, and at 1
		}
	}
	return newestCopy(files, after), hole
}

// newestCopy is files[i], or a newer file with the same beginning: one that is being
// copied or compressed is there twice, and the newer of them is complete.
func newestCopy(files []file, i int) int {
	for k := len(files) - 1; k > i; k-- {
		if sameLog(files[i], files[k]) {
			return k
		}
	}
	return i
}

// shortest is the length of a line with a time in it and nothing else: fewer bytes tell
// no log from another.
const shortest = len("2026-11-22 06:25:01\n")

// sameLog says whether two files begin with the same lines. One may be short of some,
// while it is being written.
func sameLog(a, b file) bool {
	n := min(len(a.head), len(b.head))
	return n >= shortest && bytes.Equal(a.head[:n], b.head[:n])
}
