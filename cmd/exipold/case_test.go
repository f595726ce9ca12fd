package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/generator/wire"
	"exipol/helper"
	"exipol/helper/engine"
	"exipol/helper/store"
)

// deskWorld is a plan with a blocking limit, and its store.
type deskWorld struct {
	t         *testing.T
	dir, plan string
	store     store.Store
	out, err  string
	bounces   int
}

// blockingPlan makes the test plan one that blocks and notifies.
func blockingPlan(p *plan.Plan) {
	p.Tables = plan.Tables(plan.Needs{Counter: true, Distinct: true, Desk: true})
	p.Spool = filepath.Join(filepath.Dir(p.Store.Path), "spool")
	p.Notices = []plan.Notice{{Name: "desk", Mail: []string{"abuse@example.com"}}}
	hour := plan.Duration(time.Hour)
	tier := func(name string, n int64) plan.Tier {
		return plan.Tier{Name: name, Over: []plan.Rate{{Count: n, Per: hour}}, Verdict: plan.Accept, Notify: []string{"notice.desk"}}
	}
	block := tier("block", 100)
	block.Block = &plan.Block{
		At: plan.Rcpt, Traffics: []string{plan.Submission}, Verdict: plan.Freeze, Queued: plan.Freeze,
		Probation: &plan.Probation{Lasts: 24 * hour, Share: 50},
	}
	hours := tier("hours", 100)
	hours.Block = &plan.Block{At: plan.Rcpt, Traffics: []string{plan.Relay}, Verdict: plan.Deny, Until: 2 * hour}
	limit := func(name string, parts []plan.Part, tiers ...plan.Tier) plan.Limit {
		return plan.Limit{
			Name: name, Traffic: plan.Submission, Events: []plan.WeightedEvent{{Event: plan.Bounce, Weight: 1}}, Key: parts,
			Engine: plan.EngineHelper, Mode: plan.Enforce, OnFailure: plan.Pass, Tiers: tiers, Windows: []plan.Duration{hour},
		}
	}
	watched := limit("watched", []plan.Part{{Field: "auth"}}, block)
	watched.Mode = plan.Observe
	p.Limits = append(p.Limits,
		limit("hosts", []plan.Part{{Field: "client", V4: 32, V6: 128}, {Field: "login"}}, hours),
		limit("owners", []plan.Part{{Field: "owner"}}, tier("warn", 50), block),
		limit("told", []plan.Part{{Field: "auth"}}, tier("warn", 50)), watched)
	slices.SortFunc(p.Limits, func(a, b plan.Limit) int { return strings.Compare(a.Name, b.Name) })
}

func newDeskWorld(t *testing.T, put putStore) *deskWorld {
	t.Helper()
	dir := t.TempDir()
	if err := writePlan(dir, "plan.json", func(p *plan.Plan) { blockingPlan(p); put(p) }); err != nil {
		t.Fatal(err)
	}
	return openDeskWorld(t, dir)
}

// openDeskWorld makes the store of the plan.json in a directory.
func openDeskWorld(t *testing.T, dir string) *deskWorld {
	t.Helper()
	w := &deskWorld{t: t, dir: dir, plan: filepath.Join(dir, "plan.json")}
	t.Setenv("SUDO_USER", "jane")
	w.store = openPlanned(t, w.plan)
	return w
}

// run runs a command, which has to end with a status.
func (w *deskWorld) run(status int, args ...string) (out string) {
	w.t.Helper()
	var stdout, stderr strings.Builder
	got := run(args, strings.NewReader(""), &stdout, &stderr)
	w.out, w.err = stdout.String(), stderr.String()
	if got != status {
		w.t.Fatalf("exipold %s: status %d, want %d\n%s%s", strings.Join(args, " "), got, status, w.out, w.err)
	}
	return w.out
}

// cases runs exipold case.
func (w *deskWorld) cases(status int, args ...string) string {
	w.t.Helper()
	return w.run(status, append([]string{"case", args[0], "--plan", w.plan}, args[1:]...)...)
}

func (w *deskWorld) hold(id int64, held ...engine.PutHeld) {
	w.t.Helper()
	for i := range held {
		held[i].Case = id
	}
	if err := w.store.SettleHeld(w.t.Context(), 1, held, nil); err != nil {
		w.t.Fatal(err)
	}
}

func want(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(text) {
			t.Errorf("%q is not in\n%s", p, text)
		}
	}
}

func TestCaseOpen(t *testing.T) { onEachStore(t, testCaseOpen) }

func testCaseOpen(t *testing.T, put putStore) {
	w := newDeskWorld(t, put)
	w.cases(0, "open", "limit.owners", "auth=bob", "--reason", "lost his phone", "--dry-run")
	want(t, w.err, `^exipold: auth bob would be blocked by limit.owners, tier block, until somebody releases the case\n$`)
	if w.cases(0, "list"); w.out != "" || !strings.Contains(w.err, "no such cases are open") {
		t.Errorf("%q %q", w.out, w.err)
	}
	if got := w.cases(0, "open", "limit.owners", "auth=bob", "--reason", "lost his phone", "--gateway", "mx1"); got != "1\n" {
		t.Errorf("%q", got)
	}
	want(t, w.err, `^exipold: auth bob is blocked by limit.owners, tier block, within two seconds, until somebody releases the case\n$`)
	if got := w.cases(0, "open", "limit.owners", "auth=bob", "--reason", "again"); got != "1\n" || !strings.Contains(w.err, "has an open case already") {
		t.Errorf("%q %q", got, w.err)
	}
	w.cases(0, "open", "limit.hosts", "client=::ffff:192.0.2.1", "login=x", "--reason", "cracks", "--json")
	want(t, w.out, `"format_version": "1.0"`, `"dry_run": false`, `"id": 2`, `"known": false`, `"who": "client 192.0.2.1, login x"`, `"until": "20`)
	said, err := w.store.Runtime(t.Context(), time.Now().UnixMilli())
	if st, ok := said.Standings.Find("limit.owners", "auth:bob"); err != nil || said.Standings.Len() != 2 || !ok || !st.InForce(time.Now().UnixMilli()) {
		t.Errorf("%d standings, %+v, %v", said.Standings.Len(), st, err)
	}
	file, err := w.store.Case(t.Context(), 1)
	if err != nil || file.Owner != "auth:bob" || file.Audit[0].Who != "jane" || file.Audit[0].Why != "lost his phone" || file.Gateway != "mx1" || len(file.Notices) != 1 {
		t.Errorf("%+v, %v", file, err)
	}
	for _, c := range []struct {
		status int
		says   string
		args   []string
	}{
		{2, "name one of auth=, user= and relay=", []string{"limit.owners", "client=192.0.2.1"}},
		{2, "name login=, too", []string{"limit.hosts", "client=192.0.2.1"}},
		{2, "not an IP address", []string{"limit.hosts", "client=bob", "login=x"}},
		{2, "not FIELD=VALUE", []string{"limit.owners", "bob"}},
		{2, "not FIELD=VALUE", []string{"limit.owners", "colour=red"}},
		{2, "nobody is called that", []string{"limit.owners", "auth="}},
		{2, "did you mean limit.owners", []string{"limit.owner", "auth=bob"}},
		{2, "only limits do", []string{"greylist.inbound", "client=192.0.2.1"}},
		{1, "no tier of it blocks", []string{"limit.told", "auth=bob"}},
		{1, "only observes", []string{"limit.watched", "auth=bob"}},
	} {
		w.cases(c.status, slices.Concat([]string{"open"}, c.args, []string{"--reason", "x"})...)
		want(t, w.err, regexp.QuoteMeta(c.says))
	}
	w.cases(2, "open", "limit.owners", "auth=bob", "--reason", " ")
	w.cases(2, "open", "limit.owners", "auth=bob")
}

func TestCaseListAndShow(t *testing.T) { onEachStore(t, testCaseListAndShow) }

func testCaseListAndShow(t *testing.T, put putStore) {
	w := newDeskWorld(t, put)
	evil := "x;touch y\n\x1b[31mred\u202e"
	w.cases(0, "open", "limit.owners", "auth="+evil, "--reason", "one", "--gateway", "mx1")
	w.cases(0, "open", "limit.hosts", "client=192.0.2.1", "login=x", "--reason", "two")
	w.hold(1, engine.PutHeld{Gateway: "mx1", Message: "1aaaaa-000000-00", At: 1795356528000, Size: 1234}, engine.PutHeld{Gateway: "mx2", Message: "1aaaaa-000000-01", At: 1795356529000})
	w.cases(0, "list")
	want(t, w.out, `^CASE  OPENED +WHO +POLICY/TIER +HELD +STATE\n2  .*client 192.0.2.1, login x +limit.hosts/hours +0 +blocked until 20.*\n1 .*"auth x;touch y\\n\\x1b\[31mred\\u202e" +limit.owners/block +2 +blocked\n$`)
	w.cases(0, "list", "--policy", "limit.hosts")
	want(t, w.out, `(?s)^CASE[^\n]*\n2[^\n]*\n$`)
	w.cases(0, "list", "--owner", "auth:"+evil, "--json")
	var list struct {
		FormatVersion string `json:"format_version"`
		Cases         []map[string]any
	}
	if err := json.Unmarshal([]byte(w.out), &list); err != nil || list.FormatVersion != "1.0" || len(list.Cases) != 1 {
		t.Fatalf("%v\n%s", err, w.out)
	}
	if c := list.Cases[0]; c["id"] != 1.0 || c["owner"] != "auth:"+evil || c["held"] != 2.0 || c["held_since"] != "2026-11-22T14:08:48Z" || c["state"] != "open" || c["blocks"] != true {
		t.Errorf("%v", c)
	}
	w.cases(0, "show", "1")
	want(t, w.out, `(?m)^case +1$`, `(?m)^policy +limit.owners, tier block$`, `(?m)^state +blocked$`, `(?m)^held +2 messages: 1 on mx1, 1 on mx2$`,
		`opened by jane on mx1: one`, `2026-11-22T14:08:48Z +mx1 1aaaaa-000000-00, 1234 bytes\n`, `of tier block, for notice.desk: due 20`)
	if strings.ContainsAny(w.out, "\x1b\u202e") {
		t.Errorf("%q", w.out)
	}
	w.cases(0, "show", "1", "--json")
	want(t, w.out, `"format_version": "1.0"`, `"messages": \[\n`, `"since": "2026-11-22T14:08:48Z"`, `"notices": \[`, `"audit": \[`)
	w.cases(1, "show", "99")
	want(t, w.err, "there is no such case")
	for _, bad := range []string{"x", "0", "-1", "1.5", ""} {
		w.cases(2, "show", "--", bad)
	}
	w.run(2, "case")
	w.run(2, "case", "delete")
}

func TestCaseDecide(t *testing.T) { onEachStore(t, testCaseDecide) }

func testCaseDecide(t *testing.T, put putStore) {
	w := newDeskWorld(t, put)
	w.cases(0, "open", "limit.owners", "auth=bob", "--reason", "one", "--gateway", "mx1")
	w.cases(0, "open", "limit.owners", "user=www-data", "--reason", "two", "--gateway", "mx1")
	w.hold(1, engine.PutHeld{Gateway: "mx1", Message: "1aaaaa-000000-00", At: 1}, engine.PutHeld{Gateway: "mx2", Message: "1aaaaa-000000-01", At: 1})
	w.hold(2, engine.PutHeld{Gateway: "mx1", Message: "1aaaaa-000000-02", At: 1})

	w.cases(2, "release", "1")
	w.cases(2, "release", "1", "--reason", "")
	w.cases(2, "release", "--reason", "x")
	w.cases(0, "release", "1", "--reason", "fine", "--dry-run")
	want(t, w.out, `^case 1 \(auth bob\) would be released, and the block lifted within two seconds; by exipold desk there would be thawed and delivered: 2 messages: 1 on mx1, 1 on mx2; lower limits hold until 20`)
	if file, err := w.store.Case(t.Context(), 1); err != nil || file.State != "open" || file.Held[0].Wanted != "" {
		t.Fatalf("a dry run did something: %+v, %v", file, err)
	}
	w.cases(1, "release", "1", "99", "--reason", "password changed", "--gateway", "mx2")
	want(t, w.out, `^case 1 .* is released, .* are thawed and delivered`)
	want(t, w.err, "case 99: there is no such case")
	file, err := w.store.Case(t.Context(), 1)
	last := file.Audit[len(file.Audit)-1]
	if err != nil || file.State != "released" || file.Held[0].Wanted != "thaw" || last.Who != "jane" || last.Why != "password changed" || last.Gateway != "mx2" || last.Did != "released" {
		t.Errorf("%+v, %v", file, err)
	}
	r, err := w.store.Runtime(t.Context(), time.Now().UnixMilli())
	st, _ := r.Standings.Find("limit.owners", "auth:bob")
	if day := time.Until(time.UnixMilli(st.Probation)); err != nil || day < 23*time.Hour || day > 24*time.Hour {
		t.Errorf("%+v, %v", st, err)
	}
	w.cases(1, "release", "1", "--reason", "again")
	want(t, w.err, `case 1 is released since 20\S+ already`)

	w.cases(0, "remove", "2", "--reason", "spam", "--json")
	want(t, w.out, `"dry_run": false`, `"released": false`, `"removed": true`, `"held": 1`, `"mx1": 1`)
	if file, err := w.store.Case(t.Context(), 2); err != nil || file.State != "open" || file.Held[0].Wanted != "remove" {
		t.Errorf("%+v, %v", file, err)
	}
	w.cases(0, "remove", "2", "--release", "--reason", "spam")
	want(t, w.out, `is released, and the block lifted within two seconds; by exipold desk there are removed: 1 message on mx1; lower limits`)
	if file, err := w.store.Case(t.Context(), 2); err != nil || file.State != "released" || file.Held[0].Wanted != "remove" {
		t.Errorf("%+v, %v", file, err)
	}
	w.cases(0, "list", "--all")
	want(t, w.out, `(?s)2 .* released 20.*1 .* released 20`)
}

func TestNoCases(t *testing.T) {
	dir := t.TempDir()
	if err := writePlan(dir, "plan.json", nil); err != nil {
		t.Fatal(err)
	}
	w := &deskWorld{t: t, plan: filepath.Join(dir, "plan.json")}
	w.run(0, "migrate", "--plan", w.plan)
	w.cases(1, "list")
	want(t, w.err, "no policy of this plan blocks or notifies")
	w.run(0, "desk", "--plan", w.plan, "--once", "--exim", "/bin/false")
}

// TestCaseWithoutHelper: where no exipold runs, Exim goes by the file of blocks, and what is decided stands there at once.
func TestCaseWithoutHelper(t *testing.T) { onEachStore(t, testCaseWithoutHelper) }

func testCaseWithoutHelper(t *testing.T, put putStore) {
	w := newDeskWorld(t, put)
	p, err := helper.ReadPlan(w.plan)
	if err != nil {
		t.Fatal(err)
	}
	p.Blocked = filepath.Join(w.dir, "blocked")
	for i := range p.Limits {
		p.Limits[i].OnFailure = plan.LastKnown
	}
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.plan, b, 0o644); err != nil {
		t.Fatal(err)
	}
	known := func() string {
		text, err := os.ReadFile(p.Blocked)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	w.cases(0, "open", "limit.owners", "auth=bob", "--reason", "lost his phone")
	want(t, known(), `^`+wire.BlockedKey("limit.owners", "auth:bob")+`: v=1 verdict=freeze by=limit.owners/block/block waive=no end=1\n$`)
	w.cases(0, "release", "1", "--reason", "found it", "--dry-run")
	if known() == "" {
		t.Error("a dry run lifted it")
	}
	w.cases(0, "release", "1", "--reason", "found it")
	if got := known(); got != "" {
		t.Errorf("released, and the file has %q", got)
	}
}
