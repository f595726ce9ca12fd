package follow

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMember(t *testing.T) {
	for _, c := range []struct {
		log, name string
		want      rank
		packed    string
	}{
		{"mainlog", "mainlog", rank{kind: live}, ""},
		{"mainlog", "mainlog.1", rank{kind: numbered, number: 1}, ""},
		{"mainlog", "mainlog.12.gz", rank{kind: numbered, number: 12}, ".gz"},
		{"mainlog", "mainlog.01", rank{kind: numbered, number: 1}, ""}, // exicyclog
		{"mainlog", "mainlog.0.bz2", rank{kind: numbered}, ".bz2"},     // newsyslog
		{"mainlog", "mainlog.3.xz", rank{kind: numbered, number: 3}, ".xz"},
		{"mainlog", "mainlog-20261122", rank{kind: dated, stamp: "20261122"}, ""},
		{"mainlog", "mainlog-20261122.gz", rank{kind: dated, stamp: "20261122"}, ".gz"},
		{"mainlog", "mainlog-2026112206.zst", rank{kind: dated, stamp: "2026112206"}, ".zst"},
		{"mainlog", "mainlog.2026-11-22", rank{kind: dated, stamp: "20261122"}, ""},
		{"mainlog", "mainlog-1795330800.Z", rank{kind: dated, stamp: "1795330800"}, ".Z"},
		{"main.log", "main.log.1", rank{kind: numbered, number: 1}, ""},
		{"main.log", "main.1.log", rank{kind: numbered, number: 1}, ""}, // logrotate's extension
		{"main.log", "main-20261122.log.gz", rank{kind: dated, stamp: "20261122"}, ".gz"},
		{"mainlog-%D", "mainlog-20261122", rank{kind: dated, stamp: "20261122"}, ""},
		{"mainlog-%D", "mainlog-20261122.gz", rank{kind: dated, stamp: "20261122"}, ".gz"},
		{"%Dmainlog", "20261122mainlog", rank{kind: dated, stamp: "20261122"}, ""},
		{"main.%M.log", "main.202611.log", rank{kind: dated, stamp: "202611"}, ""},
	} {
		f, err := newFamily("/var/log/exim4/"+c.log, nil)
		if err != nil {
			t.Fatal(err)
		}
		of, packed, ok := f.member(c.name)
		if !ok || of != c.want || packed != c.packed {
			t.Errorf("%s of %s: %+v %q %v", c.name, c.log, of, packed, ok)
		}
	}
}

func TestNoMember(t *testing.T) {
	for log, names := range map[string]string{
		"mainlog":     "mainlog.gz mainlog1 mainlog.bak mainlog.1.bak mainlog.1.gz.tmp mainlog~ mainlog.old mainlog- mainlog. mainlog.-1 mainlog.12345 rejectlog rejectlog.1 amainlog.1 mainlog.offset mainlog.1~",
		"main.log":    "main.1 mainx1.log main.log.log main..log reject.1.log",
		"mainlog-%D":  "mainlog mainlog- mainlog-2026112 mainlog-202611221 mainlog-2026112x mainlog-20261122.1 mainlog-20261122.bak rejectlog-20261122 mainlog-%D",
		"main.%M.log": "main.20261122.log main.log main.202611",
	} {
		f, err := newFamily(log, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name := range strings.FieldsSeq(names) {
			if of, _, ok := f.member(name); ok {
				t.Errorf("%s is taken for one of %s: %+v", name, log, of)
			}
		}
	}
}

func TestFamilyErrors(t *testing.T) {
	for _, c := range []struct{ path, old string }{
		{"", ""}, {"/var/log/%D/mainlog", ""}, {"mainlog-%D-%M", ""}, {"%D%D", ""},
		{"mainlog", "/var/log/old/[x"}, {"mainlog", "/var/log/*/mainlog.1"},
	} {
		var old []string
		if c.old != "" {
			old = []string{c.old}
		}
		if _, err := Open(Options{Path: c.path, Old: old}); err == nil {
			t.Errorf("%q, %q: no error", c.path, c.old)
		}
	}
}

// named makes files as scan would find them, each "name" or "name@seconds".
func named(t *testing.T, log, names string) []file {
	t.Helper()
	f, err := newFamily(log, nil)
	if err != nil {
		t.Fatal(err)
	}
	var files []file
	for i, field := range strings.Fields(names) {
		name, at, _ := strings.Cut(field, "@")
		of, packed, ok := f.member(name)
		if !ok {
			of = rank{kind: other}
		}
		sec, _ := time.ParseDuration(at + "s")
		files = append(files, file{path: name, rank: of, packed: packed, ino: uint64(i + 1), mod: time.Unix(1e9, 0).Add(sec)})
	}
	return files
}

func names(files []file) string {
	var all []string
	for _, f := range files {
		all = append(all, f.path)
	}
	return strings.Join(all, " ")
}

func TestOrder(t *testing.T) {
	for _, c := range []struct{ log, names, want string }{
		{"mainlog", "mainlog mainlog.1 mainlog.10.gz mainlog.2.gz", "mainlog.10.gz mainlog.2.gz mainlog.1 mainlog"},
		{"mainlog", "mainlog mainlog.01 mainlog.02.gz", "mainlog.02.gz mainlog.01 mainlog"},
		{"mainlog", "mainlog.1 mainlog.1.gz mainlog.2.gz", "mainlog.2.gz mainlog.1.gz mainlog.1"},
		{"mainlog", "mainlog mainlog-20261122 mainlog-20261121.gz", "mainlog-20261121.gz mainlog-20261122 mainlog"},
		{"mainlog-%D", "mainlog-20270101 mainlog-20261231 mainlog-20261231.gz", "mainlog-20261231.gz mainlog-20261231 mainlog-20270101"},
		// the rotator was set to dates: names cannot be compared, times can
		{"mainlog", "mainlog@9 mainlog.1@3 mainlog.2@1 mainlog-20261122@5", "mainlog.2 mainlog.1 mainlog-20261122 mainlog"},
		{"mainlog", "mainlog@0 kept@3 older@1 mainlog.1@2", "older mainlog.1 kept mainlog"},
		{"mainlog", "x@1 w@1", "w x"},
	} {
		files := named(t, c.log, c.names)
		for range files { // whatever order they come in
			files = append(files[1:], files[0])
			sorted := slices.Clone(files)
			sortFiles(sorted)
			if got := names(sorted); got != c.want {
				t.Errorf("%s of %s: %s", c.names, c.log, got)
			}
		}
	}
}
