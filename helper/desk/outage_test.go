package desk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/queue"
	"exipol/helper/store"
)

// watched is a watch over a store, with a clock that jumps.
type watched struct {
	*Outages
	t     *testing.T
	plan  *plan.Plan
	file  string
	at    time.Time
	exim  queue.Exim
	serve string // what exipold serve says
	mails func() []string
	log   strings.Builder
}

func newWatched(t *testing.T) *watched {
	w := &watched{t: t, plan: makePlan(), file: filepath.Join(t.TempDir(), "outage.json"), at: time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)}
	w.plan.Admin = "postmaster@example.com"
	w.plan.Store = plan.Store{Kind: plan.MySQL, Hosts: []string{"db1:3306", "db2:3306"}, Database: "exipol"}
	w.exim, w.mails = fakeExim(t)
	w.start()
	return w
}

// start makes it anew, as a new process does.
func (w *watched) start() {
	w.Outages = NewOutages(OutageOptions{
		Plan: func() *plan.Plan { return w.plan }, Gateway: "mx1", Exim: w.exim, Log: slog.New(slog.NewTextHandler(&w.log, nil)), File: w.file,
		Serve: func(context.Context) string { return w.serve }, Clock: func() time.Time { return w.at },
	})
}

// after lets time pass, in which the store is used now and then.
func (w *watched) after(d time.Duration, err error) {
	w.t.Helper()
	for end := w.at.Add(d); w.at.Before(end); w.at = w.at.Add(2 * time.Second) {
		w.Saw("queue", err)
		w.Tell(w.t.Context())
	}
}

// subjects are those of the mails so far.
func (w *watched) subjects() (away, back int) {
	w.t.Helper()
	for _, m := range w.mails() {
		if strings.Contains(m, "Subject: exipol: the store cannot be used on mx1\n") {
			away++
		} else if strings.Contains(m, "Subject: exipol: the store can be used again on mx1\n") {
			back++
		} else {
			w.t.Errorf("%s", m)
		}
	}
	return away, back
}

func (w *watched) want(what string, away, back int) {
	w.t.Helper()
	if a, b := w.subjects(); a != away || b != back {
		w.t.Errorf("%s: told %d times that it is away, %d times that it is back; want %d, %d", what, a, b, away, back)
	}
}

var errAway = fmt.Errorf("store exipol at db1:3306: %w: connection refused", store.ErrAway)

// TestOutage: the admin is told once when the store was away for a minute, and once when it is back for
// a minute; a restart repeats nothing.
func TestOutage(t *testing.T) {
	w := newWatched(t)
	w.after(time.Minute, nil)
	w.after(40*time.Second, errAway)
	w.want("before a minute is over", 0, 0)
	w.start()
	w.after(30*time.Second, errAway)
	w.want("after a minute", 1, 0)
	if info, err := os.Stat(w.file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
	for range 3 {
		w.start()
		w.after(time.Minute, errAway)
	}
	w.want("while it lasts", 1, 0)
	w.after(40*time.Second, nil)
	w.after(10*time.Second, errAway)
	w.start()
	w.after(40*time.Second, nil)
	w.want("while it comes and goes", 1, 0)
	w.after(30*time.Second, nil)
	w.want("when it is over", 1, 1)
	if _, err := os.Stat(w.file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	w.start()
	w.after(5*time.Minute, nil)
	w.want("long after", 1, 1)
	w.after(2*time.Minute, errAway)
	w.want("the next time", 2, 1)
}

// TestShortOutage: what was over before anybody was told is not told, and does not add up.
func TestShortOutage(t *testing.T) {
	w := newWatched(t)
	for range 5 {
		w.after(50*time.Second, errAway)
		w.after(2*time.Minute, nil)
	}
	w.want("short ones", 0, 0)
	for range 3 { // it is hardly ever there
		w.after(50*time.Second, errAway)
		w.after(10*time.Second, nil)
	}
	w.want("one that comes and goes", 1, 0)
}

// TestOutageKinds: whatever keeps the store from being used counts, also where only exipold serve sees it; and
// what is Exim's fault, or a writer's in the way, does not.
func TestOutageKinds(t *testing.T) {
	for _, err := range []error{store.ErrAway, store.ErrFull, store.ErrCorrupt, store.ErrReadOnly, store.ErrRefused, store.ErrMissing} {
		w := newWatched(t)
		w.after(2*time.Minute, errors.Join(errors.New("exim: 3 messages could not be thawed"), fmt.Errorf("store x: %w", err)))
		w.want(err.Error(), 1, 0)
	}
	for _, err := range []error{errors.New("exim does not end"), store.ErrConflict, store.ErrBusy, store.ErrNoCase, context.DeadlineExceeded} {
		w := newWatched(t)
		w.after(2*time.Minute, err)
		w.want(err.Error(), 0, 0)
	}
	w := newWatched(t)
	w.serve = "store /var/lib/exipol/exipol.db: no room left"
	w.after(2*time.Minute, nil)
	w.want("what serve sees", 1, 0)
	if m := w.mails()[0]; !strings.Contains(m, w.serve) {
		t.Errorf("%s", m)
	}
	w.serve = ""
	w.after(2*time.Minute, nil)
	w.want("what serve sees no more", 1, 1)
}

// TestOutageMail: a mail that Exim does not take is tried again, without haste; without an admin there is none.
func TestOutageMail(t *testing.T) {
	w := newWatched(t)
	broken := filepath.Join(filepath.Dir(w.exim.Path), "broken")
	write(t, broken, "")
	w.after(3*time.Minute, errAway)
	w.want("Exim is broken", 0, 0)
	if n := strings.Count(w.log.String(), "the admin cannot be told"); n < 2 || n > 3 {
		t.Errorf("tried %d times:\n%s", n, &w.log)
	}
	removeFile(t, broken)
	w.after(2*time.Minute, errAway)
	w.want("Exim is well", 1, 0)

	w = newWatched(t)
	w.plan.Admin = ""
	w.after(3*time.Minute, errAway)
	w.after(3*time.Minute, nil)
	w.want("no admin", 0, 0)
}

// TestOutageFile: one that is damaged, or cannot be written, keeps nobody from being told.
func TestOutageFile(t *testing.T) {
	w := newWatched(t)
	write(t, w.file, "{")
	w.start()
	w.after(2*time.Minute, errAway)
	w.want("damaged", 1, 0)
	if !strings.Contains(w.log.String(), "is not known") {
		t.Errorf("%s", &w.log)
	}
	w = newWatched(t)
	w.file = filepath.Join(t.TempDir(), "nowhere", "outage.json")
	w.start()
	w.after(2*time.Minute, errAway)
	w.want("no folder", 1, 0)
}

// TestDeskWatches: what the desk itself meets in the store is seen.
func TestDeskWatches(t *testing.T) {
	w := newWatched(t)
	d := newWorld(t, newStore(t), "mx1", w.exim)
	d.o.Outages, d.plan.Spool = w.Outages, t.TempDir()
	if err := os.Mkdir(filepath.Join(d.plan.Spool, "input"), 0o700); err != nil {
		t.Fatal(err)
	}
	d.o.Store = awayStore{d.store}
	for range 2 {
		if err := d.Once(t.Context()); !errors.Is(err, store.ErrAway) {
			t.Fatal(err)
		}
		w.at = w.at.Add(outageFor)
	}
	w.want("by the desk", 1, 0)
	d.o.Store = d.store
	for range 2 {
		if err := d.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.at = w.at.Add(outageFor)
	}
	w.want("by the desk", 1, 1)
}

// awayStore is one that is away.
type awayStore struct{ store.Desk }

func (awayStore) Held(context.Context, string) ([]store.Held, error) { return nil, errAway }
func (awayStore) ClaimNotices(context.Context, string, int64, int64, int) ([]store.Notice, error) {
	return nil, errAway
}

func (awayStore) ClaimDigest(context.Context, string, string, int64, int64, int64) (int64, bool, error) {
	return 0, false, errAway
}

// TestOutageText: what the admin reads. docs/stores.md shows the same.
func TestOutageText(t *testing.T) {
	w := newWatched(t)
	w.plan.Mainlog = []string{"/var/log/exim4/mainlog"}
	l := w.plan.Limits[0]
	l.OnFailure = plan.LastKnown
	rate, later := l, l
	rate.Name, rate.Tiers = "rate", []plan.Tier{{Name: "slow", Verdict: plan.Defer}}
	later.Name, later.OnFailure = "careful", plan.DeferMail
	w.plan.Limits = []plan.Limit{later, rate, l}
	w.plan.Greylists = []plan.Grey{{Name: "inbound", Mode: plan.Enforce, OnFailure: plan.LastKnown}, {Name: "watches", Mode: plan.Observe}}
	o := outage{Since: w.at, Why: errAway.Error(), Over: w.at.Add(12*time.Minute + 34*time.Second)}
	docs := read(t, "../../docs/stores.md")
	for name, made := range map[string]letter{"outage.txt": o.letter(w.plan, "mx1", w.at.Add(time.Minute)), "outageover.txt": o.overLetter(w.plan, "mx1", o.Over.Add(time.Minute))} {
		checkMail(t, name, made)
		m, err := mail.ReadMessage(strings.NewReader(string(made.bytes())))
		if err != nil {
			t.Fatal(err)
		}
		header, _, _ := strings.Cut(string(made.bytes()), "\n\n")
		text := header + "\n\n" + decoded(t, m)
		golden(t, name, text)
		if !strings.Contains(docs, text) {
			t.Errorf("docs/stores.md does not show testdata/%s as it is", name)
		}
	}
	for _, evil := range []string{"x\r\nBcc: victim@remote.test\r\n\r\n.\nFrom here", "\xff\xfe\x00\x1b[31m", strings.Repeat("ä", 5000)} {
		o.Why = evil
		checkMail(t, "hostile", o.letter(w.plan, evil, w.at))
	}
}

// TestUnsaid: what came of a mail while the store could not be told is told as soon as it can be, so that no other gateway
// sends it again.
func TestUnsaid(t *testing.T) {
	exim, mails := fakeExim(t)
	w := newWorld(t, newStore(t), "mx1", exim)
	other := newWorld(t, w.store, "mx2", exim)
	deaf := &deafStore{Desk: w.store, deaf: true}
	w.o.Store = deaf
	id := w.open("auth:bob@local.test", "block", 2)
	if err := w.Notices(t.Context()); !errors.Is(err, errDeaf) || len(mails()) != 1 {
		t.Fatalf("%v, %d mails", err, len(mails()))
	}
	w.at = w.at.Add(time.Minute)
	deaf.deaf = false
	w.tell()
	if n := w.told(id)["block notice.desk"]; n.Due != 0 || n.Mailed == 0 {
		t.Errorf("%+v", n)
	}
	other.at = w.at.Add(2 * lease)
	other.tell()
	if len(mails()) != 1 || len(w.sent) != 0 || len(w.unsaid) != 0 {
		t.Errorf("%d mails, %v, %v", len(mails()), w.sent, w.unsaid)
	}
}

// TestClocksApart: what Exim froze is compared with the store's clock, however wrong this host's is.
func TestClocksApart(t *testing.T) {
	d := newWorld(t, newStore(t), "mx1", queue.Exim{})
	frozen := queue.Message{Frozen: time.Unix(1790000600, 0)}
	if got := d.byStore(frozen); !got.Frozen.Equal(frozen.Frozen) {
		t.Errorf("one clock: %s", got.Frozen)
	}
	d.o.Skew = func() time.Duration { return 10 * time.Minute }
	if got := d.byStore(frozen); got.Frozen.Unix() != 1790000001 {
		t.Errorf("ten minutes ahead: %d", got.Frozen.Unix())
	}
	if got := d.byStore(queue.Message{}); !got.Frozen.IsZero() {
		t.Errorf("not frozen: %s", got.Frozen)
	}
	// Frozen by the question that opened the case, a moment later, by a clock that is a little behind.
	d.o.Skew = func() time.Duration { return -20 * time.Millisecond }
	c := store.Case{ID: 1, Key: "k", Opened: 1790000600010, State: store.CaseOpen}
	if _, ok := choose(d.byStore(queue.Message{Frozen: time.Unix(1790000599, 0)}), "", "k", []store.Case{c}); !ok {
		t.Error("its case is not found")
	}
}
