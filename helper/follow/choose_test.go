package follow

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const stamp = "2026-11-22 06:25:01 "

// looked makes a sorted list out of words: name:ino:head[@seconds]. A head is a letter,
// of which the file's first line is made; "" is an empty file, "!" one that cannot be read,
// a letter in upper case stands for the first line and one more.
func looked(t *testing.T, words string) []file {
	t.Helper()
	var files []file
	for word := range strings.FieldsSeq(words) {
		word, at, _ := strings.Cut(word, "@")
		part := strings.Split(word, ":")
		f := named(t, "mainlog", part[0]+"@"+at)[0]
		fmt.Sscan(part[1], &f.ino)
		switch head := part[2]; {
		case head == "!":
			f.err = ErrPacked
		case head != "":
			f.head = []byte(stamp + strings.ToLower(head) + "\n")
			if head != strings.ToLower(head) {
				f.head = append(f.head, "more\n"...)
			}
		}
		files = append(files, f)
	}
	sortFiles(files)
	return files
}

// marked makes marks out of ino:head, each after the first line.
func marked(words string) (marks []Mark) {
	for word := range strings.FieldsSeq(words) {
		ino, head, _ := strings.Cut(word, ":")
		line := []byte(stamp + head + "\n")
		m := Mark{Name: "was" + ino, Offset: int64(len(line)), Head: printOf(line), Tail: printOf(line)}
		fmt.Sscan(ino, &m.Ino)
		marks = append(marks, m)
	}
	return marks
}

func TestChoose(t *testing.T) {
	for _, c := range []struct{ what, marks, after, files, want string }{
		{"nothing was ever read", "", "-99", "mainlog:1:a mainlog.1:2:b mainlog.2.gz:3:c", "from mainlog.2.gz"},
		{"only what is young is wanted", "", "5", "mainlog:1:a@9 mainlog.1:2:b@6 mainlog.2.gz:3:c@4", "from mainlog.1"},
		{"all is old", "", "5", "mainlog.1:2:b@2 mainlog.2.gz:3:c@1", "from mainlog.1"},
		{"the beginning is being copied", "", "-99", "mainlog:1:A mainlog.1:2:a", "from mainlog"},
		{"the beginning is being compressed", "", "-99", "mainlog:1:x mainlog.1:2:A mainlog.1.gz:3:a", "from mainlog.1"},
		{"no rotation", "1:a", "5", "mainlog:1:A mainlog.1:2:b", "mainlog="},
		{"renamed", "1:a", "5", "mainlog:7:x mainlog.1:1:a", "mainlog.1="},
		{"renamed, and the number given away", "1:a", "5", "mainlog:1:x mainlog.1:7:y mainlog.2.gz:8:a", "mainlog.2.gz~"},
		{"copied, not yet emptied", "1:a", "5", "mainlog:1:A mainlog.1:2:a", "mainlog="},
		{"copied and emptied", "1:a", "5", "mainlog:1: mainlog.1:2:A", "mainlog.1~ emptied mainlog"},
		{"copied, emptied and filled", "1:a", "5", "mainlog:1:b mainlog.1:2:A", "mainlog.1~ emptied mainlog"},
		{"compressed", "1:a", "5", "mainlog:7:x mainlog.1:8:y mainlog.2.gz:9:A", "mainlog.2.gz~"},
		{"the file system has another number now", "1:a", "5", "mainlog:9:A mainlog.1:2:b", "mainlog="},
		{"emptied without a copy", "1:a", "5", "mainlog:1:x@7 mainlog.1:2:b@3", "from mainlog lost was1"},
		{"gone", "1:a", "5", "mainlog:7:x@9 mainlog.1:8:y@6 mainlog.2.gz:9:z@4", "from mainlog.1 lost was1"},
		{"gone, and the clock set back", "1:a", "5", "mainlog:7:x@2 mainlog.1:8:y@1", "from mainlog lost was1"},
		{"gone, and nothing has come", "1:a", "5", "mainlog.1:8:y@1", "lost was1"},
		{"a late writer's file and the current one", "2:b 1:a", "5", "mainlog:1:A mainlog.1:2:B", "mainlog.1= mainlog="},
		{"both renamed, one compressed", "2:b 1:a", "5", "mainlog:5:x mainlog.1:1:A mainlog.2.gz:7:B", "mainlog.2.gz~ mainlog.1="},
		{"the late writer's is gone", "2:b 1:a", "5", "mainlog:1:A mainlog.1:7:c", "mainlog="},
		{"the current one is gone; the other is not read again", "2:b 1:a", "5", "mainlog:7:x@9 mainlog.1:2:B@8", "mainlog.1= from mainlog lost was1"},
		{"it may be in what cannot be read", "1:a", "5", "mainlog:7:x@9 mainlog.1.xz:8:!@7", "from mainlog.1.xz lost was1"},
	} {
		files := looked(t, c.files)
		var sec int
		fmt.Sscan(c.after, &sec)
		p := choose(Position{After: time.Unix(1e9+int64(sec), 0), Marks: marked(c.marks)}, files)
		var got []string
		for _, pick := range p.picks {
			got = append(got, files[pick.file].path+map[bool]string{true: "=", false: "~"}[pick.same])
		}
		if p.fresh >= 0 {
			got = append(got, "from "+files[p.fresh].path)
		}
		for _, g := range p.gaps {
			got = append(got, string(g.Why)+" "+g.Name)
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

func TestNext(t *testing.T) {
	for _, c := range []struct{ from, files, want string }{
		{"mainlog", "mainlog:1:a mainlog.1:2:b", ""},
		{"mainlog.1", "mainlog:1:a mainlog.1:2:b", "mainlog"},
		{"mainlog.1", "mainlog.1:2:b mainlog.2.gz:3:c", ""}, // nobody has written yet
		{"mainlog.2.gz", "mainlog:1:a mainlog.1:2:b mainlog.2.gz:3:c", "mainlog.1"},
		{"mainlog.2.gz", "mainlog:1:a mainlog.2.gz:3:c", "mainlog hole"},
		{"mainlog.4.gz", "mainlog:1:a mainlog.2.gz:3:c mainlog.4.gz:4:d", "mainlog.2.gz hole"},
		{"mainlog.0", "mainlog:1:a mainlog.0:2:b", "mainlog"},
		{"mainlog.2.gz", "mainlog:1:a mainlog.1:2:b mainlog.1.gz:9:b mainlog.2.gz:3:c", "mainlog.1"}, // which is being compressed
		{"mainlog.1.gz", "mainlog:1:a mainlog.1:2:b mainlog.1.gz:9:b", "mainlog"},                    // somebody unpacked it
		{"mainlog.2.gz", "mainlog:1:A mainlog.1:2:a mainlog.2.gz:3:c", "mainlog"},                    // which is being copied
		{"mainlog.2.gz", "mainlog:1:a mainlog.1:2: mainlog.2.gz:3:c", "mainlog.1"},
		{"mainlog-20261121", "mainlog:1:a mainlog-20261121:2:b mainlog-20261125:3:c", "mainlog-20261125"},
	} {
		files := looked(t, c.files)
		for i, f := range files {
			if f.path != c.from {
				continue
			}
			got := ""
			j, hole := next(files, i)
			if j >= 0 {
				got = files[j].path
			}
			if hole {
				got += " hole"
			}
			if got != c.want {
				t.Errorf("after %s of %s: %q, want %q", c.from, c.files, got, c.want)
			}
		}
	}
}

// TestShortHeads: bytes that are fewer than a time tell no log from another.
func TestShortHeads(t *testing.T) {
	a, b := file{head: []byte("hello\n")}, file{head: []byte("hello\nworld\n")}
	if sameLog(a, b) || sameLog(a, file{}) || sameLog(file{}, file{}) {
		t.Error("they are taken for the same log")
	}
}

func TestLastBytes(t *testing.T) {
	var all, tail []byte
	for i := range 400 {
		piece := []byte(strings.Repeat(string(rune('a'+i%26)), i*7%300))
		all, tail = append(all, piece...), lastBytes(tail, piece)
		if want := all[max(0, len(all)-tailSize):]; string(tail) != string(want) {
			t.Fatalf("after %d bytes: %d bytes, %q", len(all), len(tail), tail)
		}
	}
}
