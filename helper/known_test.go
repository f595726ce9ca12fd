package helper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
)

var knownOf = plan.Store{Kind: plan.MySQL, Hosts: []string{"db1:3306", "db2:3306"}, Database: "exipol"}

// manyStandings are n of them, with keys of all kinds of bytes.
func manyStandings(n int) *engine.Standings {
	all := make([]engine.Standing, 0, n)
	for i := range n {
		s := engine.Standing{Policy: "limit.stolen", Key: fmt.Sprintf("user%d@example.com", i), Case: int64(i + 1), Tier: "block", Rank: 1, Blocks: true, Since: 1790000000000}
		switch i % 5 {
		case 1:
			s.Key += "\xff\x00|"
		case 2:
			s.Key, s.Until = inBase64+s.Key, 1790000001000
		case 3:
			s.Key, s.Released, s.Cleared, s.Probation = "a\n{}\"\\<>&\u2028"+s.Key, 1790000000001, 1790000000001, 1790000009000
		}
		all = append(all, s)
	}
	return new(engine.Standings).With(all)
}

func standingsOf(r engine.Runtime) map[engine.Standing]bool {
	out := map[engine.Standing]bool{}
	for s := range r.Standings.All() {
		out[s] = true
	}
	return out
}

// TestKnownFile: what is written is read back, to the byte.
func TestKnownFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known.json")
	now := time.UnixMilli(1790000000123).UTC()
	for _, r := range []engine.Runtime{
		{},
		{Standings: manyStandings(1000)},
		{
			Allowances: []engine.Allowance{{ID: 7, Policy: "limit.stolen", Field: "sender", Pattern: "*@b.example", Owner: "jane", Why: "a \"reason\"\n", Made: 1, Until: 2}, {ID: 8, Field: "client", Pattern: "::/0"}},
			Off:        []engine.Switch{{Policy: "limit.rate", Owner: "jane", Why: inBase64, Made: 1}, {Policy: "limit.tarpit", Until: 5}},
			Standings:  manyStandings(3),
		},
	} {
		if err := writeKnown(file, knownOf, &r, now); err != nil {
			t.Fatal(err)
		}
		other := knownOf
		other.Hosts = []string{"db3:3306", "db2:3306"}
		got, asOf, err := readKnown(file, other)
		if err != nil || !asOf.Equal(now) {
			t.Fatalf("%s, %v", asOf, err)
		}
		if !reflect.DeepEqual(got.Allowances, r.Allowances) || !reflect.DeepEqual(got.Off, r.Off) || !maps.Equal(standingsOf(got), standingsOf(r)) {
			t.Errorf("%+v, want %+v", got, r)
		}
	}
}

// TestDamagedKnownFile: what is not whole, of another version or of another store is not gone by.
func TestDamagedKnownFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known.json")
	read := func() error {
		_, _, err := readKnown(file, knownOf)
		return err
	}
	if err := read(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := writeKnown(file, knownOf, &engine.Runtime{Standings: manyStandings(20)}, time.Now()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	put := func(b []byte) {
		if err := os.WriteFile(file, b, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	for i := range whole { // cut, or changed, anywhere
		if i < len(whole)-1 { // the last newline says nothing
			put(whole[:i])
			if read() == nil {
				t.Fatalf("cut after %d bytes of %d", i, len(whole))
			}
			b := bytes.Clone(whole)
			b[i] ^= 1
			if put(b); read() == nil {
				t.Fatalf("byte %d is another", i)
			}
		}
	}
	put(whole)
	if err := read(); err != nil {
		t.Error(err)
	}
	for what, other := range map[string]plan.Store{
		"sqlite":          {Kind: plan.SQLite, Path: "/x"},
		"another name":    {Kind: plan.MySQL, Hosts: knownOf.Hosts, Database: "exipol2"},
		"all other hosts": {Kind: plan.MySQL, Hosts: []string{"db9:3306"}, Database: "exipol"},
	} {
		if _, _, err := readKnown(file, other); err == nil || !strings.Contains(err.Error(), "another store") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestKnownAgain: the copy follows what changes, and is not written where nothing has; a folder that is not there is said
// once.
func TestKnownAgain(t *testing.T) {
	b := newBench(t)
	b.o.Known = filepath.Join(b.dir, "known.json")
	keep := func(r *engine.Runtime) os.FileInfo {
		t.Helper()
		b.known.learn(r)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		b.keepKnown(ctx) // the last time
		info, err := os.Stat(b.o.Known)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	one := engine.Runtime{Standings: manyStandings(3)}
	same := engine.Runtime{Standings: one.Standings}
	first := keep(&one)
	if !os.SameFile(first, keep(&same)) {
		t.Error("written again though nothing has changed")
	}
	b.known.touched = b.known.touched.Add(-knownTouch)
	if err := os.Chtimes(b.o.Known, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if info := keep(&same); !os.SameFile(first, info) || time.Since(info.ModTime()) > time.Hour {
		t.Errorf("it does not say that it holds still: %s", info.ModTime())
	}
	if os.SameFile(first, keep(&engine.Runtime{Standings: manyStandings(4)})) {
		t.Error("not written though something has changed")
	}
	b.o.Known = filepath.Join(b.dir, "nowhere", "known.json")
	for range 3 {
		if b.noteKnown(writeKnown(b.o.Known, knownOf, &one, time.Now())) {
			t.Error("written to nowhere")
		}
	}
	if n := strings.Count(b.log.String(), "cannot be kept for a start"); n != 1 {
		t.Errorf("said %d times:\n%s", n, b.log)
	}
}

// BenchmarkKnownFile: a copy of a hundred thousand blocks.
func BenchmarkKnownFile(b *testing.B) {
	file := filepath.Join(b.TempDir(), "known.json")
	r := engine.Runtime{Standings: manyStandings(100_000)}
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := writeKnown(file, knownOf, &r, time.Now()); err != nil {
				b.Fatal(err)
			}
		}
		if info, err := os.Stat(file); err == nil {
			b.SetBytes(info.Size())
		}
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := readKnown(file, knownOf); err != nil {
				b.Fatal(err)
			}
		}
	})
}
