package mysqltest

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// WithClock gives the server a clock that is so far ahead of this machine's, or behind it where that is negative. It takes
// Debian's package faketime.
func WithClock(ahead time.Duration) Option {
	return func(o *options) { o.ahead = ahead }
}

// clock is what the server's environment needs for that.
func (o options) clock() ([]string, error) {
	if o.ahead == 0 {
		return nil, nil
	}
	found, _ := filepath.Glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
	if len(found) == 0 {
		return nil, errors.New("no libfaketime on this machine; install it with: apt-get install faketime")
	}
	// Waiting goes by the other clock, which is left alone.
	return []string{"LD_PRELOAD=" + found[0], fmt.Sprintf("FAKETIME=%+.3f", o.ahead.Seconds()), "FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_DONT_RESET=1"}, nil
}
