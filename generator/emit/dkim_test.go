package emit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/internal/dnstest"
	"exipol/internal/eximtest"
)

// urgentPlan asks about whole messages, and nothing else.
func urgentPlan(socket, siteDkim string) *plan.Plan {
	p := everything(socket)
	p.Limits, p.Greylists = nil, []plan.Grey{p.Greylists[1]}
	p.Stages = []plan.Stage{
		{Name: plan.Rcpt, SiteACL: "acl_check_rcpt"},
		{Name: plan.Dkim, SiteACL: siteDkim},
		{Name: plan.Data, SiteACL: "acl_check_data", After: []plan.Ask{
			{Traffic: plan.Inbound, Event: plan.WholeMessage, Policies: []string{"greylist.urgent"}},
		}},
	}
	if err := p.Seal(); err != nil {
		panic(err)
	}
	return p
}

// dkimSite is an Exim with the text of urgentPlan, and the site's own ACL for
// signatures where it has a body.
func dkimSite(t *testing.T, body string) site {
	t.Helper()
	b := eximtest.New(t, eximtest.Small)
	own := ""
	if body != "" {
		b.Site[plan.Dkim], own = body, "acl_check_dkim"
	}
	p := urgentPlan(b.SocketPath("s"), own)
	h := eximtest.NewFakeHelper(t, p.Socket, eximtest.Says("accept", wire.Answer{Verdict: plan.Accept}.String()))
	main, err := mainText(p)
	if err != nil {
		t.Fatal(err)
	}
	if b.ACL, err = aclText(p); err != nil {
		t.Fatal(err)
	}
	b.Main = main + "\nhost_lookup_order =\nLIMIT = a macro of the site\nDKIM = another\n"
	return site{b, h}
}

// dkimOf is what the only question since the last Forget says of signatures.
func dkimOf(t *testing.T, h *eximtest.FakeHelper) []string {
	t.Helper()
	all := h.Questions()
	if len(all) != 1 {
		t.Errorf("%d questions, want 1: %q", len(all), all)
		return nil
	}
	q, err := wire.ParseQuestion([]byte(all[0]))
	if err != nil {
		t.Errorf("%q: %v", all[0], err)
	}
	return q.Dkim
}

// nameServer has the key of the given domains, all with the selector "sel".
func nameServer(t *testing.T, domains ...string) *dnstest.Server {
	t.Helper()
	dns, err := dnstest.New(eximtest.NameServer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dns.Close)
	for _, d := range domains {
		if err := dns.Add(eximtest.KeyRecord(d)); err != nil {
			t.Fatal(err)
		}
	}
	return dns
}

const letter = "From: a@one.example\nSubject: x\n\nhello\n"

// TestSignaturesThatVerify: the question at data names the domains whose signatures
// verified, by DATA and by BDAT, and each message's own.
func TestSignaturesThatVerify(t *testing.T) {
	if !eximtest.Alone(t) {
		return
	}
	long := strings.Repeat("label.", 30) + "example"
	many := []string{"one.example", "two.example", "upper.example", "odd_name.example", "a,b.example", "x=y.example", long}
	for i := range 100 {
		many = append(many, fmt.Sprintf("n%02d.example", i), fmt.Sprintf("w%02d.%s", i, long))
	}
	nameServer(t, many...).Behave("sel._domainkey.failing.example", dnstest.ServFail)
	b := dkimSite(t, "")
	one := eximtest.Sign(letter, "d=one.example", false)
	signatures := func(n int) (message string, domains []string) {
		message = letter
		for i := range n {
			message = eximtest.Sign(message, fmt.Sprintf("d=n%02d.example", i), false)
			domains = append([]string{fmt.Sprintf("n%02d.example", i)}, domains...)
		}
		return message, domains
	}
	nineteen, domains := signatures(19)
	hundred, _ := signatures(100)
	wide := letter // so many domains of 191 bytes are more than is kept
	for i := range 19 {
		wide = eximtest.Sign(wide, fmt.Sprintf("d=w%02d.%s", i, long), false)
	}
	failing := letter
	for range 30 {
		failing = eximtest.Sign(failing, "d=one.example", true)
	}
	cases := []struct {
		name, message string
		want          []string
	}{
		{"one", one, []string{"one.example"}},
		{"none", letter, nil},
		{"a body that was changed", eximtest.Sign(letter, "d=one.example", true), nil},
		{"a header that was changed", strings.Replace(one, "Subject: x", "Subject: y", 1), nil},
		{"two", eximtest.Sign(one, "d=two.example", false), []string{"two.example", "one.example"}},
		{"one of two", eximtest.Sign(eximtest.Sign(letter, "d=two.example", true), "d=one.example", false), []string{"one.example"}},
		{"twice the same", eximtest.Sign(one, "d=one.example", false), []string{"one.example"}},
		{"twice the same, one bad", eximtest.Sign(one, "d=one.example", true), []string{"one.example"}},
		{"with an identity", eximtest.Sign(letter, "d=one.example; i=someone@mail.one.example", false), []string{"one.example"}},
		{"capitals", eximtest.Sign(letter, "d=UPPER.Example", false), []string{"upper.example"}},
		{"another's key", eximtest.Sign(letter, "d=three.example", false), nil},
		{"no answer of the DNS", eximtest.Sign(letter, "d=failing.example", false), nil},
		{"an underscore", eximtest.Sign(letter, "d=odd_name.example", false), []string{"odd_name.example"}},
		{"a comma", eximtest.Sign(letter, "d=a,b.example", false), []string{"a,b.example"}},
		{"an equals sign", eximtest.Sign(letter, "d=x=y.example", false), []string{"x=y.example"}},
		{"a long name", eximtest.Sign(letter, "d="+long, false), []string{long}},
		{"too long a name", eximtest.Sign(letter, "d="+strings.Repeat("label.", 100)+"example", false), nil},
		{"an expansion", eximtest.Sign(letter, "d=${run{x}}$acl_c_x.example", false), nil},
		{"a colon", eximtest.Sign(letter, "d=one.example:two.example", false), nil},
		{"8 bits", eximtest.Sign(letter, "d=\xc3\xa4\xff.example", false), nil},
		{"empty", eximtest.Sign(letter, "d=", false), nil},
		{"an at sign", eximtest.Sign(letter, "d=x@one.example", false), nil},
		{"nonsense", "DKIM-Signature: x\n" + letter, nil},
		{"a version that there is not", strings.Replace(one, "v=1;", "v=2;", 1), nil},
		{"thirty that fail", failing, nil},
		{"nineteen", nineteen, domains},
		// Twenty are too many for Exim, which then looks at none of them.
		{"a hundred", hundred, nil},
		{"nineteen wide ones", wide, []string{"w18." + long, "w17." + long, "w16." + long, "w15." + long}},
	}
	for _, chunks := range []bool{false, true} {
		s := b.BsSession(stranger)
		s.Ehlo("client.test")
		for _, c := range cases {
			b.helper.Forget()
			if r := send(t, s, c.message, chunks); r.Code != 250 {
				t.Errorf("%s, BDAT %v: %s", c.name, chunks, r)
				continue
			}
			got := dkimOf(t, b.helper)
			if !slices.Equal(got, c.want) {
				t.Errorf("%s, BDAT %v: %q, want %q", c.name, chunks, got, c.want)
			}
		}
		s.Quit()
	}
	for _, l := range b.Log("paniclog") {
		t.Error(l)
	}
	if lines := b.Grep("Warning:"); len(lines) > 0 {
		t.Errorf("%q", lines)
	}
}

// send transmits a message to one recipient, by DATA or in two pieces by BDAT.
func send(t *testing.T, s *eximtest.Session, message string, chunks bool) eximtest.Reply {
	t.Helper()
	if !chunks {
		_, r := s.Mail("x@remote.test", []string{"alice@local.test"}, message)
		return r
	}
	s.Expect(250, "MAIL FROM:<x@remote.test>")
	s.Expect(250, "RCPT TO:<alice@local.test>")
	text := strings.ReplaceAll(message, "\n", "\r\n")
	half := len(text) / 2
	var r eximtest.Reply
	for _, piece := range []string{fmt.Sprintf("BDAT %d\r\n%s", half, text[:half]), fmt.Sprintf("BDAT %d LAST\r\n%s", len(text)-half, text[half:])} {
		if err := s.Send([]byte(piece)); err != nil {
			t.Fatal(err)
		}
		var err error
		if r, err = s.ReadReply(); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// TestSiteJudgesSignatures: the site's own ACL comes first; what it makes of a signature
// counts, and what it refuses is refused.
func TestSiteJudgesSignatures(t *testing.T) {
	if !eximtest.Alone(t) {
		return
	}
	nameServer(t, "one.example", "two.example")
	one := eximtest.Sign(letter, "d=one.example", false)
	both := eximtest.Sign(one, "d=two.example", false)
	for _, c := range []struct {
		name, acl, main, message string
		code                     int
		text                     string
		want                     []string
	}{
		{name: "accepts", acl: "  accept\n", message: both, code: 250, want: []string{"two.example", "one.example"}},
		{name: "says no to one", acl: "  warn condition = ${if eq{$dkim_domain}{two.example}}\n       set dkim_verify_status = fail\n  accept\n",
			message: both, code: 250, want: []string{"one.example"}},
		{name: "denies", acl: "  deny condition = ${if eq{$dkim_domain}{two.example}}\n       message = 550 5.7.20 not two\n  accept\n", message: both, code: 550, text: "not two"},
		{name: "defers", acl: "  defer message = 451 4.7.20 not now\n", message: one, code: 451, text: "not now"},
		{name: "drops", acl: "  drop message = 550 5.7.20 go\n", message: one, code: 550, text: "go"},
		{name: "discards", acl: "  discard\n", message: one, code: 250},
		{name: "has no end", acl: "  warn set acl_m_x = 1\n", message: one, code: 550},
		{name: "asks for others", acl: "  accept\n", main: "dkim_verify_signers = three.example : two.example : x@one.example\n", message: both, code: 250, want: []string{"two.example"}},
		{name: "asks for identities", acl: "  accept\n", main: "dkim_verify_signers = x@one.example\n",
			message: eximtest.Sign(letter, "d=one.example; i=x@one.example", false), code: 250, want: []string{"one.example"}},
		{name: "takes one for another", acl: "  warn set dkim_verify_status = pass\n  accept\n", main: "dkim_verify_signers = three.example\n", message: letter, code: 250},
		{name: "wants none verified", acl: "  accept\n", main: "acl_smtp_mail = acl_none\n", message: one, code: 250},
		{name: "stops at the first", acl: "  accept\n", main: "dkim_verify_minimal = true\n", message: both, code: 250, want: []string{"two.example"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := dkimSite(t, c.acl)
			b.Main += c.main
			b.ACL += "acl_none:\n  accept control = dkim_disable_verify\n"
			s := b.BsSession(stranger)
			s.Ehlo("client.test")
			r := send(t, s, c.message, false)
			if r.Code != c.code || !strings.Contains(r.Text(), c.text) {
				t.Errorf("%s, want %d %s", r, c.code, c.text)
			}
			if c.code == 250 && c.name != "discards" {
				if got := dkimOf(t, b.helper); !slices.Equal(got, c.want) {
					t.Errorf("%q, want %q", got, c.want)
				}
			} else if n := b.helper.Calls(); n != 0 {
				t.Errorf("asked %d times about a message that the site refused", n)
			}
			s.Close()
			for _, l := range b.Log("paniclog") {
				t.Error(l)
			}
		})
	}
}

// TestSlowKeys: a name server that does not answer costs Exim the time that it costs
// without exipol, and the message is judged without the signature.
func TestSlowKeys(t *testing.T) {
	if !eximtest.Alone(t) {
		return
	}
	nameServer(t, "one.example").Behave("sel._domainkey.one.example", dnstest.Dead)
	b := dkimSite(t, "")
	b.Main += "dns_retrans = 1s\ndns_retry = 1\n"
	s := b.BsSession(stranger)
	s.Ehlo("client.test")
	begun := time.Now()
	if r := send(t, s, eximtest.Sign(letter, "d=one.example", false), false); r.Code != 250 {
		t.Error(r)
	}
	if took := time.Since(begun); took < time.Second {
		t.Errorf("%s: was the name server asked at all?", took)
	}
	if got := dkimOf(t, b.helper); got != nil {
		t.Errorf("%q", got)
	}
	s.Quit()
}
