package endtoend

import (
	"strings"
	"testing"

	"exipol/internal/eximtest"
)

// TestOutboundBed: the bed does what the tests of outbound mail take for granted, with
// policies that have nothing to do with it.
func TestOutboundBed(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, greylist, func(o *outbound, _ *Options) {
		o.Bed.Site["rcpt"] = "  accept authenticated = *\n    !verify = recipient/defer_ok/callout=10s,defer_ok,use_sender,no_cache\n    logwrite = callout says no: $recipient_verify_failure\n" + o.Bed.Site["rcpt"]
	})
	o.Bed.Start()
	s := o.session("bob", "192.0.2.1")
	said := func(from, to string) []string {
		t.Helper()
		before := len(o.Grep("callout says no"))
		s.Expect(250, "MAIL FROM:<"+from+">")
		want(t, to, s.Cmd("RCPT TO:<"+to+">"), 250)
		s.Expect(250, "RSET")
		return o.Grep("callout says no")[before:]
	}
	for _, to := range []string{"nosuch@far.test", "full@far.test", "policy@far.test", "nosuch@local.test", "x@broken.test"} {
		if l := said("bob@local.test", to); len(l) != 1 {
			t.Errorf("%s: %q, want a no", to, l)
		}
	}
	for _, to := range []string{"fine@far.test", "busy@far.test", "later@far.test", "grey@far.test", "closes@far.test", "alice@local.test"} {
		if l := said("bob@local.test", to); len(l) != 0 {
			t.Errorf("%s: %q, want no such word", to, l)
		}
	}
	if l := said("refused@local.test", "fine@far.test"); len(l) != 1 || !strings.HasSuffix(l[0], ": mail") {
		t.Errorf("a sender that is refused: %q", l)
	}
	if n := o.Sink.Callouts("nosuch@far.test"); n != 1 {
		t.Errorf("%d callouts, want 1", n)
	}
	s.Expect(250, "RSET")
	_, data := s.Mail("bob@local.test", []string{"fine@far.test", "nosuch@far.test", "alias@local.test", "list@local.test", "alice@local.test", "busy@far.test"}, note("one"))
	want(t, "DATA", data, 250)
	o.Sink.WaitTo("fine@far.test", 1)
	o.eventually("the queue", func() string {
		if len(o.Grep(" == ")) == 0 {
			return "no delivery was put off"
		}
		return ""
	})
	o.Sink.SetRule(func(eximtest.Command) eximtest.Answer { return "" })
	o.deliver("busy@far.test", 1)
	o.WaitLog(" ** nosuch@far.test")
	if n := len(o.Grep(" ** ")); n != 4 {
		t.Errorf("%d deliveries failed, want 4: one address, one behind an alias and two of a list", n)
	}
	o.local(note("two"), "-f", "carol@local.test", "fine@far.test", "nosuch@broken.test")
	o.Sink.WaitTo("fine@far.test", 2)
	o.WaitLog(" ** nosuch@broken.test")
	o.CheckLogs()
}
