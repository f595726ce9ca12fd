package desk

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/store"
)

// A notice that comes late says how things stand by then.
func TestToldLate(t *testing.T) {
	exim, _ := fakeExim(t)
	w := newWorld(t, newStore(t), "mx1", exim)
	made := w.at
	id := w.open("auth:bob@local.test", "warn", 1)
	w.at = w.at.Add(time.Hour)
	w.open("auth:bob@local.test", "block", 2)
	text := func(tier string, at time.Time) string {
		n := w.told(id)[tier+" notice.desk"]
		x := telling{plan: w.plan, file: w.file(id), notice: n, gateway: "mx1", now: at}
		return x.subject() + "\n" + x.text() + x.ownerLetter("bob@local.test").text
	}
	both := func(what, text string, want, not []string) {
		t.Helper()
		text = strings.Join(strings.Fields(text), " ")
		for _, s := range want {
			if !strings.Contains(text, s) {
				t.Errorf("%s: %q is not in\n%s", what, s, text)
			}
		}
		for _, s := range not {
			if strings.Contains(text, s) {
				t.Errorf("%s: %q is in\n%s", what, s, text)
			}
		}
	}
	since, frozen := "is blocked since "+moment(w.at.UnixMilli()), "mail is accepted and kept frozen"
	both("of the block", text("block", w.at), []string{"is blocked (", since, "Its " + frozen, "This " + frozen}, nil)
	both("of the warning, after the block", text("warn", w.at), []string{
		"is noticed since " + moment(made.UnixMilli()), "A higher tier blocks it by now.", "Its " + frozen, "This " + frozen,
	}, []string{"Nothing is blocked", "Nothing but this notice"})
	w.decide(store.Decision{Case: id, Release: true})
	both("after the release", text("block", w.at), []string{
		"was blocked (", "was blocked at ", "That is over.", "Nothing but this notice", "released by jane",
	}, []string{"is blocked", frozen, "case release"})

	w.plan.Limits[0].Tiers[1].Block.Until = plan.Duration(time.Hour)
	short := w.open("auth:eve@local.test", "warn", 1)
	f := w.file(short)
	f.Tier, f.Blocks, f.Until = "block", true, w.at.Add(time.Hour).UnixMilli()
	for after, want := range map[time.Duration]string{time.Hour - time.Minute: "is blocked since", time.Hour: "was blocked at"} {
		x := telling{plan: w.plan, file: f, notice: store.Notice{Tier: "block", Made: f.Opened}, gateway: "mx1", now: w.at.Add(after)}
		if got := x.text(); !strings.Contains(got, want) {
			t.Errorf("after %s: no %q in\n%s", after, want, got)
		}
		if got := len(x.commands()); (got == 4) != (after < time.Hour) {
			t.Errorf("after %s: %+v", after, x.commands())
		}
		x.file.Held = []store.Held{{}}
		if got := x.commands(); strings.Contains(got[2].what, "the block stays") != (after < time.Hour) {
			t.Errorf("after %s: %+v", after, got)
		}
	}
}

// deafStore cannot be told what came of a notice or a digest, while deaf is set.
type deafStore struct {
	store.Desk
	deaf bool
}

var errDeaf = errors.New("no room on the disk")

func (s *deafStore) SettleNotice(ctx context.Context, n store.Notice) error {
	if s.deaf {
		return errDeaf
	}
	return s.Desk.SettleNotice(ctx, n)
}

func (s *deafStore) SettleDigest(ctx context.Context, receiver, gateway string, now int64, sent bool) error {
	if s.deaf {
		return errDeaf
	}
	return s.Desk.SettleDigest(ctx, receiver, gateway, now, sent)
}

// A store that cannot take the word of a delivery does not have it repeated: not as long as the process lives.
func TestDeafStore(t *testing.T) {
	exim, mails := fakeExim(t)
	h := newHook(t, http.StatusOK)
	w := newWorld(t, newStore(t), "mx1", exim)
	w.plan.Notices[0].Webhook = h.URL
	deaf := &deafStore{Desk: w.store}
	w.o.Store = deaf
	if err := w.Digests(t.Context()); err != nil { // begins to count
		t.Fatal(err)
	}
	id := w.open("auth:bob@local.test", "block", 2)
	deaf.deaf = true
	for range 3 {
		if err := w.Notices(t.Context()); !errors.Is(err, errDeaf) {
			t.Errorf("notices: %v", err)
		}
		w.at = w.at.Add(lease)
	}
	if len(mails()) != 1 || h.count() != 1 {
		t.Errorf("%d mails, %d posts", len(mails()), h.count())
	}
	deaf.deaf = false
	w.tell()
	if n := w.told(id)["block notice.desk"]; n.Due != 0 || n.Mailed == 0 || n.Posted == 0 || n.Mailed == w.at.UnixMilli() || len(mails()) != 1 || h.count() != 1 {
		t.Errorf("%+v, %d mails, %d posts", n, len(mails()), h.count())
	}
	w.at = w.at.Add(24 * time.Hour)
	deaf.deaf = true
	for range 3 {
		if err := w.Digests(t.Context()); !errors.Is(err, errDeaf) {
			t.Errorf("digests: %v", err)
		}
		w.at = w.at.Add(lease)
	}
	deaf.deaf = false
	if err := w.Digests(t.Context()); err != nil || len(mails()) != 2 || h.count() != 2 {
		t.Errorf("%v, %d mails, %d posts", err, len(mails()), h.count())
	}
	if len(w.sent) != 0 {
		t.Errorf("remembered for ever: %v", w.sent)
	}
}

// A spool that Exim never used is the wrong one: nothing that is held is taken for gone there.
func TestWrongSpool(t *testing.T) {
	exim, _ := fakeExim(t)
	w := newWorld(t, newStore(t), "mx1", exim)
	w.plan.Spool = t.TempDir()
	if err := w.Queue(t.Context(), true); err != nil {
		t.Errorf("nothing is held: %v", err)
	}
	id := w.open("auth:bob@local.test", "block", 2)
	w.hold(id, "1aaaaa-000000-00")
	w.decide(store.Decision{Case: id, Release: true})
	w.at = w.at.Add(2 * arriving)
	if err := w.Queue(t.Context(), true); err == nil || !strings.Contains(err.Error(), "site.spool") || len(w.held()) != 1 {
		t.Errorf("%v, %v", err, w.held())
	}
}
