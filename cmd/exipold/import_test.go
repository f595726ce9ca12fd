package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store"
	"exipol/helper/testplan"
)

// importSite is a plan with policies that imports can go to, and its store.
type importSite struct {
	t   *testing.T
	dir string
	p   *plan.Plan
	st  store.Store
}

func newImportSite(t *testing.T, put putStore) *importSite {
	t.Helper()
	dir := t.TempDir()
	change := func(p *plan.Plan) {
		hour := plan.Duration(time.Hour)
		blocks := func(name, traffic, event string, key plan.Part) plan.Limit {
			return plan.Limit{
				Name: name, Traffic: traffic, Events: []plan.WeightedEvent{{Event: event, Weight: 1}}, Key: []plan.Part{key},
				Engine: plan.EngineHelper, Mode: plan.Enforce, OnFailure: plan.LastKnown, Windows: []plan.Duration{hour},
				Tiers: []plan.Tier{{
					Name: "block", Over: []plan.Rate{{Count: 1, Per: hour}}, Verdict: plan.Accept, Notify: []string{"notice.desk"},
					Block: &plan.Block{At: plan.Rcpt, Traffics: []string{traffic}, Verdict: plan.Freeze},
				}},
			}
		}
		p.Notices = []plan.Notice{{Name: "desk", Mail: []string{"abuse@example.com"}}}
		watches := blocks("bounces", "", plan.Bounce, plan.Part{Field: "auth"})
		watches.Tiers[0].Block.Traffics = []string{plan.Submission}
		p.Limits = append(p.Limits, watches, // it fits, too, but less well
			blocks("stolen", plan.Submission, plan.InvalidRecipient, plan.Part{Field: "auth"}),
			blocks("relays", plan.Relay, plan.InvalidRecipient, plan.Part{Field: "client", V4: 32, V6: 128}),
			blocks("owners", plan.Relay, plan.InvalidRecipient, plan.Part{Field: "owner"}))
		p.Tables = plan.Tables(plan.Needs{Counter: true, Distinct: true, Desk: true, Log: true})
		put(p)
	}
	if err := writePlan(dir, "plan.json", change); err != nil {
		t.Fatal(err)
	}
	s := &importSite{t: t, dir: dir, p: testplan.New(dir)}
	change(s.p)
	s.st = openPlanned(t, filepath.Join(dir, "plan.json"))
	return s
}

// do runs exipold and wants an exit status of it.
func (s *importSite) do(status int, args ...string) (stdout, stderr string) {
	s.t.Helper()
	var out, said bytes.Buffer
	args = append(args, "--plan", filepath.Join(s.dir, "plan.json"))
	if got := run(args, strings.NewReader(""), &out, &said); got != status {
		s.t.Fatalf("%v: exit status %d, want %d\n%s%s", args, got, status, out.String(), said.String())
	}
	return out.String(), said.String()
}

func (s *importSite) file(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// imports runs an import and wants these numbers: imported, known, old, released, not read.
func (s *importSite) imports(want string, args ...string) importReport {
	s.t.Helper()
	status := 3
	if strings.HasSuffix(want, " 0") {
		status = 0
	}
	out, _ := s.do(status, append([]string{"import", "--json"}, args...)...)
	var r importReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
	if got := fmt.Sprint(r.Imported, r.Known, r.Old, r.Released, r.NotRead); got != want {
		s.t.Errorf("%v: imported, known, old, released, not read: %s, want %s\n%s", args, got, want, out)
	}
	return r
}

// with runs f on the store.
func (s *importSite) with(f func(store.Store) error) {
	s.t.Helper()
	if err := f(s.st); err != nil {
		s.t.Fatal(err)
	}
}

// rows is how much is in each table, and for which policy.
func (s *importSite) rows() string {
	var out string
	s.with(func(st store.Store) error {
		stats, err := st.Stats(s.t.Context(), time.Now().UnixMilli())
		b, _ := json.Marshal(stats.Tables)
		out = string(b)
		return err
	})
	return out
}

// cases are the open cases: policy and whom.
func (s *importSite) cases() (open []string) {
	s.with(func(st store.Store) error {
		all, err := st.Cases(s.t.Context(), store.CaseFilter{Now: time.Now().UnixMilli()})
		for _, c := range all {
			open = append(open, c.Policy+" "+c.Who+" "+c.Owner)
		}
		return err
	})
	slices.Sort(open)
	return open
}

func TestImportBlocked(t *testing.T) { onEachStore(t, testImportBlocked) }

func testImportBlocked(t *testing.T, put putStore) {
	t.Parallel()
	s := newImportSite(t, put)
	users := s.file("blocked_authenticated_users", "bob@example.com\n# eve\nx;touch y\n\"$(id) \\\"${run{/bin/true}}: é\"\nbob@example.com\n:none\n")
	s.imports("3 1 0 0 1", "blocked-users", "--dry-run", users)
	if open := s.cases(); len(open) != 0 {
		t.Fatalf("after a dry run: %q", open)
	}
	r := s.imports("3 1 0 0 1", "blocked-users", users)
	if len(r.Problems) != 1 || r.Problems[0].Line != 6 || r.Problems[0].File != users {
		t.Errorf("problems: %+v", r.Problems)
	}
	relays := s.file("blocked_relay_users", "192.0.2.7\n2001:db8::7\n192.0.2.7\nradius-id\n")
	s.imports("2 1 0 0 1", "blocked-relays", relays) // its key is an address
	s.imports("3 1 0 0 0", "blocked-relays", "--policy", "limit.owners", relays)
	want := []string{
		`limit.owners relay 192.0.2.7 relay:192.0.2.7`, `limit.owners relay 2001:db8::7 relay:2001:db8::7`, `limit.owners relay radius-id relay:radius-id`,
		`limit.relays client 192.0.2.7 relay:192.0.2.7`, `limit.relays client 2001:db8::7 relay:2001:db8::7`,
		`limit.stolen auth $(id) "${run{/bin/true}}: é auth:$(id) "${run{/bin/true}}: é`, `limit.stolen auth bob@example.com auth:bob@example.com`, `limit.stolen auth x;touch auth:x;touch`,
	}
	if open := s.cases(); !slices.Equal(open, want) {
		t.Errorf("open cases:\n%s\nwant\n%s", strings.Join(open, "\n"), strings.Join(want, "\n"))
	}

	// Again: nothing. Nobody was told, and it is known who did it and why.
	before := s.rows()
	s.imports("0 4 0 0 1", "blocked-users", users)
	if after := s.rows(); after != before {
		t.Errorf("twice is not once:\n%s\n%s", before, after)
	}
	s.with(func(st store.Store) error {
		all, err := st.Cases(t.Context(), store.CaseFilter{Policy: "limit.stolen", Owner: "auth:bob@example.com", Now: time.Now().UnixMilli()})
		if err != nil || len(all) != 1 {
			return fmt.Errorf("%v: %v", all, err)
		}
		file, err := st.Case(t.Context(), all[0].ID)
		if len(file.Notices) != 0 || len(file.Audit) != 1 || file.Audit[0].Why != "imported from "+users || !file.Blocks {
			t.Errorf("the case: %+v", file)
		}
		if err == nil {
			err = st.Decide(t.Context(), store.Decision{Case: all[0].ID, Release: true, Who: "jane", Why: "new password", At: time.Now().UnixMilli()})
		}
		return err
	})
	// Who was released meanwhile is not blocked again.
	s.imports("0 2 0 2 1", "blocked-users", users)
}

func TestImportUsage(t *testing.T) { onEachStore(t, testImportUsage) }

func testImportUsage(t *testing.T, put putStore) {
	t.Parallel()
	s := newImportSite(t, put)
	users := s.file("users", "bob\n")
	for _, args := range [][]string{{}, {"blocked"}, {"blocked-users"}, {"greylistd", users}, {"greylistd", "-", users}, {"blocked-users", "--policy", "limit.nosuch", users}} {
		s.do(2, append([]string{"import"}, args...)...)
	}
	for _, c := range []struct{ want, args string }{
		{"limit.relays does not fit: limit.stolen", "blocked-users --policy limit.relays " + users},
		{"no such file", "blocked-users " + users + ".not"},
		{"not what db5.3_dump prints", "postgrey " + users},
		{"not greylistd's file states", "greylistd " + users + " " + users},
	} {
		_, said := s.do(1, append([]string{"import"}, strings.Fields(c.args)...)...)
		if !strings.Contains(said, c.want) {
			t.Errorf("%s: %s", c.args, said)
		}
	}
	out, said := s.do(3, "import", "blocked-users", s.file("bad", "bob\n:\x1b[2J\n"), "--policy", "limit.stolen")
	if out != "1 record read, 1 imported into limit.stolen, 1 not read\n" || !strings.HasSuffix(said, "bad:2: there is no name before the colon\n") {
		t.Errorf("%q, %q", out, said)
	}
}

// verdict is what exipold would say to a contact.
func (s *importSite) verdict(client, sender, recipient string) string {
	s.t.Helper()
	out, _ := s.do(0, "ask", "--json", "greylist.inbound", "client="+client, "sender="+sender, "recipient="+recipient)
	var answer struct {
		Verdict string `json:"verdict"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
	return answer.Verdict
}

func (s *importSite) want(verdict, client, sender, recipient string) {
	s.t.Helper()
	if got := s.verdict(client, sender, recipient); got != verdict {
		s.t.Errorf("%s %s %s: %s, want %s", client, sender, recipient, got, verdict)
	}
}

// TestImportGreylistd imports what a real greylistd has written.
func TestImportGreylistd(t *testing.T) { onEachStore(t, testImportGreylistd) }

func testImportGreylistd(t *testing.T, put putStore) {
	t.Parallel()
	const program = "/usr/sbin/greylistd"
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no greylistd: scripts/setup test installs it")
		}
		t.Skip("no greylistd here: scripts/setup test installs it")
	}
	s := newImportSite(t, put)
	dir := filepath.Join(s.dir, "g")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	config := s.file("g/config", fmt.Sprintf("[timeouts]\nretryMin = 0\nretryMax = 28800\nexpire = 5184000\n[socket]\npath = %[1]s/socket\nmode = 0660\nowner = root\n[data]\nupdate = 600\nstatefile = %[1]s/states\ntripletfile = %[1]s/triplets\nsavetriplets = true\nsinglecheck = false\nsingleupdate = false\n", dir))
	cmd := exec.Command(program, config)
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	ask := func(line string) string {
		var d net.Dialer
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			conn, err := d.DialContext(t.Context(), "unix", dir+"/socket")
			if err != nil {
				if time.Now().After(end) {
					t.Fatal(err)
				}
				continue
			}
			_, err = io.WriteString(conn, line)
			if err == nil {
				err = conn.(*net.UnixConn).CloseWrite()
			}
			said, readErr := io.ReadAll(conn)
			conn.Close()
			if err != nil || readErr != nil {
				t.Fatal(err, readErr)
			}
			return strings.TrimSpace(string(said))
		}
	}
	contacts := []string{"192.0.2.7 Alice@Example.org bob@local.test", "2001:db8:1:2::7 news@list.example carol@local.test"}
	for _, c := range append(contacts, "198.51.100.9 eve@spam.example bob@local.test", "203.0.113.3 bob@local.test") {
		if said := ask("--grey " + c); said != "true" {
			t.Fatalf("%s: %s", c, said)
		}
	}
	time.Sleep(1100 * time.Millisecond) // greylistd counts whole seconds
	for _, c := range contacts {
		if said := ask("--grey " + c); said != "false" {
			t.Fatalf("%s again: %s", c, said)
		}
	}
	ask("add --black 192.0.2.66 x@y.example bob@local.test")
	ask("save")

	s.want(plan.Defer, "192.0.2.7", "alice@example.org", "bob@local.test")
	s.imports("4 0 0 0 0", "greylistd", "--dry-run", dir)
	r := s.imports("4 0 0 0 0", "greylistd", dir)
	if r.Read != 4 || !slices.Equal(r.Policies, []string{"greylist.inbound"}) || len(r.Remarks) != 1 || !strings.Contains(r.Remarks[0], "blacklist") {
		t.Errorf("%+v", r)
	}
	s.want(plan.Accept, "192.0.2.8", "alice@example.org", "bob@local.test") // of the same net
	s.want(plan.Accept, "2001:db8:1:2::9", "news@list.example", "carol@local.test")
	s.want(plan.Defer, "198.51.100.9", "eve@spam.example", "bob@local.test")
	s.want(plan.Defer, "192.0.3.7", "alice@example.org", "bob@local.test")
	before := s.rows()
	s.imports("0 4 0 0 0", "greylistd", filepath.Join(dir, "triplets"), filepath.Join(dir, "states"))
	if after := s.rows(); after != before {
		t.Errorf("twice is not once:\n%s\n%s", before, after)
	}
}

func TestImportPostgrey(t *testing.T) { onEachStore(t, testImportPostgrey) }

func testImportPostgrey(t *testing.T, put putStore) {
	t.Parallel()
	s := newImportSite(t, put)
	const head = "VERSION=3\nformat=print\ntype=btree\nHEADER=END\n"
	now := time.Now().Unix()
	pair := func(key string, values ...int64) string {
		return fmt.Sprintf(" %s\n %d,%d\n", key, values[0], values[1])
	}
	triplets := s.file("postgrey.dump", head+
		pair("192.0.2.0/alice@example.org/bob@local.test", now-900, now-600)+
		pair("192.0.2.0/eve@spam.example/bob@local.test", now-900, now-899)+
		pair("192.0.2.0/old@example.org/bob@local.test", now-100*86400, now-99*86400)+
		pair("da39a3ee5e6b4b0d3255bfef95601890afd80709", now, now)+"DATA=END\n")
	clients := s.file("postgrey_clients.dump", head+pair("198.51.100.7", 5, now-60)+pair("203.0.113.7", 1, now-60)+pair("203.0.113.8", 1, now-100*86400)+"DATA=END\n")
	s.want(plan.Defer, "198.51.100.200", "any@example.org", "bob@local.test")
	r := s.imports("4 0 2 0 1", "postgrey", triplets, clients)
	if r.Problems[0].Line != 11 || r.Problems[0].File != triplets {
		t.Errorf("%+v", r.Problems)
	}
	s.want(plan.Accept, "192.0.2.7", "alice@example.org", "bob@local.test")
	s.want(plan.Defer, "192.0.2.7", "old@example.org", "bob@local.test")
	s.want(plan.Accept, "198.51.100.200", "any@example.org", "bob@local.test") // the net is trusted
	s.want(plan.Defer, "203.0.113.7", "any@example.org", "bob@local.test")     // passed once, and two are needed
	// eve waits since, and her retry now is in time: it passes.
	s.want(plan.Accept, "192.0.2.7", "eve@spam.example", "bob@local.test")
	before := s.rows()
	s.imports("0 4 2 0 1", "postgrey", triplets, clients)
	if after := s.rows(); after != before {
		t.Errorf("twice is not once:\n%s\n%s", before, after)
	}
}

func TestImportTables(t *testing.T) { onEachStore(t, testImportTables) }

func testImportTables(t *testing.T, put putStore) {
	t.Parallel()
	s := newImportSite(t, put)
	now := time.Now().Unix()
	bounces := s.file("bounces.sql", fmt.Sprintf("INSERT INTO `Bounces` VALUES ('mx1:1abcde-000001-AB','bob','s@x',%d),('mx1:1abcde-000001-AB','bob','s@x',%[1]d),('mx1:1abcde-000002-AB','bob','s@x',%d),('mx1:x','bob','s@x',%d),('mx1:y','','s@x',1);\n", now-60, now-1800, now-30*3600))
	// Over the rate by now: but only the next bounce blocks him.
	s.imports("3 0 1 0 1", "bouncelist", "--dry-run", bounces)
	s.imports("3 0 1 0 1", "bouncelist", bounces)
	s.imports("0 3 1 0 1", "bouncelist", bounces)
	if open := s.cases(); len(open) != 0 {
		t.Errorf("an import has blocked: %q", open)
	}
	e, err := engine.New(s.p)
	if err != nil {
		t.Fatal(err)
	}
	s.with(func(st store.Store) error {
		var n int64
		var out engine.Outcome
		err := st.Batch(t.Context(), func(tx engine.Transaction) (err error) { // what counts is what it sees the last time that it is run
			if n, err = tx.Bounces("auth:bob", time.Now().Add(-time.Hour).UnixMilli()); err != nil {
				return err
			}
			out, err = e.Count(engine.Happening{Event: plan.Bounce, Class: "other", Traffic: plan.Submission, At: time.Now(), Gateway: "mx1", Message: "new", Item: "1", Auth: "bob"}, time.Now(), tx, engine.Live{})
			return err
		})
		if n != 3 {
			t.Errorf("bounces of the hour: %d", n)
		}
		if !engine.Opens(out.Writes) {
			t.Errorf("the next bounce opens no case: %+v", out.Writes)
		}
		return err
	})

	tarlist := s.file("tarlist.tsv", fmt.Sprintf("IP\ttstamp\n192.0.2.7\t%d\n192.0.2.7\t%[1]d\n192.0.2.7\t%d\n2001:db8:1234:56\t%[1]d\n192.0.2.8\t%[3]d\n", now-60, now-120, now-5*3600))
	s.imports("3 0 1 0 1", "tarlist", tarlist)
	s.imports("0 3 1 0 1", "tarlist", tarlist)
	iplist := s.file("iplist.tsv", "IP\n198.51.100.7\n")
	s.imports("1 0 0 0 0", "tarlist", iplist)
	s.want(plan.Accept, "198.51.100.9", "any@example.org", "bob@local.test")
	s.imports("0 1 0 0 0", "tarlist", iplist)
	out, _ := s.do(0, "ask", "limit.tarpit", "client=192.0.2.7", "sender=a@b", "recipient=nosuch@local.test")
	if !strings.Contains(out, "counts 4, over 2/4h") {
		t.Errorf("three offences and this one: %s", out)
	}
}

// An import that dies in the middle is repeated, and then all is there, once.
func TestImportRepeated(t *testing.T) { onEachStore(t, testImportRepeated) }

func testImportRepeated(t *testing.T, put putStore) {
	t.Parallel()
	s := newImportSite(t, put)
	now := time.Now().Unix()
	var text strings.Builder
	const n = 2*chunk + 7
	fmt.Fprint(&text, "IP\ttstamp\n")
	for range n {
		fmt.Fprintf(&text, "192.0.2.7\t%d\n", now-60)
	}
	whole := text.String()
	// In the middle of a line, of which nobody may believe the beginning.
	cut := whole[:strings.LastIndex(whole[:len(whole)*2/3], "\n")-3]
	had := strings.Count(cut, "\n") - 1
	s.imports(fmt.Sprint(had, " 0 0 0 1"), "tarlist", s.file("cut.tsv", cut))
	r := s.imports(fmt.Sprint(n-had, " ", had, " 0 0 0"), "tarlist", s.file("all.tsv", whole))
	if r.Imported+r.Known != n {
		t.Errorf("%d of %d", r.Imported+r.Known, n)
	}
	out, _ := s.do(0, "ask", "limit.tarpit", "client=192.0.2.7", "sender=a@b", "recipient=nosuch@local.test")
	if !strings.Contains(out, fmt.Sprintf("counts %d, over", n+1)) {
		t.Errorf("not each once: %s", out)
	}
}
