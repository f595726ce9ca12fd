package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/normalize"
	"exipol/helper/store"
)

// contacts is what one greylist did with those it had not seen before, or would have
// done.
type contacts struct {
	Policy  string           `json:"policy"`
	Observe bool             `json:"observe"` // it only watches: nobody was made to wait
	Since   string           `json:"since"`   // RFC 3339; who came first before then is not counted
	Whys    []store.WhyCount `json:"whys"`    // by reason, the most frequent first
	Domains []domainCount    `json:"domains"` // by the sender's domain, likewise, a few; none where the key does not say it
	Newest  []newContact     `json:"newest"`

	last plan.Duration // the time since Since
	most int           // of the newest contacts, so many were looked at for Domains; 0 for all
	rows string        // the name of its rows in the store
}

// domainCount counts the first contacts with senders of one domain.
type domainCount struct {
	Domain   string `json:"domain"` // "<>" for the null sender
	Contacts int    `json:"contacts"`
	LetIn    int    `json:"let_in"` // of them, those that came back in time
}

// newContact is one of them.
type newContact struct {
	Key    string `json:"key"`
	Who    string `json:"who,omitempty"` // the client's address, with its host name or (HELO name); absent: written before that was noted
	Why    string `json:"why"`
	First  string `json:"first"`            // RFC 3339
	Passed string `json:"passed,omitempty"` // RFC 3339: when it came back in time; absent: it has not
	Wait   string `json:"wait,omitempty"`   // from First to Passed

	who, mail string // the key for people: the client, and sender and recipient
}

// mostRows of the newest contacts say which domains write most, and mostDomains of
// those are shown.
const mostRows, mostDomains = 10_000, 10

// greylistContacts reads what a greylist's rows say. It looks back as far as a retry may
// come: who did not come back is forgotten then, and who did is known much longer. What
// was only observed is kept for longer, for whoever is to decide by it.
func greylistContacts(ctx context.Context, s store.Store, g plan.Grey, most int, now time.Time) (contacts, error) {
	c := contacts{Policy: g.Ref(), Observe: g.Mode == plan.Observe, Newest: []newContact{}, last: g.Retry, rows: g.Ref()}
	if c.Observe {
		c.rows, c.last = "observe:"+c.rows, max(g.Retry, plan.Duration(engine.ObservedFor))
	}
	since := now.Add(-c.last.Std())
	c.Since = since.UTC().Format(time.RFC3339)
	var err error
	if c.Whys, err = s.Whys(ctx, c.rows, since.UnixMilli(), now.UnixMilli()); err != nil {
		return c, err
	}
	c.Whys = listOf(c.Whys)
	newest, err := s.Recent(ctx, c.rows, max(most, mostRows), now.UnixMilli())
	c.countDomains(g.Key, newest, since.UnixMilli())
	for _, n := range newest[:min(len(newest), most)] {
		c.Newest = append(c.Newest, newOne(g.Key, n))
	}
	return c, err
}

// countDomains counts the contacts at since or later by their senders' domains.
func (c *contacts) countDomains(key []plan.Part, all []store.Contact, since int64) {
	c.Domains = []domainCount{}
	at := map[string]int{}
	for i, n := range all {
		if n.First < since {
			break // they are sorted
		}
		if i == mostRows {
			c.most = mostRows
			break
		}
		domain, known := keyOf(key, n.Key).senderDomain()
		if !known {
			continue
		}
		if _, seen := at[domain]; !seen {
			at[domain] = len(c.Domains)
			c.Domains = append(c.Domains, domainCount{Domain: domain})
		}
		d := &c.Domains[at[domain]]
		d.Contacts++
		if n.Passed != 0 {
			d.LetIn++
		}
	}
	slices.SortStableFunc(c.Domains, func(a, b domainCount) int {
		return cmp.Or(cmp.Compare(b.Contacts, a.Contacts), strings.Compare(a.Domain, b.Domain))
	})
	c.Domains = c.Domains[:min(len(c.Domains), mostDomains)]
}

func newOne(key []plan.Part, n store.Contact) newContact {
	one := newContact{Key: n.Key, Who: n.Who, Why: n.Why, First: moment(n.First), Passed: moment(n.Passed)}
	if n.Passed != 0 {
		one.Wait = wait(n.Passed - n.First)
	}
	k := keyOf(key, n.Key)
	one.who, one.mail = cmp.Or(n.Who, k.client()), k.mail()
	if k == nil {
		one.mail = n.Key
	}
	return one
}

// partsOf are the parts of a greylist's key, by the fields of the policy's key; nil for
// a key that does not say them all.
type partsOf map[string]string

func keyOf(key []plan.Part, text string) partsOf {
	words, whole := normalize.Split(text)
	if !whole || len(words) != len(key) {
		return nil
	}
	k := partsOf{}
	for i, p := range key {
		k[p.Field] = words[i]
	}
	return k
}

// client is who wrote, as far as the key tells, for rows that do not tell themselves.
func (k partsOf) client() string {
	return cmp.Or(k["client"], k["pool"], k["helo"])
}

// mail is from whom to whom; a part that is not in the key is left out.
func (k partsOf) mail() string {
	one := func(field string) string {
		if address, ok := k[field]; ok {
			return "<" + address + ">"
		}
		switch domain, ok := k[field+".domain"]; {
		case ok && domain == "":
			return "<>"
		case ok:
			return "<…@" + domain + ">"
		}
		return ""
	}
	sender, recipient := one("sender"), one("recipient")
	if recipient != "" {
		recipient = "-> " + recipient
	}
	return strings.TrimSpace(sender + " " + recipient)
}

// senderDomain is the domain in whose name a contact wrote.
func (k partsOf) senderDomain() (domain string, known bool) {
	if domain, known = k["sender.domain"]; !known {
		if domain, known = k["sender"]; known {
			domain = domain[strings.LastIndexByte(domain, '@')+1:]
		}
	}
	return cmp.Or(domain, "<>"), known
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
	fmt.Fprintf(w, "%s\t%s %s in the last %s, %d %s\n", c.Policy, number(all, "first contact", "first contacts"), did, c.last, back, again)
	if c.Observe && all > 0 {
		fmt.Fprintf(w, "\t(it only observes: their mail went in at once, so none had to come back)\n")
	}
	for _, y := range c.Whys {
		fmt.Fprintf(w, "  %s\t%d, %d %s\n", readable(reasons(y.Why)), y.Contacts, y.LetIn, again)
	}
	c.printDomains(w)
	for i, n := range c.Newest {
		if i == 0 {
			fmt.Fprintf(w, "  the newest\n")
		}
		end := "not yet"
		if n.Passed != "" {
			end = "after " + n.Wait
		}
		fmt.Fprintf(w, "    %s\t%s\t%s, %s; again: %s\n", readable(n.who), readable(n.mail), n.First, readable(reasons(n.Why)), end)
	}
}

// printDomains says who writes most, a few domains in a line.
func (c contacts) printDomains(w io.Writer) {
	const inLine = 5
	name := "  by the sender's domain"
	if c.most > 0 {
		name += fmt.Sprintf(" (the newest %d)", c.most)
	}
	for some := range slices.Chunk(c.Domains, inLine) {
		var words []string
		for _, d := range some {
			words = append(words, fmt.Sprintf("%s %d", readable(d.Domain), d.Contacts))
		}
		fmt.Fprintf(w, "%s\t%s\n", name, strings.Join(words, ", "))
		name = ""
	}
}
