package watch

import "exipol/helper/follow"

// What a follower can be in trouble with.
const (
	reading = "reading"
	keeping = "keeping"
)

// trouble notes why it does not go on, and logs that it began.
func (f *follower) trouble(with string, err error) {
	f.mu.Lock()
	was := f.with
	f.with, f.said.Trouble = with, err.Error()
	f.mu.Unlock()
	if was != with {
		f.o.Log.Warn("the log is not followed for now; nothing is lost", "log", f.log, "trouble", with, "error", err)
	}
}

// well notes that it goes on.
func (f *follower) well(with string) {
	f.mu.Lock()
	was := f.with == with
	if was {
		f.with, f.said.Trouble = "", ""
	}
	f.mu.Unlock()
	if was {
		f.o.Log.Info("the log is followed again", "log", f.log)
	}
}

// gap tells of what may be missing.
func (f *follower) gap(g follow.Gap) {
	f.o.Log.Warn("a gap in the log", "log", f.log, "gap", g.String())
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said.LastGap = g.String()
}

func (f *follower) noteRead(lines, strange int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said.Lines += int64(lines)
	f.said.Strange += int64(strange)
	f.said.Newest = f.last
	f.said.Underway = f.flights.n
}

func (f *follower) noteKept(counted int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said.Counted += int64(counted)
	f.said.Kept = f.o.Clock()
}

func (f *follower) status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.said
}
