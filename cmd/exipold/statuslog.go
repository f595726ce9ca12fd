package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"exipol/cmd/internal/eximconf"
	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/follow"
	"exipol/helper/store"
)

// logStatus is how far a log was read.
type logStatus struct {
	Gateway string `json:"gateway"`
	Log     string `json:"log"`
	ReadAt  string `json:"read_at"`          // RFC 3339: when something of it was kept last; "" for never
	Newest  string `json:"newest,omitempty"` // RFC 3339: the time of the newest line that was read
	File    string `json:"file,omitempty"`   // that was read last
	Offset  int64  `json:"offset"`           // the place in it, in bytes
	Behind  *int64 `json:"behind,omitempty"` // bytes that are not read yet; absent where this gateway cannot tell
}

// logsOf is how far the logs were read; nil where the plan counts nothing of them.
func logsOf(ctx context.Context, p *plan.Plan, s store.Store, gateway string) ([]logStatus, error) {
	if !slices.ContainsFunc(p.Tables, func(t plan.Table) bool { return t.Name == plan.TableLogPlace }) {
		return nil, nil
	}
	places, err := s.Places(ctx)
	if err != nil {
		return nil, err
	}
	all := []logStatus{}
	for _, place := range places {
		l := logStatus{Gateway: place.Gateway, Log: place.Log, ReadAt: moment(place.At)}
		var at struct {
			Position follow.Position `json:"position"`
			Last     time.Time       `json:"last"`
		}
		if err := json.Unmarshal([]byte(place.Place), &at); err == nil {
			if !at.Last.IsZero() {
				l.Newest = moment(at.Last.UnixMilli())
			}
			if n := len(at.Position.Marks); n > 0 {
				mark := at.Position.Marks[n-1]
				l.File, l.Offset = mark.Name, mark.Offset
				if place.Gateway == gateway {
					l.Behind = behind(place.Log, mark)
				}
			}
		}
		all = append(all, l)
	}
	if eximconf.Follows(p) {
		for _, log := range p.Mainlog {
			if !slices.ContainsFunc(places, func(at engine.PutPlace) bool { return at.Log == log }) {
				all = append(all, logStatus{Gateway: gateway, Log: log})
			}
		}
	}
	return all, nil
}

// behind is how many bytes of a log come after a mark, at least; nil where that cannot be seen.
func behind(log string, mark follow.Mark) *int64 {
	info, err := os.Stat(log)
	if err != nil {
		return nil
	}
	n := info.Size() // a new file: all of it, and what was left of the old one
	if dev, ino := inode(info); dev == mark.Dev && ino == mark.Ino {
		n = max(0, n-mark.Offset)
	}
	return &n
}

// inode is what tells a file from others.
func inode(info os.FileInfo) (dev, ino uint64) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Dev), st.Ino //nolint:unconvert // narrower on other systems
	}
	return 0, 0
}

func printLogs(w io.Writer, logs []logStatus) {
	for _, l := range logs {
		if l.ReadAt == "" {
			fmt.Fprintf(w, "log\t%s %s: nothing of it was read yet (exipold doctor says whether it can be)\n", readable(l.Gateway), readable(l.Log))
			continue
		}
		words := "read to byte " + fmt.Sprint(l.Offset) + ", at " + l.ReadAt
		if l.Newest != "" {
			words += ", the newest line of " + l.Newest
		}
		if l.Behind != nil {
			words += ", " + number(*l.Behind, "byte", "bytes") + " behind"
		}
		fmt.Fprintf(w, "log\t%s %s: %s\n", readable(l.Gateway), readable(l.Log), words)
	}
}
