package day

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// testSize makes a day that is replayed in seconds, with each kind in it.
const testSize = 0.1

// replay is what a set of ready-made policies makes of a day.
func replay(t *testing.T, d *Day, ready func() (map[string][]byte, error)) []Outcome {
	t.Helper()
	set, err := ready()
	if err != nil {
		t.Fatal(err)
	}
	e, err := StartExipold(t.Context(), "exipold", t.TempDir(), d, set)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	out, err := Replay(d, e)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSelective is the promise: with greylist-selective as it is shipped, nobody waits
// who is in a pool, in the list of correspondents or in that of code senders; bots that
// look bad and do not come back stay out; and honest hosts that look bad wait, but only
// that.
func TestSelective(t *testing.T) {
	waited := map[string]int{}
	for _, o := range replay(t, New(7, testSize), Selective) {
		client := o.Tries[0].Client
		switch k := o.Kind; {
		case k.Prompt && (!o.Delivered || o.Delay > 0):
			t.Errorf("%s: %s <%s> waited for %s (delivered: %v)", k.Name, client, o.Tries[0].Sender, o.Delay, o.Delivered)
		case k.Out && o.Delivered && o.Delay < 5*time.Minute:
			t.Errorf("%s: %+v was let in", k.Name, o.Tries[0])
		case !k.Bot && !k.Gone && !o.Delivered:
			t.Errorf("%s: %s <%s> never came", k.Name, client, o.Tries[0].Sender)
		}
		if o.Delay > 0 {
			waited[o.Kind.Name]++
		}
	}
	for _, kind := range []string{"careless DNS", "careless DNS, slow host", "forwarded by another host, SPF fails"} {
		if waited[kind] == 0 {
			t.Errorf("%s: none waited, so that the day proves nothing", kind)
		}
	}
}

// TestParts cuts one part out of greylist-selective each time: then those wait whom it
// is for.
func TestParts(t *testing.T) {
	const policy = "greylist-selective.hcl"
	for _, c := range []struct{ cut, leave, kind string }{
		{"spare = [pool, dnswl]", "", "first contact, order or invoice through SES or SendGrid"},
		{", list.correspondents.sender]", "]", "answer to one of our users, first mail"},
		{"urgent = [list.code_senders]", "", "login code, sender's own domain (SPF)"},
		{"urgent = [list.code_senders]", "", "login code, through a mailer (DKIM)"},
	} {
		d := New(7, 0.5)
		d.Messages = slices.DeleteFunc(d.Messages, func(m *Message) bool { return m.Kind.Name != c.kind })
		waited := 0
		for _, o := range replay(t, d, func() (map[string][]byte, error) {
			set, err := Selective()
			whole := string(set[policy])
			if !strings.Contains(whole, c.cut) {
				t.Fatalf("%s: there is no %q", policy, c.cut)
			}
			set[policy] = []byte(strings.ReplaceAll(whole, c.cut, c.leave))
			return set, err
		}) {
			if o.Delay > 0 {
				waited++
			}
		}
		if waited == 0 || waited == len(d.Messages) {
			t.Errorf("without %q, %d of %d messages wait: %s", c.cut, waited, len(d.Messages), c.kind)
		}
	}
}

// TestLooksDecide has the same day in a world where everybody has one good name and no
// list has anybody: then nobody waits. So the looks are what decides.
func TestLooksDecide(t *testing.T) {
	d := New(7, testSize)
	d.Records = []string{"mail.example A 198.51.100.1"}
	for i := range d.Messages {
		for j := range d.Messages[i].Tries {
			d.Messages[i].Tries[j].Host, d.Messages[i].Tries[j].Helo = "mail.example", "mail.example"
		}
	}
	for _, o := range replay(t, d, Selective) {
		if !o.Delivered || o.Delay > 0 {
			t.Fatalf("%s: %+v waited", o.Kind.Name, o.Tries[0])
		}
	}
}

// TestClassic: everybody new waits, whoever it is, and nobody comes in without a retry.
func TestClassic(t *testing.T) {
	for _, o := range replay(t, New(7, testSize), Classic) {
		first := o.Tries[0]
		switch k := o.Kind; {
		case k.Bot && len(o.Tries) == 1 && o.Delivered:
			t.Errorf("%s: %+v was let in", k.Name, first)
		case first.Callout && o.Delay > 0:
			t.Errorf("%s: deferred", k.Name)
		case k.Name == "first contact, own mail server" && o.Delay < 5*time.Minute:
			t.Errorf("%s: %+v waited for %s", k.Name, first, o.Delay)
		case !k.Bot && !k.Gone && !o.Delivered:
			t.Errorf("%s: %+v never came", k.Name, first)
		}
	}
}

// TestScript: a day is the same for the same seed, each kind is in it, and everybody
// tries in the order of time.
func TestScript(t *testing.T) {
	d := New(3, testSize)
	if !reflect.DeepEqual(d, New(3, testSize)) {
		t.Error("two days of one seed differ")
	}
	if reflect.DeepEqual(d.Messages[0].Tries, New(4, testSize).Messages[0].Tries) {
		t.Error("two days of different seeds begin alike")
	}
	seen := map[*Kind]bool{}
	for _, m := range d.Messages {
		if !m.History {
			seen[m.Kind] = true
		}
		if !slices.IsSortedFunc(m.Tries, func(a, b Try) int { return int(a.After - b.After) }) || m.Tries[0].After != 0 {
			t.Errorf("%s: the tries are not in order", m.Kind.Name)
		}
	}
	for i := range kinds {
		if !seen[&kinds[i]] {
			t.Errorf("%s: not in the day", kinds[i].Name)
		}
	}
}

// TestSchedules compares with what their sources say.
func TestSchedules(t *testing.T) {
	r := newRand(1)
	for range 50 {
		for name, c := range map[string]struct {
			s          schedule
			second     [2]time.Duration // the earliest and the latest
			atLeast    int
			mostApart  time.Duration
			lastBefore time.Duration
		}{
			"exim":           {exim, [2]time.Duration{15 * time.Minute, 45 * time.Minute}, 15, 7 * time.Hour, patience},
			"postfix":        {postfix, [2]time.Duration{5 * time.Minute, 10 * time.Minute}, 70, 72 * time.Minute, patience},
			"exchangeServer": {exchangeServer, [2]time.Duration{time.Minute, time.Minute}, 200, 10 * time.Minute, 48 * time.Hour},
			"exchangeOnline": {exchangeOnline, [2]time.Duration{4 * time.Minute, 6 * time.Minute}, 20, 70 * time.Minute, 24 * time.Hour},
			"gmail":          {gmail, [2]time.Duration{362 * time.Second, 362 * time.Second}, 20, 126 * time.Minute, 72 * time.Hour},
		} {
			got := c.s(r)
			if len(got) < c.atLeast || got[1] < c.second[0] || got[1] > c.second[1] || got[len(got)-1] >= c.lastBefore {
				t.Errorf("%s: %d tries, the second after %s, the last after %s", name, len(got), got[1], got[len(got)-1])
			}
			for i := 1; i < len(got); i++ {
				if gap := got[i] - got[i-1]; gap <= 0 || gap > c.mostApart {
					t.Errorf("%s: a gap of %s", name, gap)
				}
			}
		}
	}
}
