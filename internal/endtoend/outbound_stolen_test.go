package endtoend

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"exipol/helper/store"
	"exipol/internal/eximtest"
)

// held sends a message, which must be accepted and lie frozen with the header line.
func (o *outbound) held(s *eximtest.Session, from, subject, field string, to ...string) (id string) {
	o.t.Helper()
	rcpt, data := s.Mail(from, to, note(subject))
	for i, r := range rcpt {
		want(o.t, subject+": RCPT "+to[i], r, 250)
	}
	want(o.t, subject+": DATA", data, 250)
	id = data.MessageID()
	o.eventually(subject+" lies frozen", func() string {
		if frozen, waiting := o.queue(); !slices.Contains(frozen, id) {
			return fmt.Sprintf("%s is not frozen: frozen %v, waiting %v", id, frozen, waiting)
		}
		return ""
	})
	if h := o.header(id); !strings.Contains(h, field+"\n") {
		o.t.Errorf("%s is frozen without %q:\n%s", subject, field, h)
	}
	return id
}

// flows sends a message to one recipient at the sink, which must get it, without the
// header line of a block.
func (o *outbound) flows(s *eximtest.Session, from, subject, field, to string) {
	o.t.Helper()
	before := len(o.Sink.To(to))
	rcpt, data := s.Mail(from, []string{to}, note(subject))
	want(o.t, subject+": RCPT "+to, rcpt[0], 250)
	want(o.t, subject+": DATA", data, 250)
	got := o.Sink.WaitTo(to, before+1)
	if h := got[before].Header; strings.Contains(h, field) {
		o.t.Errorf("%s has a block's header:\n%s", subject, h)
	}
}

// notices runs the desk until what is there to tell was told, and returns all that was
// told so far.
func (o *outbound) notices(n int) []eximtest.Message {
	o.t.Helper()
	o.desk()
	all := o.Sink.WaitTo(deskAddress, n)
	o.desk()
	o.runQueue()
	if again := o.Sink.To(deskAddress); len(again) != n {
		o.t.Fatalf("%d notices, want %d:\n%s", len(again), n, again[len(again)-1].Header)
	}
	return all
}

// TestStolenPassword is the incident that the ready-made policy is made for, with its own
// numbers: from the hundred and first invalid recipient on, what bob's login sends is
// accepted, tagged and kept; the desk hears of it once, through crashes of everything; then
// it decides.
func TestStolenPassword(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, ready(t, "stolen-password")).start()
	const tag = "X-Authenticated-As: bob"
	other := o.session("bob", "192.0.2.2") // a session that runs since before
	other.Expect(250, "MAIL FROM:<bob@local.test>")

	bob := o.session("bob", "192.0.2.1")
	o.invalid(bob, "bob@local.test", "a", 100)
	if n := o.Sink.Callouts("nosuch.a.7@far.test"); n != 1 {
		t.Errorf("%d callouts for one recipient, want 1", n)
	}
	bob.Expect(250, "RCPT TO:<before@far.test>")
	want(t, "a hundred invalid recipients", bob.Data(note("a hundred")), 250)
	if got := o.Sink.WaitTo("before@far.test", 1); strings.Contains(got[0].Header, tag) {
		t.Errorf("a hundred are enough already:\n%s", got[0].Header)
	}
	if all := o.cases(); len(all) != 0 {
		t.Fatalf("a hundred open a case already: %+v", all)
	}
	o.held(bob, "bob@local.test", "the next", tag, "fine.first@far.test", "nosuch.next@far.test")
	o.held(bob, "bob@local.test", "in the same session", tag, "fine.same@far.test")
	want(t, "in a session that ran before", other.Cmd("RCPT TO:<fine.other@far.test>"), 250)
	want(t, "in a session that ran before", other.Data(note("in another session")), 250)
	o.flows(o.session("carol", "192.0.2.1"), "carol@local.test", "carol's", tag, "fine.carol@far.test")
	bob.Close()
	other.Close()

	c := o.oneCase()
	if c.Policy != "limit.stolen_password" || c.Tier != "block" || c.Owner != "auth:bob" || c.Counted != 101 || c.Rate != "100/1h" || c.Gateway != "one" || !c.Blocks || c.Until != 0 {
		t.Errorf("the case is %+v", c.Case)
	}
	if len(c.Evidence) == 0 || !slices.ContainsFunc(c.Evidence, func(s store.Sample) bool { return s.Address == "nosuch.next@far.test" }) {
		t.Errorf("the evidence is %+v", c.Evidence)
	}
	said := o.notices(1)[0]
	for _, part := range []string{"bob", "100/1h", "nosuch.next@far.test", fmt.Sprintf("exipold case release %d ", c.ID)} {
		if !strings.Contains(said.Header+said.Body, part) {
			t.Errorf("the notice does not say %q:\n%s\n\n%s", part, said.Header, said.Body)
		}
	}
	if f, _ := o.queue(); len(f) != 3 || o.oneCase().Case.Held != 3 {
		t.Errorf("%d messages are frozen and %d are known to be held, want 3", len(f), o.oneCase().Case.Held)
	}

	o.killAll()
	o.Bed.Start() // and nobody answers
	bob = o.session("bob", "192.0.2.1")
	o.held(bob, "bob@local.test", "while exipold is away", tag, "fine.away@far.test")
	o.held(bob, "bob@local.test", "while exipold is away, the second", tag, "fine.away@far.test", "nosuch.away@far.test")
	o.flows(o.session("carol", "192.0.2.1"), "carol@local.test", "carol's, while exipold is away", tag, "fine.carol@far.test")
	bob.Close()
	o.startHelper()
	bob = o.session("bob", "192.0.2.1")
	o.held(bob, "bob@local.test", "after all of it", tag, "fine.after@far.test")
	o.notices(1)
	if f, _ := o.queue(); len(f) != 6 || o.oneCase().Case.Held != 6 {
		t.Errorf("%d messages are frozen and %d are known to be held, want 6", len(f), o.oneCase().Case.Held)
	}
	o.releaseAll(bob, tag)
	o.removeAll(bob, tag)
	o.CheckLogs()
}

// releaseAll: bob was nobody's victim after all.
func (o *outbound) releaseAll(bob *eximtest.Session, tag string) {
	t := o.t
	t.Helper()
	id := o.oneCase().ID
	o.caseCommand("release", id, "--dry-run", "--reason", "only looking")
	o.held(bob, "bob@local.test", "after a rehearsal", tag, "fine.rehearsed@far.test")
	if _, err := o.tryExipold("case", "release", fmt.Sprint(id), "--plan", o.daemon.plan); err == nil {
		t.Error("a release without a reason")
	}
	o.caseCommand("release", id, "--reason", "it was a newsletter")
	o.thaws(bob, tag)
	for _, to := range []string{"fine.first@far.test", "fine.same@far.test", "fine.other@far.test", "fine.away@far.test", "fine.after@far.test", "fine.rehearsed@far.test"} {
		n := 1
		if to == "fine.away@far.test" {
			n = 2
		}
		got := o.Sink.WaitTo(to, n)
		if len(got) != n || !strings.Contains(got[0].Header+"\n", tag+"\n") {
			t.Errorf("%s has %d messages, want %d, with %s:\n%s", to, len(got), n, tag, got[0].Header)
		}
	}
	o.eventually("the queue is empty", func() string {
		if f, w := o.queue(); len(f)+len(w) > 0 {
			return fmt.Sprintf("frozen %v, waiting %v", f, w)
		}
		return ""
	})
	c := o.caseFile(id)
	if c.State != "released" || !slices.ContainsFunc(c.Audit, func(a store.Audit) bool { return a.Did == "released" && a.Why == "it was a newsletter" && a.Who != "" }) {
		t.Errorf("after the release the case is %+v, its audit %+v", c.Case, c.Audit)
	}
	if all := o.exipold("case", "list", "--plan", o.daemon.plan); strings.Contains(all, "bob") {
		t.Errorf("the list of open cases says\n%s", all)
	}
}

// thaws waits until mail flows again: a running exipold hears of a release within two seconds.
func (o *outbound) thaws(s *eximtest.Session, tag string) {
	o.t.Helper()
	try := 0
	o.eventually("released mail flows", func() string {
		try++
		to := fmt.Sprintf("fine.released.%d@far.test", try)
		o.sends(s, "bob@local.test", "released", to)
		o.desk()
		m := o.Sink.WaitTo(to, 1)[0] // what was held a moment too long, too
		if strings.Contains(m.Header, tag) {
			return fmt.Sprintf("message %d was held first", try)
		}
		return ""
	})
}

// removeAll: in the time of probation half as many are enough, and this time it was a
// thief. Nobody gets a bounce.
func (o *outbound) removeAll(bob *eximtest.Session, tag string) {
	t := o.t
	t.Helper()
	bounces := len(o.Mailbox())
	bob.Expect(250, "RSET")
	o.invalid(bob, "bob@local.test", "b", 50)
	bob.Expect(250, "RSET")
	if n := len(o.cases()); n != 1 {
		t.Fatalf("after fifty: %d cases, want still one", n)
	}
	o.held(bob, "bob@local.test", "on probation", tag, "nosuch.again@far.test", "fine.probation@far.test")
	o.held(bob, "bob@local.test", "on probation, too", tag, "fine.probation@far.test")
	all := o.cases()
	if len(all) != 2 || all[1].Counted != 51 {
		t.Fatalf("cases %+v, want a second one that counted 51", all)
	}
	second := all[1].ID
	o.notices(2)
	o.caseCommand("remove", second, "--reason", "spam")
	o.desk()
	o.eventually("the queue is empty", func() string {
		if f, w := o.queue(); len(f)+len(w) > 0 {
			return fmt.Sprintf("frozen %v, waiting %v", f, w)
		}
		return ""
	})
	if n := len(o.Sink.To("fine.probation@far.test")); n != 0 {
		t.Errorf("%d removed messages were delivered", n)
	}
	if got := o.Mailbox(); len(got) != bounces {
		t.Errorf("a bounce of what was removed:\n%s", got[len(got)-1].Header)
	}
	for _, said := range []string{"cancelled by", "removed by"} {
		if n := len(o.Grep(said)); (n != 0) != (said == "removed by") {
			t.Errorf("the log says %d times %q", n, said)
		}
	}
	o.held(bob, "bob@local.test", "still blocked", tag, "fine.still@far.test")
}

// caseCommand is what the desk types.
func (o *outbound) caseCommand(verb string, id int64, more ...string) string {
	o.t.Helper()
	return o.exipold(append([]string{"case", verb, fmt.Sprint(id), "--plan", o.daemon.plan}, more...)...)
}
