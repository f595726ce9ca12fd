package eximtest

import (
	"strings"
	"testing"
	"time"
)

// TestFakeHelper: every mode is what its name says, as Exim sees it, and modes can be
// switched while Exim runs. -be has no log and no spool that the plain call could spoil.
func TestFakeHelper(t *testing.T) {
	t.Parallel()
	b := New(t, Small)
	path := b.SocketPath("s")
	h := NewFakeHelper(t, path, Absent)
	ask := func(timeout string) (string, time.Duration) {
		t.Helper()
		begin := time.Now()
		got, err := b.Expand("${readsocket{" + path + "}{question\\n}{" + timeout + "}{+}{FAILED}}")
		if err != nil {
			t.Fatal(err)
		}
		return got, time.Since(begin)
	}
	fails := func(s string) bool { return s == "FAILED" }
	empty := func(s string) bool { return s == "" || s == "FAILED" } // closing at once is either
	is := func(want string) func(string) bool { return func(s string) bool { return s == want } }
	for _, c := range []struct {
		mode  Mode
		right func(string) bool
		least time.Duration
		asked bool
	}{
		{Absent, fails, 0, false},
		{Says("well", "v=1 end=1"), is("v=1 end=1"), 0, true},
		{Stale, fails, 0, false},
		{Forbidden, fails, 0, false},
		{Deaf, fails, time.Second, false},
		{Hung, fails, time.Second, true},
		{Closing, empty, 0, false},
		{Mute, is(""), 0, true},
		{Endless, fails, time.Second, true},
		{CutOff("v=1 ac"), is("v=1 ac"), 0, true},
		{Lines, is("v=1+action=accept+end=1+"), 0, true},
		{Nulls, func(s string) bool { return !fails(s) && s != "" }, 0, true},
		{Rubbish, func(s string) bool { return len(s) > 1<<16 }, 0, true},
		{Slowly(500*time.Millisecond, Says("well", "late")), is("late"), 500 * time.Millisecond, true},
		{Slowly(3*time.Second, Says("well", "late")), fails, time.Second, true},
		{Answers("echo", strings.ToUpper), is("QUESTION+"), 0, true},
	} {
		h.Set(c.mode)
		h.Forget()
		timeout := "30s" // busy machines are slow to make rubbish
		if c.least >= time.Second {
			timeout = "1s"
		}
		got, took := ask(timeout)
		if !c.right(got) {
			t.Errorf("%s: Exim got %.100q", c.mode, got)
		}
		if took < c.least {
			t.Errorf("%s: answer after %v", c.mode, took)
		}
		if q := h.Questions(); c.asked != (len(q) == 1 && q[0] == "question\n") {
			t.Errorf("%s: questions %q", c.mode, q)
		}
	}
}
