package main

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/normalize"
	"exipol/helper/store"
	"exipol/helper/testplan"
)

// A contact is shown as people know mail: who wrote, from whom, to whom; as far as the
// key says it.
func TestContactForPeople(t *testing.T) {
	key := func(fields ...string) (all []plan.Part) {
		for _, f := range fields {
			all = append(all, plan.Part{Field: f})
		}
		return all
	}
	for _, c := range []struct {
		key        []plan.Part
		words      []string
		who        string
		want, mail string
	}{
		{key("client", "sender", "recipient"), []string{"203.0.113.0/24", "sue@a.example", "root@b.example"}, "203.0.113.5 dsl.isp.example", "203.0.113.5 dsl.isp.example", "<sue@a.example> -> <root@b.example>"},
		{key("recipient", "pool", "sender"), []string{"root@b.example", "pool:big", ""}, "", "pool:big", "<> -> <root@b.example>"},
		{key("helo", "sender.domain"), []string{"h.example", "a.example"}, "", "h.example", "<…@a.example>"},
		{key("client", "sender.domain", "recipient.domain"), []string{"192.0.2.1", "", "b.example"}, "", "192.0.2.1", "<> -> <…@b.example>"},
		{key("client", "recipient"), []string{"192.0.2.1", "a|b@c.example"}, "", "192.0.2.1", "-> <a|b@c.example>"},
		{key("client"), []string{"192.0.2.1"}, "", "192.0.2.1", ""},
		{key("client", "sender"), []string{"192.0.2.1"}, "192.0.2.1 (h)", "192.0.2.1 (h)", "192.0.2.1"}, // of a policy with another key
	} {
		got := newOne(c.key, store.Contact{Key: normalize.Key(c.words), Who: c.who, First: 1})
		if got.who != c.want || got.mail != c.mail {
			t.Errorf("%q: %q, %q", c.words, got.who, got.mail)
		}
	}
	long := normalize.Key([]string{"192.0.2.1", strings.Repeat("x", 300)})
	if got := newOne(key("client", "sender"), store.Contact{Key: long, First: 1}); got.mail != long {
		t.Errorf("a key that is cut off: %q", got.mail)
	}
}

// What was only observed is looked at for 14 days, and counted by the senders' domains.
func TestObservedContacts(t *testing.T) {
	p := testplan.New(t.TempDir())
	s, err := openStore(t.Context(), p, storeOptions{create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Date(2027, 1, 30, 0, 0, 0, 0, time.UTC)
	write := func(policy, sender, who string, age, back time.Duration) engine.Write {
		row := engine.SeenRow{First: now.Add(-age).UnixMilli(), Expires: now.AddDate(1, 0, 0).UnixMilli(), Why: "spf_fail", Who: who}
		if back > 0 {
			row.Passed = row.First + back.Milliseconds()
		}
		return engine.PutSeen{Policy: policy, Key: normalize.Key([]string{"203.0.113.0/24", sender, "root@b.example"}), Row: row}
	}
	const day = 24 * time.Hour
	var all []engine.Write
	for i := range 12 { // of c00 none, of c11 eleven
		for j := range i {
			all = append(all, write("observe:greylist.inbound", fmt.Sprintf("u%d@c%02d.example", j, i), "203.0.113.9", 3*day, 0))
		}
	}
	all = append(all,
		write("observe:greylist.inbound", "sue@x.example", "203.0.113.5 dsl.isp.example", 2*day, time.Hour),
		write("observe:greylist.inbound", "old@x.example", "", 15*day, 0),
		write("greylist.inbound", "real@x.example", "", 2*day, 0),
		write("greylist.inbound", "", "203.0.113.6 (h)", time.Hour, 0))
	if err := s.Update(t.Context(), func(engine.State) ([]engine.Write, error) { return all, nil }); err != nil {
		t.Fatal(err)
	}
	look := func(g plan.Grey) (contacts, string) {
		t.Helper()
		c, err := greylistContacts(t.Context(), s, g, 1, now)
		var out bytes.Buffer
		w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
		c.print(w)
		if err := errors.Join(err, w.Flush()); err != nil {
			t.Fatal(err)
		}
		return c, out.String()
	}
	g := p.Greylists[0]
	c, text := look(g)
	if want := []domainCount{{"<>", 1, 0}}; c.Since != "2027-01-29T00:00:00Z" || !reflect.DeepEqual(c.Domains, want) {
		t.Errorf("enforcing: %+v\n%s", c, text)
	}
	if !strings.Contains(text, "1 first contact deferred in the last 1d, 0 came back and got in\n") {
		t.Error(text)
	}
	g.Mode = plan.Observe
	c, text = look(g)
	if c.Since != "2027-01-16T00:00:00Z" || len(c.Domains) != mostDomains || c.Domains[0] != (domainCount{"c11.example", 11, 0}) || c.Domains[9] != (domainCount{"c02.example", 2, 0}) {
		t.Errorf("observing: %+v", c)
	}
	for _, want := range []string{
		"67 first contacts would have been deferred in the last 14d, 1 wrote again\n",
		"by the sender's domain  c11.example 11, c10.example 10, c09.example 9, c08.example 8, c07.example 7\n                          c06.example 6,",
		"    203.0.113.5 dsl.isp.example  <sue@x.example> -> <root@b.example>  2027-01-28T00:00:00Z, spf_fail; again: after 1h0m0s\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	g.Retry = plan.Duration(20 * day)
	if c, _ := look(g); c.Since != "2027-01-10T00:00:00Z" {
		t.Errorf("a longer retry: %s", c.Since)
	}
}
