package mainlog

import (
	"fmt"
	"strings"
	"testing"

	"exipol/internal/eximtest"
)

// events are the ids of the messages of [TestEximEvents], by what becomes of them.
type events struct{ alias, odd, frozen, thawed, given, null string }

// TestEximEvents has a real Exim write the lines that are no arrivals or deliveries by SMTP.
func TestEximEvents(t *testing.T) {
	t.Parallel()
	b := newBed(t, "log_selector = +subject\ntimeout_frozen_after = 7d\n")
	ids := provoke(t, b)
	rejections(b)
	local := b.BsSession("")
	local.Ehlo("me.test")
	local.Mail("a@local.test", []string{"alice@local.test", "nosuch1@local.test"}, "Subject: y\n\nx\n")
	local.Quit()
	b.WaitLog(ids.given + " Completed")
	b.WaitLog(ids.null + " Frozen")
	b.WaitLog("policy@x.sink.test")
	all := entries(t, b, Options{})
	checkEvents(t, all, ids)
	checkClasses(t, all)
	checkRejections(t, all)
}

// provoke sends messages that freeze, thaw, fail and so on.
func provoke(t *testing.T, b *eximtest.Bed) (ids events) {
	t.Helper()
	one := func(sender, subject, recipient string) string {
		t.Helper()
		s := b.Dial("127.0.0.9")
		defer s.Close()
		s.Ehlo("client.test")
		_, data := s.Mail(sender, []string{recipient}, "Subject: "+subject+"\n\ntext\n")
		return data.MessageID() // a fakereject says nothing of it
	}
	const a, ok = "a@local.test", "ok@x.sink.test"
	ids = events{
		alias: one(a, "", "alias1@local.test"), odd: one(a, "", "aliasodd@local.test"),
		frozen: one(a, "freeze me", ok), thawed: one(a, "freeze me", ok), given: one(a, "freeze me", ok),
		null: one("", "", "bad1@x.sink.test"),
	}
	one(a, "fake me", ok)
	for _, r := range []string{"full", "policy", "unclear"} {
		one(a, "", r+"@x.sink.test")
	}
	b.WaitLog(ids.frozen + " frozen by ACL")
	for _, args := range [][]string{{"-Mt", ids.thawed}, {"-M", ids.thawed}, {"-Mrm", ids.frozen}, {"-Mg", ids.given}, {"-M", ids.given}} {
		if _, _, err := b.Exec("", args...); err != nil {
			t.Error(err)
		}
	}
	b.RunQueue(false)
	return ids
}

func checkEvents(t *testing.T, all []Entry, ids events) {
	t.Helper()
	if f := find(all, ids.alias, Failed); len(f) != 1 || string(f[0].Address) != "bad1@x.sink.test" || string(f[0].Original) != "alias1@local.test" || f[0].Class != NoSuchUser {
		t.Errorf("alias: %+v", f)
	}
	if f := find(all, ids.odd, Failed); len(f) != 1 || string(f[0].Address) != "bad <a@b.test>: 550 x@x.sink.test" || string(f[0].Original) != "aliasodd@local.test" || f[0].Class != NoSuchUser {
		t.Errorf("odd alias: %+v", f)
	}
	for _, w := range []struct {
		id   string
		kind Kind
		text string // the beginning
	}{
		{ids.frozen, Frozen, "ACL"}, {ids.frozen, Removed, ""}, {ids.frozen, Completed, ""}, {ids.thawed, Unfrozen, ""},
		{ids.given, Cancelled, ""}, {ids.null, Frozen, "(delivery error message)"}, {ids.null, StillFrozen, ""},
	} {
		if f := find(all, w.id, w.kind); len(f) != 1 || !strings.HasPrefix(string(f[0].Text), w.text) {
			t.Errorf("%s: no %v %q: %+v", w.id, w.kind, w.text, f)
		}
	}
	if f := find(all, ids.null, Arrived); len(f) != 1 || !f[0].HasSender || len(f[0].Sender) != 0 {
		t.Errorf("null sender: %+v", f)
	}
}

func checkClasses(t *testing.T, all []Entry) {
	t.Helper()
	classes := map[string]Class{"full": Full, "policy": Policy, "unclear": NoSuchUser}
	fakes, locals := 0, 0
	for _, e := range all {
		user, _, _ := strings.Cut(string(e.Address), "@")
		if want := classes[user]; e.Kind == Failed && want != NoClass {
			if delete(classes, user); e.Class != want {
				t.Errorf("%q: %v", e.Rest, e.Class)
			}
		}
		if e.Kind == FakeRejected {
			fakes++
		}
		if e.Kind == Arrived && string(e.Protocol) == "local-esmtp" {
			if locals++; len(e.Ident) == 0 || e.Host.IP.IsValid() {
				t.Errorf("-bs: %q", e.Rest)
			}
		}
	}
	if fakes != 1 || locals != 1 || len(classes) > 0 {
		t.Errorf("%d fakerejects, %d by -bs; no failures of %v", fakes, locals, classes)
	}
}

// rejected are recipients of the site that it has not, and how long what Exim logs of them is.
var rejected = []string{
	"nosuch1@local.test",
	`"nosuch: x rejected RCPT <victim@v.test>: no"@local.test`,
	`"nosuch F=<a@b.test> A=plain:victim rejected RCPT <v@v.test>: z"@local.test`,
	"nosuch" + strings.Repeat("y", 120) + "@local.test",
}

// rejections provokes what is refused at SMTP time.
func rejections(b *eximtest.Bed) {
	for _, login := range []string{"", "bob", "b c S=1", "x SPF y"} {
		s := b.Dial("127.0.0.9")
		s.Ehlo("client.test")
		if login != "" {
			s.Auth(login, "wrong")
			s.Auth(login, eximtest.Password)
		}
		_, _, _ = s.DoMail("a <= b@local.test", nil, "")
		s.Cmd("RSET")
		s.Mail(`"x rejected RCPT <v@v.test>: A=plain:v"@local.test`, rejected, "")
		s.Close()
	}
	s := b.Dial("127.0.0.3")
	s.Ehlo("[127.0.0.77]")
	s.Mail(`"x) [9.9.9.9] rejected RCPT <v@v.test>: A=plain:v"@local.test`, append(rejected, "later@local.test", "a@nowhere.test"), "")
	s.Auth("a)b (set_id=victim", "wrong")
	s.Close()
}

func checkRejections(t *testing.T, all []Entry) {
	t.Helper()
	refused, ids, users := map[string]bool{}, map[string]bool{}, map[string]int{}
	for _, e := range all {
		switch e.Kind {
		case Rejected:
			if refused[string(e.Address)] = true; string(e.Command) != "RCPT" || e.Temporary != strings.HasPrefix(string(e.Address), "later") {
				t.Errorf("%q: %+v", e.Rest, e)
			}
			if len(e.Auth.Driver) > 0 {
				users[string(e.Auth.ID)]++
			}
			if e.HasSender && !strings.HasPrefix(string(e.Sender), `"x`) && string(e.Sender) != "a@local.test" {
				t.Errorf("F=%q: %q", e.Sender, e.Rest)
			}
			if ip := e.Host.IP.String(); ip != "127.0.0.9" && ip != "127.0.0.3" && len(e.Ident) == 0 {
				t.Errorf("H=%s: %q", ip, e.Rest)
			}
		case AuthFailed:
			if ids[string(e.Auth.ID)] = true; string(e.Auth.Driver) != "plain_server" || e.Code != 535 || !e.Host.IP.IsValid() {
				t.Errorf("%q: %+v", e.Rest, e)
			}
		}
	}
	for _, r := range append(rejected[:3:3], ("<" + rejected[3])[1:100], "later@local.test", "a@nowhere.test") {
		if !refused[r] {
			t.Errorf("nothing about %q in %v", r, refused)
		}
	}
	if n := len(rejected); len(users) != 3 || users["bob"] != n || users["b c S=1"] != n || users["x SPF y"] != n {
		t.Errorf("rejections by user: %v", users)
	}
	for _, id := range []string{"bob", "b c S=1", "x SPF y", "a)b (set_id=victim"} {
		if !ids[id] {
			t.Errorf("no failed login as %q in %v", id, ids)
		}
	}
}

// TestMailAuth is about the selector smtp_mailauth: what Exim logs then, and that an id is safe with the
// option, as far as it goes.
func TestMailAuth(t *testing.T) {
	t.Parallel()
	b := newBed(t, "log_selector = +smtp_mailauth\n")
	s := b.Dial("127.0.0.2")
	s.Ehlo("client.test")
	s.Auth("bob", eximtest.Password)
	for _, said := range []string{"x@y.test", "a S=1 K", "a:b\" S=5",
		"x\n2026-11-22 05:34:30 1xV0De-0006Ja-2Y <= forged@x.test U=victim P=local S=1"} {
		auth := ""
		for i := range len(said) { // xtext, RFC 3461
			if c := said[i]; isAlnum(c) {
				auth += string(c)
			} else {
				auth += fmt.Sprintf("+%02X", c)
			}
		}
		s.Expect(250, "MAIL FROM:<bob@local.test> AUTH="+auth)
		s.Expect(250, "RCPT TO:<alice@local.test>")
		s.Data("Subject: x\n\ntext\n")
	}
	s.Close()
	forged := 0
	for _, l := range b.Log("mainlog") {
		e, ok := Parse([]byte(l), Options{MailAuth: true})
		switch {
		case !ok || e.Kind != Arrived:
		case string(e.Sender) == "forged@x.test":
			forged++ // a whole line of the client's: see the package comment
		case e.Damaged: // what was before its newline
		case string(e.Auth.ID) != "bob":
			t.Errorf("id %q: %q", e.Auth.ID, l)
		}
	}
	t.Logf("%d forged lines", forged)
}

// TestLocalCallers is about what the package comment says of newlines. It only shows, since a newer Exim may
// do better; nothing may be taken for a damaged line of somebody else's.
func TestLocalCallers(t *testing.T) {
	t.Parallel()
	const forged = "2026-11-22 05:34:30 1xV0De-0006Ja-2Y <= forged@x.test U=victim P=local S=1 T="
	b := newBed(t, "log_selector = +received_recipients\n")
	for _, args := range [][]string{{`"a` + "\n" + forged + `"@x.sink.test`}, {"-f", `"a` + "\n" + forged + `"@local.test`, "ok@x.sink.test"}} {
		if _, _, err := b.Exec("Subject: x\n\ny\n", args...); err != nil {
			t.Log(err) // is refused, which is better
		}
	}
	b.WaitLog("<=")
	n := 0
	for _, l := range b.Log("mainlog") {
		if strings.HasPrefix(l, forged) {
			n++
		}
	}
	t.Logf("%d forged lines", n)
	var j Joiner
	for i, p := range split("Nov 22 05:34:31 host exim[12]: ", tm+id+` <= "a`+"\n"+forged+`"@local.test U=bob P=local S=1`) {
		if whole, ok := j.Add([]byte(p)); ok {
			if e, _ := Parse(whole, Options{}); string(e.Ident) != "bob" || i != 1 {
				t.Errorf("over syslog: %s", show(e))
			}
		}
	}
}
