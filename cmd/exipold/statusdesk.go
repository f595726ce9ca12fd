package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"exipol/cmd/internal/eximconf"
	"exipol/generator/plan"
	"exipol/helper/desk"
	"exipol/helper/store"
)

// deskStatus is what exipold status says of the abuse desk's work.
type deskStatus struct {
	Open           int          `json:"open"`             // cases
	Blocking       int          `json:"blocking"`         // of them
	Messages       int          `json:"messages"`         // that are held, in all gateways' queues
	Held           []heldStatus `json:"held"`             // by case, the oldest message first
	CancelledAfter string       `json:"cancelled_after"`  // Exim's timeout_frozen_after on this gateway: "7d"; "never"; "" where no Exim says it
	Undone         []undone     `json:"undone"`           // what was decided about held mail, and is not done yet
	Waiting        int          `json:"notices_waiting"`  //
	GivenUp        []givenUp    `json:"notices_given_up"` //
	after          time.Duration
}

// undone is what exipold desk on a gateway has to do yet.
type undone struct {
	Gateway string `json:"gateway"`
	Thaw    int    `json:"thaw"` // messages
	Remove  int    `json:"remove"`
}

// heldStatus is what a case holds.
type heldStatus struct {
	Case      int64    `json:"case"`
	Policy    string   `json:"policy"`
	Who       string   `json:"who"`
	State     string   `json:"state"` // of the case
	Messages  int      `json:"messages"`
	Bytes     int64    `json:"bytes"`
	Gateways  []string `json:"gateways"`
	Oldest    string   `json:"oldest"`              // when the oldest one came in, RFC 3339
	Cancelled string   `json:"cancelled,omitempty"` // when Exim will cancel that one, with a bounce to its sender
	oldest    time.Time
}

// givenUp is a notice that reached nobody.
type givenUp struct {
	Case     int64  `json:"case"`
	Tier     string `json:"tier"`
	Receiver string `json:"receiver"`
	Error    string `json:"error"`
	made     time.Time
}

// untold are the notices that reached nobody, or nobody yet.
type untold struct {
	waiting int
	oldest  time.Time // when the first of those that are overdue should have been tried; zero: none is
	givenUp []givenUp
}

func noticesOf(ctx context.Context, s store.Store, now time.Time) (untold, error) {
	var u untold
	all, err := s.Untold(ctx)
	for _, n := range all {
		due := time.UnixMilli(n.Due)
		switch {
		case n.Due == 0:
			u.givenUp = append(u.givenUp, givenUp{n.Case, n.Tier, n.Receiver, strings.TrimPrefix(n.Error, desk.GivenUp), time.UnixMilli(n.Made)})
			continue
		case due.Before(now) && (u.oldest.IsZero() || due.Before(u.oldest)):
			u.oldest = due
		}
		u.waiting++
	}
	return u, err
}

// deskOf is what the desk's tables say; nil where the plan needs none.
func deskOf(ctx context.Context, p *plan.Plan, s store.Store, now time.Time, exim, config string) (*deskStatus, error) {
	if !desk.Needed(p) {
		return nil, nil
	}
	d := &deskStatus{Held: []heldStatus{}, Undone: []undone{}, GivenUp: []givenUp{}}
	cases, err := s.Cases(ctx, store.CaseFilter{All: true, Now: now.UnixMilli()})
	if err != nil {
		return nil, err
	}
	for _, c := range cases {
		if c.State == store.CaseOpen {
			d.Open++
			if c.Blocks {
				d.Blocking++
			}
		}
	}
	told, err := noticesOf(ctx, s, now)
	if err != nil {
		return nil, err
	}
	d.Waiting, d.GivenUp = told.waiting, append(d.GivenUp, told.givenUp...)
	held, err := s.Held(ctx, "")
	if err != nil {
		return nil, err
	}
	d.Messages = len(held)
	d.hold(held, cases)
	if len(held) > 0 {
		d.cancelled(ctx, exim, config)
	}
	return d, nil
}

// hold sorts what is held by case.
func (d *deskStatus) hold(held []store.Held, cases []store.Case) {
	at := map[int64]int{}
	for _, m := range held {
		i, there := at[m.Case]
		if !there {
			i = len(d.Held)
			at[m.Case] = i
			d.Held = append(d.Held, heldStatus{Case: m.Case, Gateways: []string{}})
		}
		h := &d.Held[i]
		h.Messages++
		h.Bytes += m.Size
		d.wanted(m)
		if !slices.Contains(h.Gateways, m.Gateway) {
			h.Gateways = append(h.Gateways, m.Gateway)
		}
		if came := cameIn(m.Message, time.UnixMilli(m.Since)); h.oldest.IsZero() || came.Before(h.oldest) {
			h.oldest = came
		}
	}
	for i := range d.Held {
		h := &d.Held[i]
		slices.Sort(h.Gateways)
		h.Oldest = moment(h.oldest.UnixMilli())
		for _, c := range cases {
			if c.ID == h.Case {
				h.Policy, h.Who, h.State = c.Policy, c.Who, c.State
			}
		}
	}
	slices.SortFunc(d.Held, func(a, b heldStatus) int { return a.oldest.Compare(b.oldest) })
}

// wanted notes what was decided about a message that is there still.
func (d *deskStatus) wanted(m store.Held) {
	if m.Wanted == store.Keep {
		return
	}
	i := slices.IndexFunc(d.Undone, func(u undone) bool { return u.Gateway == m.Gateway })
	if i < 0 {
		i = len(d.Undone)
		d.Undone = append(d.Undone, undone{Gateway: m.Gateway})
	}
	if m.Wanted == store.Thaw {
		d.Undone[i].Thaw++
	} else {
		d.Undone[i].Remove++
	}
}

// cameIn is when a message came in, by its id (Exim specification, "Message identification": its first six digits are the
// time, to the base 62): Exim counts a message's age from then, however long it is held. Where the id says something else, since.
func cameIn(id string, since time.Time) time.Time {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	if len(id) < 7 || id[6] != '-' {
		return since
	}
	seconds := int64(0)
	for i := range 6 {
		digit := strings.IndexByte(digits, id[i])
		if digit < 0 {
			return since
		}
		seconds = seconds*62 + int64(digit)
	}
	came := time.Unix(seconds, 0)
	// A message cannot be held before it came in, and does not wait for years.
	if came.After(since.Add(time.Hour)) || came.Before(since.AddDate(-2, 0, 0)) {
		return since
	}
	return came
}

// cancelled finds out when Exim will bounce what is held.
func (d *deskStatus) cancelled(ctx context.Context, exim, config string) {
	if exim == "" {
		if exim = eximconf.Find(); exim == "" {
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := eximconf.Ask(ctx, exim, config)
	if err != nil {
		return // the doctor says why
	}
	after, ok := c.CancelledAfter()
	switch {
	case !ok:
		return
	case after <= 0:
		d.CancelledAfter = "never"
		return
	}
	d.CancelledAfter, d.after = plan.Duration(after).String(), after
	for i := range d.Held {
		d.Held[i].Cancelled = moment(d.Held[i].oldest.Add(after).UnixMilli())
	}
}

// mostHeld is how many cases' held mail is printed.
const mostHeld = 20

// print is the desk's part of the status for people.
func (d *deskStatus) print(w io.Writer, now time.Time) {
	fmt.Fprintf(w, "cases\t%d open, %d of them block\n", d.Open, d.Blocking)
	if d.Messages > 0 {
		after := map[string]string{"": "", "never": "; Exim keeps them"}
		what, known := after[d.CancelledAfter]
		if !known {
			what = "; Exim cancels each " + d.CancelledAfter + " after it came in, with a bounce to its sender (timeout_frozen_after)"
		}
		fmt.Fprintf(w, "held\t%s in %s%s\n", number(d.Messages, "message", "messages"), number(len(d.Held), "case", "cases"), what)
	}
	for i, h := range d.Held {
		if i == mostHeld {
			fmt.Fprintf(w, "  and %d more\n", len(d.Held)-mostHeld)
			break
		}
		left := ""
		if d.after > 0 {
			left = ", " + daysLeft(h.oldest.Add(d.after).Sub(now))
		}
		fmt.Fprintf(w, "  case %d\t%s: %s, %d KiB, on %s, the oldest of %s%s\n", h.Case, readable(h.Who), number(h.Messages, "message", "messages"), (h.Bytes+1023)/1024, readable(strings.Join(h.Gateways, ", ")), h.Oldest, left)
	}
	for _, u := range d.Undone {
		fmt.Fprintf(w, "undone\t%d to thaw, %d to remove by exipold desk on %s\n", u.Thaw, u.Remove, readable(u.Gateway))
	}
	if d.Waiting > 0 {
		fmt.Fprintf(w, "notices\t%d waiting\n", d.Waiting)
	}
	for _, n := range d.GivenUp {
		fmt.Fprintf(w, "notice\tgiven up: case %d, %s, to %s: %s\n", n.Case, n.Tier, readable(n.Receiver), readable(n.Error))
	}
}

// daysLeft is how long it will take until then, for people.
func daysLeft(left time.Duration) string {
	switch days := int(left / (24 * time.Hour)); {
	case left <= 0:
		return "cancelled at the next queue run"
	case days == 0:
		return "less than a day left"
	default:
		return number(days, "day", "days") + " left"
	}
}
