package emit

import (
	"slices"
	"strings"
	"testing"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/internal/eximtest"
)

// hello is a message that says nothing of itself.
const hello = "Subject: x\n\nhello\n"

// learningSite is an Exim with a plan in which a list learns from submissions, the
// site's domains being these, and a helper that accepts.
func learningSite(t *testing.T, domains ...string) site {
	t.Helper()
	b := eximtest.New(t, eximtest.Small)
	p := everything(b.SocketPath("s"))
	p.Domains, p.Limits, p.Greylists = domains, nil, nil
	p.Stages = []plan.Stage{
		{Name: plan.Rcpt, SiteACL: "acl_check_rcpt"},
		{Name: plan.Data, SiteACL: "acl_check_data", After: []plan.Ask{
			{Traffic: plan.Submission, Event: plan.Message, Policies: []string{"list.known"}},
		}},
	}
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	h := eximtest.NewFakeHelper(t, p.Socket, eximtest.Says("accept", wire.Answer{Verdict: plan.Accept}.String()))
	main, err := mainText(p)
	if err != nil {
		t.Fatal(err)
	}
	if b.ACL, err = aclText(p); err != nil {
		t.Fatal(err)
	}
	b.Main = main + "\nLIMIT = a macro of the site\n"
	return site{b, h}
}

// submit gives a message to the site as a user, and returns the question at data.
func (b site) submit(t *testing.T, s *eximtest.Session, message string, to ...string) wire.Question {
	t.Helper()
	b.helper.Forget()
	if _, r := s.Mail("bob@local.test", to, message); r.Code != 250 {
		t.Fatalf("%q: %s", to, r)
	}
	all := b.helper.Questions()
	if len(all) != 1 {
		t.Fatalf("%d questions, want 1: %q", len(all), all)
	}
	q, err := wire.ParseQuestion([]byte(all[0]))
	if err != nil {
		t.Fatalf("%q: %v", all[0], err)
	}
	return q
}

func (b site) user() *eximtest.Session {
	s := b.BsSession(stranger)
	s.Ehlo("client.test")
	s.Auth("bob", eximtest.Password)
	return s
}

// TestOwnRecipients: of a message that a list learns from, the recipients in the site's
// own domains have a mark, each for itself, and those of which nobody can say it.
func TestOwnRecipients(t *testing.T) {
	t.Parallel()
	const own, other, odd = "alice@local.test", "x@remote.test", `"a .,=b"@local.test`
	for _, c := range []struct {
		name    string
		domains []string
		main    string
		to      []string
		want    []bool // nil: of none
	}{
		{"none of them", []string{"+local_domains"}, "", []string{other, "y@sub.remote.test"}, nil},
		{"all of them", []string{"+local_domains"}, "", []string{own, "bob@LOCAL.test"}, []bool{true, true}},
		{"the first", []string{"+local_domains"}, "", []string{own, other}, []bool{true, false}},
		{"the last", []string{"+local_domains"}, "", []string{other, own}, []bool{false, true}},
		{"between", []string{"+local_domains", "+relay_to_domains"}, "", []string{other, "x@relayed.test", "y@remote.test"}, []bool{false, true, false}},
		{"an odd local part", []string{"+local_domains"}, "", []string{odd, other}, []bool{true, false}},
		{"one that is not kept", []string{"+local_domains"}, "", []string{"postmaster@local.test", other, own}, []bool{false, true}},
		{"names and patterns", []string{"*.remote.test", "relayed.test"}, "", []string{other, "y@sub.remote.test", "x@relayed.test", own}, []bool{false, true, true, false}},
		{"all but one", []string{"!remote.test", "*"}, "", []string{own, other}, []bool{true, false}},
		{"a lookup", []string{"+looked_up"}, "domainlist looked_up = ${if eq{$domain}{remote.test}{remote.test}{}}\n", []string{own, other}, []bool{false, true}},
		{"a lookup that fails", []string{"+broken"}, "domainlist broken = ${lookup{$domain}lsearch{/nonexistent/file}}\n", []string{own, other}, []bool{true, true}},
		{"a list that is not there", []string{"+nobody"}, "", []string{own, other}, []bool{true, true}},
		{"no domains of its own", nil, "", []string{own, other}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := learningSite(t, c.domains...)
			b.Main += c.main
			s := b.user()
			for range 2 { // each message for itself
				q := b.submit(t, s, hello, c.to...)
				if !slices.Equal(q.Ours, c.want) {
					t.Errorf("%v, want %v", q.Ours, c.want)
				}
				all := append([]string{q.Recipient}, q.Others...)
				if c.want != nil && len(all) != len(c.want) {
					t.Errorf("recipients %q", all)
				}
				if slices.Contains(all, "") || strings.HasPrefix(all[0], wire.OursMark) {
					t.Errorf("recipients %q", all)
				}
			}
			s.Quit()
		})
	}
}

// TestMarksOnlyWhereOneLearns: neither another traffic of the same plan has marks, nor
// a plan in which nothing is learned.
func TestMarksOnlyWhereOneLearns(t *testing.T) {
	t.Parallel()
	b := newSite(t, nil)
	s := b.BsSession(stranger)
	s.Ehlo("client.test")
	if _, r := s.Mail("a@remote.test", []string{"alice@local.test"}, "Auto-Submitted: no\n"+hello); r.Code != 250 {
		t.Fatal(r)
	}
	s.Quit()
	asked := 0
	for _, text := range b.helper.Questions() {
		q, err := wire.ParseQuestion([]byte(text))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if q.Ours != nil || q.Auto {
			t.Errorf("%q", text)
		}
		if q.Stage == plan.Data {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times at data", asked)
	}
	b.CheckLogs()

	p := everything("/run/x.sock")
	data := &p.Stages[len(p.Stages)-1]
	data.After = data.After[:len(data.After)-1]
	text, err := aclText(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"exipol_own", "rcpt_own", "auto"} {
		if strings.Contains(text, word) {
			t.Errorf("nothing learns, and yet the text has %q", word)
		}
	}
}

// TestMarksAreFewBytes: with marks, too, the question at data has those recipients that
// no question at rcpt said would not be kept.
func TestMarksAreFewBytes(t *testing.T) {
	t.Parallel()
	b := learningSite(t, "+local_domains")
	var to []string
	for range 300 {
		to = append(to, "user@local.test") // 20 bytes in base64: a mark and a comma matter
	}
	s := b.user()
	q := b.submit(t, s, hello, to...)
	s.Quit()
	n := 1 + len(q.Others)
	if most := wire.KeptRecipients/22 + 2; n < most-2 || n > most || len(q.Ours) != n || slices.Contains(q.Ours, false) {
		t.Errorf("%d recipients with %d marks, want about %d", n, len(q.Ours), most)
	}
	b.CheckLogs()
}
