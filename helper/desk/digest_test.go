package desk

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/store"
)

// The sums go out as often as the policies say, to those whose policies' cases they are, and only where
// there is something; what was mailed is not mailed again because the webhook fails.
func TestDigest(t *testing.T) {
	exim, mails := fakeExim(t)
	h := newHook(t, http.StatusBadGateway)
	w := newWorld(t, newStore(t), "mx1", exim)
	other := newWorld(t, w.store, "mx2", exim)
	other.plan = w.plan
	w.plan.Notices[0].Webhook = h.URL
	w.plan.Notices = append(w.plan.Notices, plan.Notice{Name: "other", Mail: []string{"carol@local.test"}, Digest: plan.Duration(24 * time.Hour)})
	sum := func() (failed bool) {
		t.Helper()
		other.at = w.at
		for _, g := range []*world{w, other} {
			err := g.Digests(t.Context())
			if err != nil && !strings.Contains(err.Error(), "answers 502") {
				t.Error(err)
			}
			failed = failed || err != nil
		}
		return failed
	}
	day := func() { w.at = w.at.Add(24 * time.Hour) }
	sum() // begins to count
	day()
	sum()
	if len(mails()) != 0 || h.count() != 0 {
		t.Fatalf("of nothing: %d mails, %d posts", len(mails()), h.count())
	}
	id := w.open("auth:bob@local.test", "block", 2)
	w.at = w.at.Add(23 * time.Hour)
	sum()
	if len(mails()) != 0 {
		t.Error("too early")
	}
	w.at = w.at.Add(time.Hour)
	if !sum() || len(mails()) != 1 || h.count() != 1 {
		t.Errorf("%d mails, %d posts", len(mails()), h.count())
	}
	h.set(http.StatusOK)
	w.at = w.at.Add(digestAgain)
	if sum() || len(mails()) != 1 || h.count() != 2 || h.ids[0] != h.ids[1] {
		t.Errorf("%d mails, %d posts: %q", len(mails()), h.count(), h.ids)
	}
	for _, want := range []string{"To: abuse@local.test, alice@local.test", "Subject: exipol: 1 case, open", "auth bob@local.test, limit.stolen/block, blocked, 0 held"} {
		if !strings.Contains(mails()[0], want) {
			t.Errorf("%q is not in\n%s", want, mails()[0])
		}
	}
	day()
	sum() // open still
	if len(mails()) != 2 || h.count() != 3 {
		t.Errorf("%d mails, %d posts", len(mails()), h.count())
	}
	w.decide(store.Decision{Case: id, Release: true})
	day()
	sum() // closed, and opened before the last one
	if len(mails()) != 2 {
		t.Errorf("%d mails", len(mails()))
	}
	w.at = w.at.Add(time.Hour)
	short := w.open("auth:carol@local.test", "block", 2)
	w.decide(store.Decision{Case: short, Release: true})
	w.at = w.at.Add(23 * time.Hour)
	sum() // closed, and opened since
	if len(mails()) != 3 || !strings.Contains(strings.Join(mails(), ""), "auth carol@local.test, limit.stolen/block, released") {
		t.Errorf("%d mails", len(mails()))
	}
}
