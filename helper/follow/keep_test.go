package follow

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"
)

// TestKeep: batches stay as they were for as many further calls as was asked for, however often each of them
// looks for lines before there are any.
func TestKeep(t *testing.T) {
	for _, keep := range []int{0, 1, 3} {
		t.Run(fmt.Sprint(keep), func(t *testing.T) {
			d := newLogDir(t)
			r := d.reader(Options{Keep: keep, Lines: 3, Bytes: 400, Poll: time.Millisecond, PollMost: time.Millisecond})
			type kept struct {
				lines [][]byte
				was   string
			}
			var all []kept
			for n := range 60 {
				d.write("mainlog", 2+n%5)
				for range 1 + n%3 {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
					b, err := r.Next(ctx)
					cancel()
					for i, k := range all[max(0, len(all)-keep):] {
						if got := string(bytes.Join(k.lines, []byte("\n"))); got != k.was {
							t.Fatalf("batch %d of the last %d became %q, and was %q", i, keep, got, k.was)
						}
					}
					if err == nil {
						all = append(all, kept{b.Lines, string(bytes.Join(b.Lines, []byte("\n")))})
					} else {
						all = append(all, kept{})
					}
				}
			}
			if len(all) < 60 {
				t.Error(len(all))
			}
		})
	}
}
