package eximtest

import (
	"errors"
	"net"
	"net/smtp"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// dial opens a dialogue with a sink.
func dial(t *testing.T, s *Sink) *smtp.Client {
	t.Helper()
	conn, err := net.DialTimeout("tcp4", "127.0.0.1:"+strconv.Itoa(s.Port()), patience)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	c, err := smtp.NewClient(conn, "sink.test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// said is what an error of the dialogue says, "" for none.
func said(err error) string {
	var reply *textproto.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &reply):
		return strconv.Itoa(reply.Code) + " " + reply.Msg
	}
	return err.Error()
}

func TestSinkAnswers(t *testing.T) {
	t.Parallel()
	s := NewSink(t)
	c := dial(t, s)
	if err := c.Mail("bob@local.test"); err != nil {
		t.Fatal(err)
	}
	for _, try := range []struct{ to, want string }{
		{"anybody@far.test", ""},
		{"nosuch1@far.test", "550 5.1.1"},
		{"full1@far.test", "552 5.2.2"},
		{"busy1@far.test", "452 4.2.2"},
		{"policy1@far.test", "550 5.7.1"},
		{"later1@far.test", "450 4.3.0"},
		{"later1@far.test", "450 4.3.0"},
		{"grey1@far.test", "450 4.2.0"},
		{"grey1@far.test", ""},
		{"grey2@far.test", "450 4.2.0"},
		{"closes@far.test", "EOF"},
	} {
		if got := said(c.Rcpt(try.to)); !strings.HasPrefix(got, try.want) || (got == "") != (try.want == "") {
			t.Errorf("RCPT %s: %q, want %q", try.to, got, try.want)
		}
	}
	if n := s.Callouts("nosuch1@far.test"); n != 1 {
		t.Errorf("%d callouts for one recipient, want 1", n)
	}
	c = dial(t, s)
	if got := said(c.Mail("refused@local.test")); !strings.HasPrefix(got, "550 5.7.1") {
		t.Errorf("MAIL: %q", got)
	}
	if got := said(c.Rcpt("anybody@far.test")); !strings.HasPrefix(got, "503") {
		t.Errorf("RCPT without MAIL: %q", got)
	}
	if v := s.Visits(); len(v) != 1 || v[0].Data {
		t.Errorf("visits %+v, want the first dialogue's, without a message", v)
	}
}

func TestSinkTakesMail(t *testing.T) {
	t.Parallel()
	s := NewSink(t)
	c := dial(t, s)
	send := func(to []string, text string) string {
		t.Helper()
		if err := c.Mail("bob@local.test"); err != nil {
			t.Fatal(err)
		}
		for _, r := range to {
			_ = c.Rcpt(r)
		}
		w, err := c.Data()
		if err != nil {
			return said(err)
		}
		_, _ = w.Write([]byte(text))
		return said(w.Close())
	}
	if got := send([]string{"a@far.test", "nosuch@far.test", "b@far.test"}, "Subject: one\r\nX-A: b\r\n\r\n.dot\r\nlast\r\n"); got != "" {
		t.Errorf("DATA: %s", got)
	}
	if got := send([]string{"late@far.test"}, "Subject: two\r\n\r\n"); !strings.HasPrefix(got, "554 5.6.0") {
		t.Errorf("a message that is not wanted: %q", got)
	}
	if got := send([]string{"nosuch@far.test"}, "x\r\n"); !strings.HasPrefix(got, "554") {
		t.Errorf("DATA without a recipient: %q", got)
	}
	s.SetRule(func(c Command) Answer {
		if c.Stage == "rcpt" && c.Recipient == "a@far.test" {
			return "450 4.0.0 the rule has changed"
		}
		return ""
	})
	if got := send([]string{"a@far.test", "nosuch@far.test"}, "Subject: three\r\n\r\n"); got != "" {
		t.Errorf("DATA: %s", got)
	}
	var got []string
	for _, m := range s.Mail() {
		got = append(got, m.Sender+" "+m.Recipient+" "+m.Field("Subject")+" "+m.Field("X-A")+" "+m.Body)
	}
	want := []string{"bob@local.test a@far.test one b .dot\nlast\n", "bob@local.test b@far.test one b .dot\nlast\n", "bob@local.test nosuch@far.test three  "}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if m := s.WaitTo("b@far.test", 1); m[0].Field("X-A") != "b" {
		t.Errorf("header %q", m[0].Header)
	}
	if n := s.Callouts("late@far.test"); n != 0 {
		t.Errorf("%d callouts, want none: a message came", n)
	}
}

// TestSinkHangs: who hangs does not keep others waiting, nor the sink's end.
func TestSinkHangs(t *testing.T) {
	t.Parallel()
	s := NewSink(t)
	c := dial(t, s)
	if err := c.Mail("bob@local.test"); err != nil {
		t.Fatal(err)
	}
	hung := make(chan error, 1)
	go func() { hung <- c.Rcpt("hangs@far.test") }()
	other := dial(t, s)
	if err := other.Mail("bob@local.test"); err != nil {
		t.Fatal(err)
	}
	if err := other.Rcpt("a@far.test"); err != nil {
		t.Error(err)
	}
	select {
	case err := <-hung:
		t.Errorf("there was an answer: %v", err)
	default:
	}
	s.close()
	if err := <-hung; err == nil {
		t.Error("a yes at the end")
	}
}
