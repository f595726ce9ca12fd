package mainlog

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestForms(t *testing.T) {
	for _, f := range forms {
		line := f.line
		want := f.want
		if rest, ok := strings.CutPrefix(line, "~"); ok {
			line = at + rest
			kind, more, _ := strings.Cut(want, " ")
			want = strings.TrimSpace(kind + " id=" + id + " " + more)
		}
		e, ok := Parse([]byte(line), Options{})
		if got := show(e); !ok || got != want {
			t.Errorf("%s\n got %s\nwant %s", line, got, want)
		}
		if k, gid, _ := Glance([]byte(line), &Options{}); k != e.Kind && !(k == Rejected && e.Kind == Other) || !bytes.Equal(gid, e.ID) {
			t.Errorf("%s: glance says %v %q", line, k, gid)
		}
	}
}

// TestOptions is about what a line does not say of itself.
func TestOptions(t *testing.T) {
	for _, c := range []struct {
		line string
		o    Options
		want string
	}{
		{at + `<= a@b.test H=(x) [1.2.3.4] P=esmtpa A=plain:bob:"x:y"@z S=1`, Options{MailAuth: true}, `arrived id=` + id + ` from=<a@b.test> helo=x ip=1.2.3.4 proto=esmtpa driver=plain auth=bob size=1`},
		{at + `<= a@b.test H=(x) [9.9.9.9] P=esmtpa A=plain:victim) [1.2.3.4] P=esmtp S=1`, Options{JunkHelo: true},
			`arrived id=` + id + ` from=<a@b.test> helo=x) [9.9.9.9] P=esmtpa A=plain:victim ip=1.2.3.4 proto=esmtp size=1`},
		{tm + `H=(x) [9.9.9.9] F=<a@b.test> A=plain:victim rejected RCPT <v@v.test>: x) [1.2.3.4] rejected MAIL <a@b.test>: r`, Options{JunkHelo: true},
			`rejected from=<a@b.test> addr=v@v.test cmd=RCPT text=x) [1.2.3.4] rejected MAIL <a@b.test>: r`},
	} {
		e, _ := Parse([]byte(c.line), c.o)
		if got := show(e); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.line, got, c.want)
		}
	}
}

// TestTime reads every form of time and of prefix.
func TestTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC)
	const whole = "2026-11-22 05:34:30 [7] " + id + " Completed"
	for _, c := range []struct {
		line, want string
		pid        int
		o          Options
	}{
		{tm + id + " Completed", "2026-11-22T05:34:30Z", 0, Options{}},
		{"2026-11-22 05:34:38.718 [24875] " + id + " Completed", "2026-11-22T05:34:38.718Z", 24875, Options{}},
		{"2026-11-22 05:49:36.125 +0130 [5300] " + id + " Completed", "2026-11-22T04:19:36.125Z", 5300, Options{Location: berlin}},
		{"2026-11-22 05:49:36 -0800 " + id + " Completed", "2026-11-22T13:49:36Z", 0, Options{}},
		{"2024-02-29 23:59:60 " + id + " Completed", "2024-03-01T00:00:00Z", 0, Options{}},
		{tm + id + " Completed", "2026-11-22T04:34:30Z", 0, Options{Location: berlin}},
		{"2026-07-22 05:34:30 " + id + " Completed", "2026-07-22T03:34:30Z", 0, Options{Location: berlin}},
		{"2026-10-25 02:30:00 " + id + " Completed", "2026-10-25T00:30:00Z repeated", 0, Options{Location: berlin}},
		{"2026-10-25 01:59:59 " + id + " Completed", "2026-10-24T23:59:59Z", 0, Options{Location: berlin}},
		{"2026-10-25 03:00:00 " + id + " Completed", "2026-10-25T02:00:00Z", 0, Options{Location: berlin}},
		{"Nov 22 05:34:31 host exim[12]: " + whole, "2026-11-22T05:34:30Z", 7, Options{}},
		{"<22>Nov  2 05:34:31 host exim4[12]: " + tm + id + " Completed", "2026-11-22T05:34:30Z", 12, Options{}},
		{"2026-11-22T05:34:31.123456+01:00 host exim: " + whole, "2026-11-22T05:34:30Z", 7, Options{}},
		{`<22>1 2026-11-22T05:34:31.1Z host exim 12 - [a@1 x="y]\"] z"][b] ` + tm + id + " Completed", "2026-11-22T05:34:30Z", 12, Options{}},
		{`<22>1 2026-11-22T05:34:31.1Z host exim 12 - - ` + id + " Completed", "2026-11-22T05:34:31.1Z", 12, Options{}},
		{"Dec 31 05:34:31 host exim[12]: " + id + " Completed", "2026-12-31T05:34:31Z", 12, Options{Now: now}},
		{"Jan  1 05:34:31 host mta[12]: " + id + " Completed", "2027-01-01T04:34:31Z", 12, Options{Now: now, Location: berlin, Process: "mta"}},
	} {
		e, ok := Parse([]byte(c.line), c.o)
		got := e.Time.UTC().Format(time.RFC3339Nano)
		if e.Repeated {
			got += " repeated"
		}
		if !ok || got != c.want || e.PID != c.pid || string(e.ID) != id || e.Kind != Completed {
			t.Errorf("%s: %v %s pid %d, id %q, %v", c.line, ok, got, e.PID, e.ID, e.Kind)
		}
	}
}

// TestNoLines are what is no line of Exim's.
func TestNoLines(t *testing.T) {
	for _, l := range []string{"", "\n", "x", "2026-11-22", tm[:19], tm, "2026-13-22 05:34:30 x", "2026-11-22T05:34:30 x", "2026-11-22 25:34:30 x",
		"20x6-11-22 05:34:30 x", "Nov 22 05:34:31 host postfix/smtp[12]: x", "Nov 22 05:34:31 host exim[12]", "Nov 22 05:34:31 host exim[12]: ",
		"Foo 22 05:34:31 host exim[12]: x", "<22>1 2026-11-22T05:34:31Z host exim 12 - [a x", "Envelope-from: <a@b.test>", "P Received: x", "  x", "\x00\x01"} {
		if e, ok := Parse([]byte(l), Options{}); ok {
			t.Errorf("%q: %s", l, show(e))
		}
	}
}

func TestClasses(t *testing.T) {
	for _, c := range []struct {
		text string
		want Class
	}{
		{er + "<a@b>: 550 5.1.10 null MX", NoSuchDomain},
		{er + "<a@b>: 550 5.1.2 x", NoSuchDomain},
		{er + "<a@b>: 550 5.1.0 x", NoSuchUser},
		{er + "<a@b>: 550 5.7.1 x", Policy},
		{er + "<a@b>: 552 5.2.2 x", Full},
		{er + "<a@b>: 552 x", Full},
		{er + "<a@b>: 550 No such user", NoSuchUser},
		{er + `<"a>: 550 5.7.1"@b>: 550 No such user`, NoSuchUser},
		{er + "<a@b>: 550-Verification failed for <c@d>\\n550 Sender verify failed", Policy},
		{er + "<a@b>: 550 Administrative prohibition", Policy},
		{er + "<a@b>: 554 x", Policy},
		{er + "<a@b>: host mx [1.2.3.4]: 550 5.1.1 x", NoSuchUser},
		{"SMTP error from remote mail server after pipelined MAIL FROM:<a@b> SIZE=3: 550 x", Policy},
		{"SMTP error from remote mail server after end of data: 552 too large", OtherFailure},
		{"SMTP error from remote mail server after initial connection: 554 5.7.1 x", Policy},
		{"LMTP error after RCPT TO:<a@b>: 552 5.2.2 <a@b> Quota exceeded", Full},
		{"5.1.1 nobody", NoSuchUser},
		{"retry timeout exceeded", OtherFailure},
		{"SMTP timeout after RCPT TO:<a@b>", OtherFailure},
		{"", OtherFailure},
	} {
		if f := judge([]byte(c.text)); f.Class != c.want {
			t.Errorf("%s: %v, want %v (%+v)", c.text, f.Class, c.want, f)
		}
	}
}

// TestUnprint: what Exim does not print is what it was; what somebody typed stays.
func TestUnprint(t *testing.T) {
	for logged, want := range map[string]string{
		`gr\303\274\303\237e`: "gr\xc3\xbc\xc3\x9fe", `CORP\nick`: `CORP\nick`, `a\012b`: `a\012b`, `\377`: "\xff", `\37`: `\37`, `\\303`: "\\\xc3", ``: ``, `plain`: `plain`,
	} {
		if got := string(Unprint([]byte(logged))); got != want {
			t.Errorf("%s: %q, want %q", logged, got, want)
		}
	}
}

// TestSkim: it says of lines that it looks at what Glance says.
func TestSkim(t *testing.T) {
	lines, _ := traffic()
	for _, l := range []string{"", "x", at, at + "Completed", at + "<= ", "2026-11-22 05:34:30 1abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuv", "2026-11-22 05:34:30 H=(client) [1.2.3.4] F=<a@b.test> rejected RCPT <c@d.test>: no",
		"2026-11-22 05:34:30 plain authenticator failed for (x) [1.2.3.4]: 535 Incorrect authentication data (set_id=x)",
		"2026-11-22 05:34:30 1v9Xyz-00000000abc-1234 ** x@y.test: no", "2026-11-22 05:34:30 1v9Xyz-00000000abc-1234 == x@y.test R=x defer (-1): no",
		"2026-11-22 05:34:30 1v9Xyz-00000000abc-1234 Completed QT=3s and more", "2026-11-22 05:34:30.123 1v9Xyz-000abc-12 <= a@b.test",
		"2026-11-22 05:34:30 +0100 1v9Xyz-000abc-12 <= a@b.test U=x P=local S=3", "Nov 22 05:34:30 mx exim[12]: 2026-11-22 05:34:30 1v9Xyz-000abc-12 <= a@b.test U=x P=local S=3"} {
		lines = append(lines, []byte(l))
	}
	for _, l := range lines {
		kind, id, ok := Glance(l, &Options{})
		k, i, o := Skim(l, &Options{})
		delivery := kind == Delivered || kind == AlsoDelivered || kind == Deferred
		if k != kind || o != ok || string(i) != string(id) && !delivery {
			t.Errorf("%q: %v %q %v, want %v %q %v", l, k, i, o, kind, id, ok)
		}
	}
}
