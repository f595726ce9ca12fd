package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/helper/store"
	"exipol/helper/store/sqlite"
)

// contacts is what one greylist did with those it had not seen before, or would have
// done.
type contacts struct {
	Policy  string           `json:"policy"`
	Observe bool             `json:"observe"` // it only watches: nobody was made to wait
	Since   string           `json:"since"`   // RFC 3339; who came first before then is not counted
	Whys    []store.WhyCount `json:"whys"`    // by reason, the most frequent first
	Newest  []newContact     `json:"newest"`

	last plan.Duration // the time since Since
}

// newContact is one of them.
type newContact struct {
	Key    string `json:"key"`
	Why    string `json:"why"`
	First  string `json:"first"`            // RFC 3339
	Passed string `json:"passed,omitempty"` // RFC 3339: when it came back in time; absent: it has not
	Wait   string `json:"wait,omitempty"`   // from First to Passed
}

// greylistContacts reads what a greylist's rows say. It looks back as far as a retry may
// come: who did not come back is forgotten then, and who did is known much longer.
func greylistContacts(ctx context.Context, s *sqlite.Store, g plan.Grey, most int, now time.Time) (contacts, error) {
	since := now.Add(-g.Retry.Std())
	c := contacts{Policy: g.Ref(), Observe: g.Mode == plan.Observe, Since: since.UTC().Format(time.RFC3339), Newest: []newContact{}, last: g.Retry}
	rows := g.Ref()
	if c.Observe {
		rows = "observe:" + rows
	}
	var err error
	if c.Whys, err = s.Whys(ctx, rows, since.UnixMilli(), now.UnixMilli()); err != nil {
		return c, err
	}
	c.Whys = listOf(c.Whys)
	newest, err := s.Recent(ctx, rows, most, now.UnixMilli())
	for _, n := range newest {
		one := newContact{Key: n.Key, Why: n.Why, First: moment(n.First), Passed: moment(n.Passed)}
		if n.Passed != 0 {
			one.Wait = wait(n.Passed - n.First)
		}
		c.Newest = append(c.Newest, one)
	}
	return c, err
}

// wait is a length of time, to the second.
func wait(ms int64) string {
	return (time.Duration(ms) * time.Millisecond).Round(time.Second).String()
}

// reasons explains what a reason's words mean, where they do not say it.
func reasons(why string) string {
	switch why {
	case "first_contact":
		return "first contact (this greylist is for everyone)"
	case "unclear":
		return "unclear (DNS did not answer, and on_failure is defer)"
	}
	return strings.ReplaceAll(why, ",", ", ")
}

// print is for people who want to know what the greylist costs, or would cost.
func (c contacts) print(w io.Writer) {
	var all, back int64
	for _, y := range c.Whys {
		all += y.Contacts
		back += y.LetIn
	}
	did, again := "deferred", "came back and got in"
	if c.Observe {
		did, again = "would have been deferred", "wrote again"
	}
	fmt.Fprintf(w, "%s\t%d first contacts %s in the last %s; %d of them %s\n", c.Policy, all, did, c.last, back, again)
	if c.Observe && all > 0 {
		fmt.Fprintf(w, "\t(it only observes: their mail went in at once, so none had to come back)\n")
	}
	for _, y := range c.Whys {
		fmt.Fprintf(w, "  %s\t%d, %d %s\n", readable(reasons(y.Why)), y.Contacts, y.LetIn, again)
	}
	for i, n := range c.Newest {
		if i == 0 {
			fmt.Fprintf(w, "  the newest\n")
		}
		end := "not yet"
		if n.Passed != "" {
			end = "after " + n.Wait
		}
		fmt.Fprintf(w, "    %s\t%s, %s; again: %s\n", readable(n.Key), n.First, readable(reasons(n.Why)), end)
	}
}
