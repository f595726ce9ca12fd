package eximtest

import (
	"os"
	"regexp"
	"strings"
	"time"
)

// Log returns the lines of a log: "mainlog", "rejectlog", "paniclog". A log that Exim
// has not begun is empty.
func (b *Bed) Log(name string) []string {
	b.t.Helper()
	data, err := os.ReadFile(b.Path("log/" + name))
	if err != nil && !os.IsNotExist(err) {
		b.t.Fatalf("read %s: %v", name, err)
	}
	if len(data) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

func (b *Bed) logSize(name string) int {
	st, err := os.Stat(b.Path("log/" + name))
	if err != nil {
		return 0
	}
	return int(st.Size())
}

// Grep returns the lines of mainlog that hold a text.
func (b *Bed) Grep(text string) []string {
	b.t.Helper()
	var found []string
	for _, l := range b.Log("mainlog") {
		if strings.Contains(l, text) {
			found = append(found, l)
		}
	}
	return found
}

// WaitLog waits until a line of mainlog holds a text, and returns the first. Without
// one the test ends.
func (b *Bed) WaitLog(text string) string {
	b.t.Helper()
	for end := time.Now().Add(patience / 2); ; time.Sleep(10 * time.Millisecond) {
		if found := b.Grep(text); len(found) > 0 {
			return found[0]
		} else if time.Now().After(end) {
			b.t.Fatalf("no line with %q in mainlog", text)
		}
	}
}

// A line that Exim writes into mainlog: time, perhaps process, perhaps message, then
// text without controls, but for the bytes that addresses may bring.
var logLine = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?: [+-]\d{4})? (?:\[\d+\] )?(\S.*)$`)

// What begins a second entry within a line: a line without its newline was cut, or
// something wrote between.
var twoInOne = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (?:[0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4} |H=|exim \d)`)

// LogFaults looks for traces of anything that wrote where Exim's log or spool should
// have been written: lines in mainlog that Exim does not write, anything at all in
// paniclog, and accepted messages without their own one "<=" line. The result is
// empty where all is well.
func (b *Bed) LogFaults() []string {
	b.t.Helper()
	var faults []string
	main := b.Log("mainlog")
	for _, l := range main {
		m := logLine.FindStringSubmatch(l)
		switch {
		case m == nil:
			faults = append(faults, "stray line in mainlog: "+printable(l))
		case twoInOne.MatchString(m[1]):
			faults = append(faults, "two entries in a line of mainlog: "+printable(l))
		}
	}
	for _, l := range b.Log("paniclog") {
		faults = append(faults, "paniclog: "+printable(l))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range b.accepted {
		n := 0
		for _, l := range main {
			if strings.Contains(l, " "+id+" <= ") || strings.Contains(l, " "+id+" (= ") {
				n++
			}
		}
		if n != 1 {
			faults = append(faults, "message "+id+" was accepted, and has "+[]string{"no", "", "more than one"}[min(n, 2)]+" \"<=\" line in mainlog")
		}
	}
	return faults
}

// CheckLogs is [Bed.LogFaults] as a check.
func (b *Bed) CheckLogs() {
	b.t.Helper()
	if faults := b.LogFaults(); len(faults) > 0 {
		b.t.Errorf("%s", strings.Join(faults, "\n"))
	}
}
