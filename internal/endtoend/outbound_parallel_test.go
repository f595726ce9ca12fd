package endtoend

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"exipol/internal/eximtest"
)

// TestOutboundParallel: hundreds of invalid recipients at once, from one login, around the
// threshold: each is counted, one case is opened, one notice is sent, however many desks ask
// for it; and every message that Exim froze is known to be held.
func TestOutboundParallel(t *testing.T) {
	t.Parallel()
	const sessions, each, over = 40, 10, 200
	o := newOutbound(t, soon("submission", "auth", over)).start()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var ids []string
	begin := make(chan struct{})
	for i := range sessions {
		wg.Go(func() {
			s, err := o.Connect("192.0.2.1")
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if _, err = s.Do("EHLO client.test"); err == nil {
				_, err = auth(s, "bob")
			}
			<-begin
			var to []string
			for j := range each {
				to = append(to, fmt.Sprintf("nosuch.%d.%d@far.test", i, j))
			}
			var rcpt []eximtest.Reply
			var data eximtest.Reply
			if err == nil {
				rcpt, data, err = s.DoMail("bob@local.test", to, note("one of many"))
			}
			if err != nil {
				t.Errorf("session %d: %v\n%s", i, err, s.Transcript())
				return
			}
			for j, r := range rcpt {
				if r.Code != 250 {
					t.Errorf("session %d, recipient %d: %s", i, j, r)
				}
			}
			if data.Code != 250 {
				t.Errorf("session %d: %s", i, data)
			}
			mu.Lock()
			ids = append(ids, data.MessageID())
			mu.Unlock()
		})
	}
	close(begin)
	wg.Wait()
	if n := o.counted("counts", "bob"); n != sessions*each {
		t.Errorf("%d were counted, want %d", n, sessions*each)
	}
	if n := o.counted("stolen", "bob"); n != sessions*each {
		t.Errorf("%d were counted by the policy that blocks, want %d", n, sessions*each)
	}
	c := o.oneCase()
	if c.Counted != over+1 {
		t.Errorf("the case counted %d when it was opened, want %d", c.Counted, over+1)
	}
	frozen, _ := o.queue()
	if int64(len(frozen)) != c.Case.Held || len(frozen) == 0 {
		t.Errorf("%d messages are frozen, and %d are known to be held", len(frozen), c.Case.Held)
	}
	for _, id := range frozen {
		if !slices.Contains(ids, id) {
			t.Errorf("%s is frozen, and nobody sent it", id)
		}
	}
	for range 4 {
		wg.Go(o.desk)
	}
	wg.Wait()
	o.notices(1)
	o.CheckLogs()
}

const guarded = deskNotice + `
limit "stolen" {
  traffic = "submission"
  event   = invalid_recipient
  key     = [auth]
  tier "block" {
    over   = "1/1h"
    notify = [notice.desk]
    block {
      queued     = "freeze"
      add_header = { "X-Held" = "yes" }
      freeze {
        most = 3
      }
    }
  }
}
`

// TestOutboundGuard: when so many messages are held, further ones stay with the client. What
// waits of the owner's is held, too, and goes its way after the release.
func TestOutboundGuard(t *testing.T) {
	t.Parallel()
	o := newOutbound(t, guarded).start()
	bob, carol := o.session("bob", "192.0.2.1"), o.session("carol", "192.0.2.1")
	for _, s := range []*eximtest.Session{bob, carol} {
		_, data := s.Mail("bob@local.test", []string{"later.bob@far.test"}, note("it waits"))
		want(t, "a message that has to wait", data, 250)
	}
	o.eventually("both wait", func() string {
		if n := len(o.Grep(" == later.bob@far.test")); n < 2 {
			return fmt.Sprintf("%d of 2 do", n)
		}
		return ""
	})
	bob.Expect(250, "MAIL FROM:<bob@local.test>")
	bob.Expect(250, "RCPT TO:<nosuch@local.test>")
	bob.Expect(250, "RSET")
	o.held(bob, "bob@local.test", "the first", "X-Held: yes", "nosuch@local.test", "fine@far.test")
	o.notices(1)
	o.eventually("bob's new message and the one that waited are frozen, carol's waits", func() string {
		if f, w := o.queue(); len(f) != 2 || len(w) != 1 {
			return fmt.Sprintf("frozen %v, waiting %v", f, w)
		}
		return ""
	})
	o.held(bob, "bob@local.test", "the second", "X-Held: yes", "fine@far.test")
	rcpt, _ := bob.Mail("bob@local.test", []string{"fine@far.test"}, note("one too many"))
	want(t, "one too many", rcpt[0], 451)
	o.WaitLog("limit.stolen/block/guard")
	rcpt, _ = carol.Mail("carol@local.test", []string{"fine.carol@far.test"}, note("carol's"))
	want(t, "carol", rcpt[0], 250)
	o.Sink.SetRule(func(eximtest.Command) eximtest.Answer { return "" })
	o.caseCommand("release", o.oneCase().ID, "--reason", "a test")
	o.desk()
	o.Sink.WaitTo("fine@far.test", 2)
	o.deliver("later.bob@far.test", 2)
	o.eventually("the queue is empty", func() string {
		if f, w := o.queue(); len(f)+len(w) > 0 {
			return fmt.Sprintf("frozen %v, waiting %v", f, w)
		}
		return ""
	})
	bob.Close()
	carol.Close()
	o.CheckLogs()
}
