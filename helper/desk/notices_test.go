package desk

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/store"
	"exipol/internal/eximtest"
)

// hook is a webhook that keeps what it gets. It answers with status, or not at all while it is 0.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []string // bodies
	ids    []string // Idempotency-Key
}

func newHook(t *testing.T, status int) *hook {
	h := &hook{status: status}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got, h.ids = append(h.got, string(body)), append(h.ids, r.Header.Get("Idempotency-Key"))
		if r.Header.Get("Content-Type") != "application/json" || r.Method != http.MethodPost || r.Header.Get("User-Agent") != "exipold/test" {
			t.Errorf("%s %v", r.Method, r.Header)
		}
		if h.status == http.StatusFound {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(h.status)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) set(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

func (h *hook) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.got)
}

// tell has the desk tell what is due.
func (w *world) tell() {
	w.t.Helper()
	if err := w.Notices(w.t.Context()); err != nil {
		w.t.Errorf("notices: %v", err)
	}
}

// told is what became of a case's notices, by tier and receiver.
func (w *world) told(id int64) map[string]store.Notice {
	w.t.Helper()
	all := map[string]store.Notice{}
	for _, n := range w.file(id).Notices {
		all[n.Tier+" "+n.Receiver] = n
	}
	return all
}

// One mail and one post for a case, a tier and a receiver, however many gateways tell at a time, and
// through a real Exim.
func TestToldOnce(t *testing.T) {
	h := newHook(t, http.StatusNoContent)
	w := newBed(t, func(b *eximtest.Bed) { b.Main = "trusted_users = " + b.ID.User + "\n" })
	gateways := []*world{w}
	for _, name := range []string{"mx2", "mx3", "mx4"} {
		gateways = append(gateways, newWorld(t, w.store, name, w.o.Exim))
	}
	for _, g := range gateways {
		g.plan.Notices[0].Webhook = h.URL + "/hook?secret"
	}
	id := w.open("auth:bob@local.test", "warn", 1)
	w.open("auth:bob@local.test", "block", 2)
	for range 3 {
		var wg sync.WaitGroup
		for _, g := range gateways {
			wg.Go(g.tell)
		}
		wg.Wait()
	}
	got := map[string]int{}
	for _, m := range w.bed.WaitMail(5) {
		got[m.Recipient+" "+m.Field("Message-ID")]++
		if m.Sender != "postmaster@local.test" || m.Field("Auto-Submitted") != "auto-generated" || m.Field("X-Exipol-Case") != "1" || m.Field("From") == "" {
			t.Errorf("%+v", m)
		}
	}
	block := telling{plan: w.plan, file: w.file(id), notice: store.Notice{Tier: "block", Receiver: "notice.desk"}}.id()
	warn := telling{plan: w.plan, file: w.file(id), notice: store.Notice{Tier: "warn", Receiver: "notice.desk"}}.id()
	owner := telling{plan: w.plan, file: w.file(id), notice: store.Notice{Tier: "warn", Receiver: "owner"}}.id()
	for _, want := range []string{
		"abuse@local.test <" + block + ">", "alice@local.test <" + block + ">", "abuse@local.test <" + warn + ">", "alice@local.test <" + warn + ">",
		"bob@local.test <" + owner + ">",
	} {
		if got[want] != 1 {
			t.Errorf("%s was mailed %d times", want, got[want])
		}
	}
	if len(got) != 5 {
		t.Errorf("mails: %v", got)
	}
	slices.Sort(h.ids)
	if want := []string{block, warn}; !slices.Equal(h.ids, want) {
		t.Errorf("posts: %q, want %q", h.ids, want)
	}
	for name, n := range w.told(id) {
		if n.Due != 0 || n.Error != "" || n.Mailed == 0 || (n.Posted == 0) != (n.Receiver == "owner") {
			t.Errorf("%s: %+v", name, n)
		}
	}
	w.bed.CheckLogs()
}

// What fails is tried again, with growing pauses, and what was done is not done again.
func TestTriedAgain(t *testing.T) {
	for _, status := range []int{http.StatusInternalServerError, http.StatusFound, http.StatusNotFound} {
		h := newHook(t, status)
		exim, mails := fakeExim(t)
		w := newWorld(t, newStore(t), "mx1", exim)
		w.plan.Notices[0].Webhook = h.URL + "/hook?secret"
		id := w.open("auth:bob@local.test", "block", 2)
		w.tell()
		for i, pause := range append(slices.Clone(pauses), pauses[len(pauses)-1]) {
			n := w.told(id)["block notice.desk"]
			if n.Tries != i+1 || n.Due != w.at.Add(pause).UnixMilli() || n.Mailed == 0 || n.Posted != 0 || !strings.Contains(n.Error, "answers") || strings.Contains(n.Error, "secret") {
				t.Fatalf("after %d tries: %+v", i+1, n)
			}
			w.at = w.at.Add(pause - time.Second)
			w.tell()
			if h.count() != i+1 {
				t.Fatalf("%d posts after %d tries and less than the pause", h.count(), i+1)
			}
			w.at = w.at.Add(time.Second)
			w.tell()
		}
		h.set(http.StatusOK)
		w.at = w.at.Add(pauses[len(pauses)-1])
		w.tell()
		if n := w.told(id)["block notice.desk"]; n.Due != 0 || n.Posted != w.at.UnixMilli() || n.Error != "" {
			t.Errorf("at the end: %+v", n)
		}
		if len(mails()) != 1 || h.count() != len(pauses)+3 {
			t.Errorf("%d mails, %d posts", len(mails()), h.count())
		}
	}
}

// A notice that nobody takes for five days is given up, and says so.
func TestGivenUp(t *testing.T) {
	exim, mails := fakeExim(t)
	w := newWorld(t, newStore(t), "mx1", exim)
	w.plan.Notices[0].Webhook = "http://127.0.0.1:1/secret"
	id := w.open("auth:bob@local.test", "block", 2)
	tries := 0
	for end := w.at.Add(2 * giveUp); w.at.Before(end); w.at = w.at.Add(time.Hour) {
		w.tell()
		tries = w.told(id)["block notice.desk"].Tries
	}
	n := w.told(id)["block notice.desk"]
	if n.Due != 0 || n.Posted != 0 || !strings.HasPrefix(n.Error, GivenUp) || strings.Contains(n.Error, "secret") || tries < 20 || tries > 40 {
		t.Errorf("%+v after %d tries", n, tries)
	}
	if len(mails()) != 1 {
		t.Errorf("%d mails", len(mails()))
	}
}

// What no try can mend is given up at once.
func TestNobodyToTell(t *testing.T) {
	exim, mails := fakeExim(t)
	w := newWorld(t, newStore(t), "mx1", exim)
	w.plan.Limits[0].Tiers[0].Notify = []string{plan.NotifyOwner, "notice.gone"}
	for i, owner := range []string{"relay:192.0.2.1", "auth:a,b@x.test", "auth:-x", "auth:bob smith", "user:root\nBcc: x@y", "auth:ü@x.test"} {
		id := w.open(owner, "warn", 1)
		w.tell()
		for name, n := range w.told(id) {
			if n.Receiver == "notice.gone" { // a newer plan on another gateway may have it
				if n.Due == 0 || n.Tries != 1 || !strings.Contains(n.Error, "have no notice.gone") {
					t.Errorf("%d, %s: %+v", i, name, n)
				}
				continue
			}
			if n.Due != 0 || !strings.HasPrefix(n.Error, GivenUp) || n.Mailed != 0 {
				t.Errorf("%d, %s: %+v", i, name, n)
			}
		}
	}
	if len(mails()) != 0 {
		t.Errorf("%q", mails())
	}
}

// A gateway that dies while it tells leaves the notice to the others, after a while.
func TestLease(t *testing.T) {
	exim, mails := fakeExim(t)
	s := newStore(t)
	w, other := newWorld(t, s, "mx1", exim), newWorld(t, s, "mx2", exim)
	other.at = w.at
	id := w.open("auth:bob@local.test", "block", 2)
	if due, err := s.ClaimNotices(t.Context(), "mx1", w.at.UnixMilli(), w.at.Add(lease).UnixMilli(), 5); err != nil || len(due) != 1 {
		t.Fatalf("%+v, %v", due, err)
	}
	other.at = other.at.Add(lease - time.Second)
	other.tell()
	if len(mails()) != 0 {
		t.Error("told although another gateway does it")
	}
	other.at = other.at.Add(2 * time.Second)
	other.tell()
	if n := w.told(id)["block notice.desk"]; len(mails()) != 1 || n.Mailed == 0 {
		t.Errorf("%d mails, %+v", len(mails()), n)
	}
}

// An Exim that is broken for a while loses no notice.
func TestBrokenExim(t *testing.T) {
	exim, mails := fakeExim(t)
	broken := strings.TrimSuffix(exim.Path, "exim") + "broken"
	write(t, broken, "")
	w := newWorld(t, newStore(t), "mx1", exim)
	id := w.open("auth:bob@local.test", "block", 2)
	w.tell()
	if n := w.told(id)["block notice.desk"]; n.Mailed != 0 || n.Tries != 1 || !strings.Contains(n.Error, "exim: broken") {
		t.Errorf("%+v", n)
	}
	removeFile(t, broken)
	w.at = w.at.Add(time.Minute)
	w.tell()
	if n := w.told(id)["block notice.desk"]; n.Mailed == 0 || n.Due != 0 || len(mails()) != 1 {
		t.Errorf("%+v", n)
	}
	if args, _, _ := strings.Cut(mails()[0], "\n"); args != "-oi -f postmaster@local.test -- abuse@local.test alice@local.test" {
		t.Errorf("called with %q", args)
	}
}
