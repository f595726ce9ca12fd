package lower_test

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"exipol/generator/check"
	"exipol/generator/diag"
	"exipol/generator/load"
	"exipol/generator/lower"
	"exipol/generator/plan"
)

// read is a golden case's policies as a plan, and what is said about them.
func read(t *testing.T, name string) (*plan.Plan, diag.List) {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("..", "..", "testdata", "golden", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range archive.Files {
		if load.IsPolicyFile(f.Name) {
			files[f.Name] = f.Data
		}
	}
	set, diags := load.Parse(files, nil)
	diags = append(diags, check.Check(set)...).Sorted()
	if diags.HasErrors() {
		var b bytes.Buffer
		_ = diag.Text(&b, diags, set.Files)
		t.Fatal(b.String())
	}
	p, err := lower.Lower(set)
	if err != nil {
		t.Fatal(err)
	}
	return p, diags
}

// TestWholeLanguage: a set with nearly everything means what it says.
func TestWholeLanguage(t *testing.T) {
	p, diags := read(t, "whole")
	var said []string
	for _, d := range diags {
		said = append(said, d.Code)
	}
	// A full mailbox counts, nobody hears of a block, and another one is not in force while the helper is away.
	if want := []string{"EP230", "EP234", "EP233"}; !slices.Equal(said, want) {
		t.Errorf("lints %v, want %v: %v", said, want, diags)
	}
	want := []string{
		"auth().before inbound blocked: limit.auth_crack",
		"auth().before relay blocked: limit.auth_crack",
		"data(acl_check_data).after inbound null_sender: greylist.inbound",
		"data(acl_check_data).after local held: limit.local_scripts",
		"data(acl_check_data).after submission held: limit.rate_user limit.stolen_password",
		"data(acl_check_data).after submission message: list.correspondents",
		"not_smtp().after local held: limit.local_scripts",
		"not_smtp().after local recipient: limit.bounce_ratio",
		"not_smtp().before local blocked: limit.local_scripts",
		"not_smtp().before local unknown_recipient: limit.local_scripts",
		"predata().after inbound null_sender: greylist.inbound",
		"rcpt(acl_check_rcpt).after inbound recipient: greylist.inbound limit.rate_recipient",
		"rcpt(acl_check_rcpt).after local recipient: limit.bounce_ratio",
		"rcpt(acl_check_rcpt).after relay recipient: limit.bounce_ratio",
		"rcpt(acl_check_rcpt).after submission recipient: limit.bounce_ratio limit.rate_user",
		"rcpt(acl_check_rcpt).before inbound unknown_recipient: limit.tarpit_any",
		"rcpt(acl_check_rcpt).before local blocked: limit.local_scripts",
		"rcpt(acl_check_rcpt).before local unknown_recipient: limit.local_scripts",
		"rcpt(acl_check_rcpt).before submission blocked: limit.rate_user limit.stolen_password",
		"rcpt(acl_check_rcpt).before submission invalid_recipient: limit.stolen_password",
	}
	if got := asks(p); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	i := slices.IndexFunc(p.Limits, func(l plan.Limit) bool { return l.Name == "stolen_password" })
	if b := p.Limits[i].Tiers[0].Block; b.Most != 500 || b.Free != 10 || b.Until != 0 || b.Queued != plan.Freeze || b.AddHeader[0].Value[0].Field != "auth" || b.Probation.Share != 50 {
		t.Errorf("%+v", b)
	}
}

// The inputs of the goldens that are about the desk, the log and local mail have no errors.
func TestGoldensOfTheDesk(t *testing.T) {
	for _, name := range []string{"invalid", "blocks", "bounces", "local", "logins", "events", "submission-mode", "submission-default"} {
		p, diags := read(t, name)
		if len(p.Stages) == 0 {
			t.Errorf("%s: no stage", name)
		}
		for _, d := range diags {
			t.Logf("%s: %s %s", name, d.Code, d.Summary)
		}
	}
}
