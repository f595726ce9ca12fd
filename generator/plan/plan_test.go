package plan_test

import (
	"bytes"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
)

// sample has something of everything.
func sample(t *testing.T) *plan.Plan {
	t.Helper()
	at := plan.Origin{File: "inbound.hcl", Line: 3}
	hour := plan.Duration(time.Hour)
	client := []plan.Part{{Field: "client", V4: 24, V6: 64}}
	p := &plan.Plan{
		Exim: "4.94", Layout: "debian", Directory: "/etc/exipol/generated", Admin: "abuse@example.com",
		MaxDelay: plan.Duration(25 * time.Second), Domains: []string{"+local_domains"},
		RelayHosts: []string{"192.0.2.0/24"}, Forwarders: []string{"198.51.100.7/32"},
		Socket: "/run/exipol/exipold.sock", Timeout: plan.Duration(3 * time.Second),
		Mainlog: []string{"/var/log/exim4/mainlog"}, Store: plan.Store{Kind: "sqlite", Path: "/x.db"},
		Lists: []plan.List{{Name: "friends", Origin: at, Entries: []plan.Entry{
			{Field: "sender", Pattern: "*@partner.example", Until: "2027-03-02T00:00:00Z", Why: "<migration> & \u2028 \"more\""},
		}}},
		Greylists: []plan.Grey{{
			Name: "inbound", Traffic: plan.Inbound, Key: client, Delay: hour, Retry: 24 * hour, Remember: 36 * hour,
			Except: []plan.Ref{{List: "friends", Field: "sender"}}, Mode: plan.Enforce, OnFailure: plan.Pass, Message: "later",
			Trust: &plan.Trust{Key: client, After: 5, Per: hour, Remember: hour}, Origin: at,
		}},
		Limits: []plan.Limit{{
			Name: "tarpit", Traffic: plan.Inbound, Events: []plan.WeightedEvent{{Event: plan.UnknownRecipient, Weight: 2}},
			Key: client, Distinct: &plan.Part{Field: "recipient"}, Attempts: true, Engine: plan.EngineHelper, Mode: plan.Observe,
			OnFailure: plan.LastKnown, Windows: []plan.Duration{hour}, Origin: at,
			Tiers: []plan.Tier{{
				Name: "slow", Over: []plan.Rate{{Count: 5, Per: hour}}, Verdict: plan.Defer, Message: "slow down",
				Delay:     &plan.Delay{Each: plan.Duration(2 * time.Second), Max: plan.Duration(25 * time.Second), Sleepers: 10},
				AddHeader: []plan.Header{{Name: "X-Slow", Value: []plan.Piece{{Text: "yes"}}}}, Origin: at,
			}},
			Overrides: []plan.Override{{
				Name: "friends", Only: []plan.Ref{{List: "friends"}}, Origin: at,
				Over: []plan.OverrideTier{{Tier: "slow", Over: []plan.Rate{{Count: 50, Per: hour}}}},
			}},
		}},
		Stages: []plan.Stage{{
			Name: plan.Rcpt, SiteACL: "acl_check_rcpt",
			After: []plan.Ask{{Traffic: plan.Inbound, Event: plan.Recipient, Policies: []string{"greylist.inbound"}}},
		}},
		Tables: plan.Tables(plan.Needs{Distinct: true}),
	}
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	return p
}

func encode(t *testing.T, p *plan.Plan) []byte {
	t.Helper()
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPlanRoundTrip(t *testing.T) {
	p := sample(t)
	b := encode(t, p)
	if !bytes.Equal(b, encode(t, sample(t))) {
		t.Error("the same plan has two encodings")
	}
	back, err := plan.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(p, back) {
		t.Errorf("read back as\n%+v\nand not\n%+v", back, p)
	}
	if b[len(b)-1] != '\n' || bytes.Contains(b, []byte(`\u003c`)) {
		t.Error("plan.json is not as a reader wants it")
	}
}

// TestPlanID: known by its content, whatever the ID was before; any change makes
// another. The literal fails when the meaning of a plan's bytes changes, which
// must raise plan.Format.
func TestPlanID(t *testing.T) {
	p := sample(t)
	if !regexp.MustCompile(`^[0-9a-f]{24}$`).MatchString(p.ID) {
		t.Fatalf("ID %q", p.ID)
	}
	id := p.ID
	for _, other := range []string{"", "x", id} {
		p.ID = other
		if err := p.Seal(); err != nil || p.ID != id {
			t.Errorf("sealed again, over %q: %s, %v", other, p.ID, err)
		}
	}
	empty := &plan.Plan{}
	if err := empty.Seal(); err != nil || empty.ID != emptyID {
		t.Errorf("the empty plan has the ID %s (%v), not %s: were the plan's fields changed?", empty.ID, err, emptyID)
	}
	for name, change := range map[string]func(*plan.Plan){
		"delay":    func(p *plan.Plan) { p.Greylists[0].Delay += plan.Duration(time.Second) },
		"message":  func(p *plan.Plan) { p.Limits[0].Tiers[0].Message += " " },
		"line":     func(p *plan.Plan) { p.Limits[0].Origin.Line++ },
		"attempts": func(p *plan.Plan) { p.Limits[0].Attempts = false },
		"stage":    func(p *plan.Plan) { p.Stages = nil },
		"why":      func(p *plan.Plan) { p.Lists[0].Entries[0].Why = "" },
	} {
		q := sample(t)
		change(q)
		if err := q.Seal(); err != nil || q.ID == id {
			t.Errorf("%s: the changed plan has the same ID (%v)", name, err)
		}
	}
}

const emptyID = "b5abea4a48a6cefc42eaf11c"

func TestDecodeRefuses(t *testing.T) {
	whole := string(encode(t, sample(t)))
	replace := func(old, with string) string {
		t.Helper()
		if !strings.Contains(whole, old) {
			t.Fatalf("no %s in the plan", old)
		}
		return strings.Replace(whole, old, with, 1)
	}
	for name, text := range map[string]string{
		"empty":                  "",
		"cut off":                whole[:len(whole)/2],
		"edited threshold":       replace(`"5/1h"`, `"6/1h"`),
		"edited id":              replace(`"id": "`, `"id": "0`),
		"edited origin":          replace(`"line": 3`, `"line": 4`),
		"no id":                  replace(`"id": "`, `"id": "", "admin": "`),
		"unknown field":          replace(`"exim":`, `"exin": 1, "exim":`),
		"unknown field, deep":    replace(`"traffic":`, `"trafic": "x", "traffic":`),
		"text after it":          whole + "x",
		"a second plan after it": whole + whole,
		"another format":         replace(`"format": 2`, `"format": 1`),
		"no format":              replace(`"format": 2`, `"format": 0`),
		"a field given again":    replace(`"exim": "4.94"`, `"exim": "4.94", "exim": "4.99"`),
		"a number for a text":    replace(`"delay": "1h"`, `"delay": 3600`),
		"null":                   "null",
		"an array":               "[]",
	} {
		if p, err := plan.Decode(strings.NewReader(text)); err == nil {
			t.Errorf("%s: taken as plan %s", name, p.ID)
		}
	}
	if _, err := plan.Decode(strings.NewReader(whole + " \n\t")); err != nil {
		t.Errorf("blanks after it: %v", err)
	}
	// That the format is another is said first: its fields may be others, too.
	older := strings.Replace(replace(`"exim":`, `"exin": 1, "exim":`), `"format": 2`, `"format": 1`, 1)
	if _, err := plan.Decode(strings.NewReader(older)); err == nil || !strings.Contains(err.Error(), "plan format 1: this version reads format 2") {
		t.Errorf("an older plan: %v", err)
	}
}

// FuzzDecode: no panic, and what is taken is whole.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"format":1,"id":"x"}`))
	f.Add([]byte(`{"format":1,"lists":[{"name":"a","entries":[null]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := plan.Decode(bytes.NewReader(b))
		if err != nil {
			return
		}
		id := p.ID
		if err := p.Seal(); err != nil || p.ID != id {
			t.Errorf("taken with the ID %s, has %s", id, p.ID)
		}
	})
}

func TestStage(t *testing.T) {
	p := sample(t)
	if s, ok := p.Stage(plan.Rcpt); !ok || s.SiteACL != "acl_check_rcpt" {
		t.Errorf("got %+v, %v", s, ok)
	}
	if _, ok := p.Stage(plan.Data); ok {
		t.Error("found a stage that is not there")
	}
}

// TestTables: what every store relies on.
func TestTables(t *testing.T) {
	if n := len(plan.Tables(plan.Needs{})); n != 6 {
		t.Errorf("%d tables where nothing is counted, want 6", n)
	}
	for _, table := range plan.Tables(plan.Needs{Counter: true, Distinct: true}) {
		columns := map[string]string{}
		for _, c := range table.Columns {
			if columns[c.Name] != "" {
				t.Errorf("%s.%s twice", table.Name, c.Name)
			}
			columns[c.Name] = c.Type
		}
		for _, k := range table.Key {
			if columns[k] == "" || columns[k] == plan.Text {
				t.Errorf("%s: %q (%s) cannot be in the primary key", table.Name, k, columns[k])
			}
		}
		for _, i := range table.Indexes {
			for _, c := range i.Columns {
				if columns[c] == "" {
					t.Errorf("index %s: no column %s", i.Name, c)
				}
			}
		}
	}
}
