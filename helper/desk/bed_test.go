package desk

import (
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/queue"
	"exipol/helper/store"
	"exipol/helper/store/sqlite"
	"exipol/internal/eximtest"
)

// holding freezes what *held is sent, as the generated ACLs do.
const holding = `  warn  local_parts = *held
        control = freeze/no_tell
        set acl_m_exipol_hold = limit.stolen/block/block
  accept
`

const policy = "limit.stolen"

// makePlan is a plan with one limit that notifies and blocks.
func makePlan() *plan.Plan {
	rate := func(n int64) []plan.Rate { return []plan.Rate{{Count: n, Per: plan.Duration(time.Hour)}} }
	return &plan.Plan{
		Admin: "postmaster@local.test", RelayHosts: []string{"127.0.0.9/32"}, Tables: plan.Tables(plan.Needs{Desk: true}),
		Notices: []plan.Notice{{Name: "desk", Mail: []string{"abuse@local.test", "alice@local.test"}, Digest: plan.Duration(24 * time.Hour)}},
		Limits: []plan.Limit{{
			Name: "stolen", Traffic: plan.Submission, Mode: plan.Enforce, Engine: plan.EngineHelper,
			Events:  []plan.WeightedEvent{{Event: plan.InvalidRecipient, Weight: 1}},
			Key:     []plan.Part{{Field: "owner"}},
			Windows: []plan.Duration{plan.Duration(time.Hour)},
			Tiers: []plan.Tier{
				{Name: "warn", Over: rate(50), Verdict: plan.Accept, Notify: []string{"notice.desk", plan.NotifyOwner}},
				{Name: "block", Over: rate(100), Verdict: plan.Accept, Notify: []string{"notice.desk"}, Block: &plan.Block{
					At: plan.Rcpt, Verdict: plan.Freeze, Queued: plan.Freeze, Probation: &plan.Probation{Lasts: plan.Duration(24 * time.Hour), Share: 50},
				}},
			},
		}},
	}
}

// world is a desk with a real store, a clock that jumps, and an Exim: a real one where there is a bed.
type world struct {
	*Desk
	t     *testing.T
	bed   *eximtest.Bed
	store *sqlite.Store
	plan  *plan.Plan
	at    time.Time
	log   *strings.Builder
}

func newStore(t *testing.T) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "exipol.db"), sqlite.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.Migrate(t.Context(), plan.Tables(plan.Needs{Desk: true})); err != nil {
		t.Fatal(err)
	}
	return s
}

// newWorld makes a desk with whatever Exim.
func newWorld(t *testing.T, s *sqlite.Store, gateway string, exim queue.Exim) *world {
	t.Helper()
	w := &world{t: t, store: s, plan: makePlan(), at: time.Now(), log: &strings.Builder{}}
	w.Desk = New(Options{
		Plan: func() *plan.Plan { return w.plan }, Store: s, Gateway: gateway, Exim: exim, Agent: "exipold/test",
		Log: slog.New(slog.NewTextHandler(w.log, nil)), Clock: func() time.Time { return w.at },
	})
	t.Cleanup(func() {
		w.wg.Wait()
		if t.Failed() {
			t.Logf("%s's log:\n%s", gateway, w.log)
		}
	})
	return w
}

// newBed makes a desk beside a real Exim that queues everything.
func newBed(t *testing.T, change func(*eximtest.Bed)) *world {
	t.Helper()
	b := eximtest.New(t, eximtest.Small)
	b.Main = "queue_only\n"
	b.Site["rcpt"] = holding
	if change != nil {
		change(b)
	}
	b.Start()
	w := newWorld(t, newStore(t), "mx1", queue.Exim{
		Path: eximtest.Find(t), Arguments: []string{"-C", b.Path("exim.conf")},
		Prepare: func(cmd *exec.Cmd) {
			b.ID.Become(cmd)
			cmd.Dir = b.Path("run")
		},
	})
	w.bed, w.plan.Spool = b, b.Path("spool")
	return w
}

// open opens a case as a tier does.
func (w *world) open(owner, tier string, rank int) int64 {
	w.t.Helper()
	l := w.plan.Limits[0]
	id, err := w.store.Open(w.t.Context(), engine.OpenCase{
		Policy: policy, Key: owner, Tier: tier, Rank: rank, Blocks: l.Tiers[rank-1].Block != nil, At: w.at.UnixMilli(), Who: strings.Replace(owner, ":", " ", 1),
		Owner: owner, Gateway: "mx1", Counted: 101, Rate: l.Tiers[rank-1].Over[0].String(), Notify: l.Tiers[rank-1].Notify, Freeze: l.Tiers[rank-1].Block != nil,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// send sends a message as somebody, and returns its id.
func (w *world) send(login, recipient string) string {
	w.t.Helper()
	s := w.bed.Dial("127.0.0.3")
	defer s.Close()
	s.Ehlo("pc.test")
	if login != "" {
		s.Auth(login, eximtest.Password)
	}
	_, data := s.Mail("a@remote.test", []string{recipient}, "Subject: x\n\nto "+recipient+"\n")
	if data.MessageID() == "" {
		w.t.Fatalf("not accepted: %v", data)
	}
	return data.MessageID()
}

// look has the desk see to the queue, and says what is held then, by message.
func (w *world) look() map[string]store.Held {
	w.t.Helper()
	if err := w.Queue(w.t.Context(), true); err != nil {
		w.t.Errorf("queue: %v", err)
	}
	w.wg.Wait()
	return w.held()
}

func (w *world) held() map[string]store.Held {
	w.t.Helper()
	all, err := w.store.Held(w.t.Context(), "")
	if err != nil {
		w.t.Fatal(err)
	}
	held := map[string]store.Held{}
	for _, h := range all {
		held[h.Message] = h
	}
	return held
}

// hold says that a message of this gateway's is held.
func (w *world) hold(id int64, message string) {
	w.t.Helper()
	held := []engine.PutHeld{{Gateway: w.o.Gateway, Message: message, Case: id, At: w.at.UnixMilli()}}
	if err := w.store.SettleHeld(w.t.Context(), w.at.UnixMilli(), held, nil); err != nil {
		w.t.Fatal(err)
	}
}

// decide decides as the commands do.
func (w *world) decide(d store.Decision) {
	w.t.Helper()
	d.Who, d.Why, d.Gateway, d.At = "jane", "a test", "mx1", w.at.UnixMilli()
	if err := w.store.Decide(w.t.Context(), d); err != nil {
		w.t.Fatal(err)
	}
}

// frozen says whether a message is in the queue, and frozen there.
func (w *world) frozen(id string) (frozen, there bool) {
	w.t.Helper()
	m, there, err := queue.Spool{Dir: w.plan.Spool}.Find(id)
	if err != nil {
		w.t.Fatal(err)
	}
	return !m.Frozen.IsZero(), there
}

// file is a whole case.
func (w *world) file(id int64) store.CaseFile {
	w.t.Helper()
	f, err := w.store.Case(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

// fakeExim is an Exim that only takes mail: each run leaves its arguments and its input in a folder.
func fakeExim(t *testing.T) (queue.Exim, func() []string) {
	t.Helper()
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\ntest -e %[1]s/broken && { echo 'exim: broken' >&2; exit 1; }\nf=$(mktemp -u XXXXXX)\n{ echo \"$@\"; cat; } >%[1]s/part.$f && mv %[1]s/part.$f %[1]s/mail.$f\n", dir)
	path := filepath.Join(dir, "exim")
	write(t, path, script)
	return queue.Exim{Path: path}, func() []string {
		names, err := filepath.Glob(filepath.Join(dir, "mail.??????"))
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, name := range names {
			all = append(all, read(t, name))
		}
		return all
	}
}
