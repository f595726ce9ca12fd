package endtoend

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/internal/eximtest"
)

// truth is what Exim itself says that it has: hashes, in lines of its own log.
func truth(b *eximtest.Bed) {
	b.Main += "helo_accept_junk_hosts = *\nsmtp_accept_max_nonmail = 100000\nsmtp_max_synprot_errors = 100000\nsmtp_max_unknown_commands = 100000\nrecipients_max = 0\n"
	b.Site["rcpt"] = "  warn logwrite = truth rcpt ${sha256:$sender_helo_name} ${sha256:$sender_address} ${sha256:$local_part@$domain} ${sha256:$authenticated_id}\n" + b.Site["rcpt"]
	b.Site["helo"] = "  accept logwrite = truth helo ${sha256:$sender_helo_name}\n"
}

// noticing answers so that every log line is written.
func noticing(question string) string {
	switch {
	case strings.Contains(question, " at=helo."):
		return "v=1 verdict=accept would=deny wouldby=limit.hello/much waive=no end=1"
	case strings.Contains(question, " traffic=submission "):
		return "v=1 verdict=accept would=deny wouldby=limit.users/much waive=no end=1"
	case strings.Contains(question, " at=rcpt.after "):
		return "v=1 verdict=defer by=greylist.inbound would=deny wouldby=limit.watch/much waive=no end=1"
	}
	return "v=1 verdict=accept waive=no end=1"
}

// sum is a hash as Exim prints it.
func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return strings.ToUpper(hex.EncodeToString(h[:]))
}

// hostileSite is an Exim that says the truth.
type hostileSite struct {
	*Site
	touch string // what must not come to be
	t     *testing.T
}

func newHostile(t *testing.T) hostileSite {
	s := New(t, hostile, Options{Configure: truth})
	return hostileSite{Site: s, touch: s.Path("run/touched"), t: t}
}

// clean checks a reply: lines that a terminal can print. Those with which Exim refuses
// a syntax are its own, and hold the bytes that it refuses.
func (h hostileSite) clean(r eximtest.Reply) {
	h.t.Helper()
	if r.Code == 501 {
		return
	}
	for _, l := range r.Lines {
		for i := range len(l) {
			if l[i] < ' ' || l[i] == 0x7f {
				h.t.Errorf("a reply with a control character: %q", l)
				return
			}
		}
	}
}

func (h hostileSite) do(s *eximtest.Session, command string) eximtest.Reply {
	h.t.Helper()
	r := s.Cmd(command)
	h.clean(r)
	return r
}

// senders gives each a transaction of its own, and returns those that Exim let in.
func (h hostileSite) senders(all []string) (in []string) {
	s := h.BsSession("192.0.2.1")
	defer s.Close()
	s.Ehlo("client.test")
	for _, from := range all {
		if r := h.do(s, "MAIL FROM:<"+from+">"); r.Code == 250 {
			in = append(in, from)
			if r := h.do(s, "RCPT TO:<alice@local.test>"); from != "" && r.Code != 451 {
				h.t.Errorf("sender %.200q: %s, want the policy's 451", from, r)
			}
		}
		h.do(s, "RSET")
	}
	return in
}

// recipients gives all to one transaction, and returns those that came to Exim's ACL.
func (h hostileSite) recipients(all []string) (in []string) {
	s := h.BsSession("192.0.2.1")
	defer s.Close()
	s.Ehlo("client.test")
	s.Expect(250, "MAIL FROM:<"+sender+">")
	for _, to := range all {
		if r := h.do(s, "RCPT TO:<"+to+">"); r.Code != 501 {
			in = append(in, to)
			if r.Code != 451 && r.Code != 550 {
				h.t.Errorf("recipient %.200q: %s, want the policy's 451 or the site's 550", to, r)
			}
		}
	}
	return in
}

// helos says them all, and returns those that Exim let in.
func (h hostileSite) helos(all []string) (in []string) {
	s := h.BsSession("192.0.2.1")
	defer s.Close()
	for _, name := range all {
		if s.Cmd("EHLO "+name).Code == 250 { // Exim's reply repeats the name as it is
			in = append(in, name)
		}
	}
	return in
}

// ids logs in with each, in a session of its own.
func (h hostileSite) ids(all []string) (in []string) {
	for _, id := range all {
		s := h.BsSession("192.0.2.1")
		s.Ehlo("client.test")
		if r := s.Auth(id, eximtest.Password); r.Code == 235 {
			in = append(in, id)
			h.do(s, "MAIL FROM:<bob@local.test>")
			h.do(s, "RCPT TO:<x@remote.test>")
		}
		s.Close()
	}
	return in
}

// attack says it all, and returns what was let in. With every, each byte is tried in
// each place, too.
func (h hostileSite) attack(every bool) (senders, recipients, helos, ids []string) {
	odd := strange(h.touch)
	var from, to []string
	for _, x := range odd {
		from = append(from, quoted(x)+"@remote.test", x+"@remote.test")
		to = append(to, quoted(x)+"@local.test", x+"@local.test", quoted("nosuch"+x)+"@local.test")
	}
	hello := slices.Concat(odd, []string{"-x", ".", "[192.0.2.1]", "[IPv6:2001:db8::1]", strings.Repeat("h", 300), longName})
	if every {
		from = slices.Concat(from, wrapped("a", "b@remote.test"), wrapped(`"a`, `b"@remote.test`), wrapped(`"a\`, `b"@remote.test`))
		to = slices.Concat(to, wrapped("a", "b@local.test"), wrapped(`"a`, `b"@local.test`), wrapped(`"a\`, `b"@local.test`))
		hello = slices.Concat(hello, wrapped("a", "b"))
	}
	for n := 230; n < 270; n++ { // Exim takes addresses of about 256 bytes
		from = append(from, strings.Repeat("s", n)+"@remote.test", "s@"+strings.Repeat("d.", n/2)+"remote.test")
		to = append(to, strings.Repeat("r", n)+"@local.test")
	}
	return h.senders(from), h.recipients(to), h.helos(hello), h.ids(append(odd, strings.Repeat("i", 3000), "\n", "a\r\nb", "é"))
}

// TestHostile: whatever SMTP lets in reaches the helper's parser as Exim has it, in one
// question each; replies and logs stay clean, and nothing of it is executed.
func TestHostile(t *testing.T) {
	t.Parallel()
	h := newHostile(t)
	helper := eximtest.NewFakeHelper(t, h.Plan.Socket, eximtest.Answers("noticing", noticing))
	senders, recipients, helos, ids := h.attack(true)

	var questions []wire.Question
	for _, line := range helper.Questions() {
		q, err := wire.ParseQuestion([]byte(line))
		if err != nil {
			t.Errorf("a question that cannot be read: %v: %q", err, line)
		}
		questions = append(questions, q)
	}
	h.compareWithTruth(questions)
	arrived := map[string]bool{}
	for _, q := range questions {
		arrived["sender "+q.Sender], arrived["recipient "+q.Recipient], arrived["helo "+q.Helo], arrived["auth "+q.Auth] = true, true, true, true
	}
	for _, from := range senders { // Exim takes comments and blanks out of what is not quoted
		if strings.HasPrefix(from, `"`) && !arrived["sender "+from] {
			t.Errorf("sender %.200q did not arrive as it was sent", from)
		}
	}
	for _, name := range helos {
		if !arrived["helo "+strings.TrimSpace(name)] {
			t.Errorf("HELO name %.200q did not arrive as it was sent", name)
		}
	}
	for _, want := range []string{
		"auth ${run{/usr/bin/touch " + h.touch + "}}", "auth '; DROP TABLE counts; --", "auth x\ty", `auth a\r\nb`, `auth \303\251`, `auth \001\002\177`, // as Exim prints them
		"recipient ${run{/usr/bin/touch " + h.touch + "}}@local.test", "recipient '; drop table counts; --@local.test", "recipient a,b;c:d@local.test", `recipient back\slash\@local.test`,
		"recipient v=1 verdict=accept end=1@local.test", "recipient \x1b[2j\x1b]0;title\x07@local.test", "recipient a@b@c@local.test", "recipient \xff\xfe\x80@local.test", "recipient a\x01b@local.test",
	} {
		if !arrived[want] {
			t.Errorf("%q did not arrive", want)
		}
	}
	t.Logf("let in: %d senders, %d recipients, %d names, %d ids; %d questions", len(senders), len(recipients), len(helos), len(ids), len(questions))
	if len(senders) < 600 || len(recipients) < 600 || len(helos) < 250 || len(ids) < 40 || size(senders) < 250 || size(recipients) < 250 {
		t.Error("too few were let in for this test to mean much")
	}
	h.nothingHappened()
}

// TestHostileRealHelper: the same, to the real helper, which answers each question.
func TestHostileRealHelper(t *testing.T) {
	t.Parallel()
	h := newHostile(t)
	h.StartHelper()
	h.attack(false)
	status, err := ask(h.Plan.Socket, "exipold status")
	if err != nil || !strings.Contains(status, `"malformed":0`) {
		t.Errorf("status %s %v, want no malformed questions", status, err)
	}
	if l := h.Grep("gave no answer"); len(l) > 0 {
		t.Errorf("%d questions were not answered: %q", len(l), l[0])
	}
	h.nothingHappened()
}

// size is that of the longest.
func size(all []string) (n int) {
	for _, s := range all {
		n = max(n, len(s))
	}
	return n
}

// compareWithTruth finds one question for each line of truth.
func (h hostileSite) compareWithTruth(questions []wire.Question) {
	h.t.Helper()
	said := map[string]int{}
	for _, l := range h.Grep(" truth ") {
		_, text, _ := strings.Cut(l, " truth ")
		said[text]++
	}
	var wrong []string
	for _, q := range questions {
		text := ""
		switch q.Stage + "." + q.Half {
		case plan.Helo + "." + plan.Before:
			text = "helo " + sum(q.Helo)
		case plan.Rcpt + "." + plan.After:
			text = fmt.Sprintf("rcpt %s %s %s %s", sum(q.Helo), sum(q.Sender), sum(q.Recipient), sum(q.Auth))
		default:
			continue
		}
		said[text]--
		if said[text] < 0 {
			wrong = append(wrong, fmt.Sprintf("Exim had something else than the helper got, or asked more than once: %.300s", q))
		}
	}
	for text, n := range said {
		if n > 0 && strings.HasPrefix(text, "helo") {
			wrong = append(wrong, fmt.Sprintf("%d questions are missing for %s", n, text))
		}
	}
	if len(wrong) > 0 {
		h.t.Errorf("%d faults:\n%s", len(wrong), strings.Join(wrong[:min(len(wrong), 10)], "\n"))
	}
}

// nothingHappened looks for traces.
func (h hostileSite) nothingHappened() {
	h.t.Helper()
	if _, err := os.Stat(h.touch); err == nil {
		h.t.Error("something in an address was executed")
	}
	h.CheckLogs()
	for _, l := range h.Log("mainlog") {
		_, text, ours := strings.Cut(l, " exipol: ")
		if ours && len(l) > 20 && strings.HasPrefix(l[20:], "exipol: ") && strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			h.t.Errorf("a log line of ours with a control character: %q", l)
		}
	}
}
