package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/store"
	"exipol/helper/testplan"
	"exipol/internal/mysqltest"
)

// serverWorld is a plan whose store is on a real server, and the doctor who looks at it.
type serverWorld struct {
	t    *testing.T
	plan *plan.Plan
	as   account // that exipold runs as
	runs *helper.Status
}

// newServerWorld makes the store. exipold has the rights of who runs the tests.
func newServerWorld(t *testing.T, s plan.Store) *serverWorld {
	t.Helper()
	p := testplan.New(openDir(t))
	onServer(s)(p)
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	made, err := openStore(t.Context(), p, storeOptions{create: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Close(); err != nil {
		t.Fatal(err)
	}
	return &serverWorld{t: t, plan: p, as: account{name: "exipold", uid: uint32(os.Geteuid())}}
}

// says has the doctor look at the store, and compares all that he says of one thing with patterns.
func (w *serverWorld) says(check string, patterns ...string) {
	w.t.Helper()
	d := &doctor{plan: w.plan, planFile: "plan.json", helper: w.as, known: true, running: w.runs}
	d.checkStore(w.t.Context())
	var all strings.Builder
	d.print(&all)
	if password, err := os.ReadFile(w.plan.Store.PasswordFile); err == nil && strings.Contains(all.String(), strings.TrimSpace(string(password))) {
		w.t.Errorf("the doctor shows the password:\n%s", &all)
	}
	found := d.found(check)
	for _, p := range patterns {
		want(w.t, found, p)
	}
	if len(patterns) == 0 && found != "" {
		w.t.Errorf("%s: %s", check, found)
	}
}

// changed runs one more look with a plan's store that is another one.
func (w *serverWorld) changed(change func(*plan.Store)) *serverWorld {
	p, s := *w.plan, w.plan.Store
	change(&s)
	p.Store = s
	return &serverWorld{t: w.t, plan: &p, as: w.as, runs: w.runs}
}

// What the doctor says of a server's settings, each as a real server has it.
func TestDoctorOfServer(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t, mysqltest.WithArgs("--log-bin=bin", "--server-id=1", "--sync-binlog=1", "--binlog-format=ROW"))
	database := server.Database()
	database.Connections = 8
	w := newServerWorld(t, database)
	name := w.plan.Store.Database
	at := `host: ` + strings.ReplaceAll(server.Addr(), ".", `\.`) + `: `
	w.says("host", `^ok +`+at+`it is 10\.\S+, and can be used\n$`)
	w.says("store", `^ok +store: `+name+` at \S+ has what this plan needs\n`)
	w.says("password", `^ok +password: exipold \(user exipold\) can read \S+\n$`)

	for _, c := range []struct{ change, back, want string }{
		{"SET GLOBAL innodb_flush_log_at_trx_commit = 2", "SET GLOBAL innodb_flush_log_at_trx_commit = 1", `^warning +` + at + `innodb_flush_log_at_trx_commit is 2: a crash of it loses up to a second of counts.*\n +mend: SET GLOBAL innodb_flush_log_at_trx_commit = 1`},
		{"SET GLOBAL sync_binlog = 0", "SET GLOBAL sync_binlog = 1", `^warning +` + at + `sync_binlog is 0: .*\n +mend: SET GLOBAL sync_binlog = 1`},
		{"SET GLOBAL binlog_format = STATEMENT", "SET GLOBAL binlog_format = ROW", `(?m)^error +` + at + `binlog_format is STATEMENT, .*\n +mend: binlog_format = ROW`},
		{"SET GLOBAL max_allowed_packet = 1048576", "SET GLOBAL max_allowed_packet = 16777216", `^error +` + at + `max_allowed_packet is 1024 KiB: .*\n +mend: max_allowed_packet = 16M`},
		{"SET GLOBAL max_connections = 13", "SET GLOBAL max_connections = 100", `^warning +` + at + `max_connections is 13, and 1 gateway with store\.connections = 8 may want 14\n +mend: SET GLOBAL max_connections = 17`},
		{"REVOKE INSERT, DROP ON " + name + ".* FROM " + name + "@'%'", "GRANT INSERT, DROP ON " + name + ".* TO " + name + "@'%'", `^error +` + at + `user ` + name + ` lacks rights on ` + name + `: INSERT, DROP\n +mend: as INSTALL\.txt says, GRANT INSERT, DROP ON`},
		{"GRANT ALL ON *.* TO " + name + "@'%'", "REVOKE ALL ON *.* FROM " + name + "@'%'", `^warning +` + at + `user ` + name + ` has rights over the whole server that exipold does not need \(ALL PRIVILEGES\): .*\n +mend: REVOKE`},
		{"GRANT SELECT, RELOAD ON *.* TO " + name + "@'%' WITH GRANT OPTION", "REVOKE SELECT, RELOAD, GRANT OPTION ON *.* FROM " + name + "@'%'", `^warning +` + at + `user ` + name + ` has rights over the whole server .*\(SELECT, RELOAD, GRANT OPTION\)`},
		{"GRANT SELECT ON other_site.* TO " + name + "@'%'", "REVOKE SELECT ON other_site.* FROM " + name + "@'%'", `^warning +` + at + `user ` + name + ` may use other databases \(other_site\)`},
		{"CREATE TABLE " + name + ".old (id INT) ENGINE = MyISAM", "DROP TABLE " + name + ".old", `^error +` + at + `not all tables are InnoDB \(old\): .*\n +mend: ALTER TABLE`},
	} {
		server.Exec(c.change)
		if strings.HasPrefix(c.change, "SET GLOBAL binlog_format") { // with which the store could not be opened either
			w.looked(c.want)
		} else {
			w.says("host", c.want)
		}
		server.Exec(c.back)
	}
	w.says("host", `^ok +`+at+`it is 10\.\S+, and can be used\n$`)

	server.Exec("DROP TABLE " + name + ".counter")
	w.says("store", `^error +store: store `+name+` at \S+ the store, or a part of it that this plan needs, does not exist: run exipold migrate \(\d+ statements? to run\)\n +mend: exipold migrate --plan plan\.json\n$`)

	server.ReadOnly()
	w.looked(`^error +` + at + `it cannot be written to: read_only is on\n +mend: where it is to be the one that is written to, SET GLOBAL read_only = 0`)
}

// looked is says of the hosts alone, for a server at which no store can be opened.
func (w *serverWorld) looked(pattern string) {
	w.t.Helper()
	d := &doctor{plan: w.plan, helper: w.as, known: true}
	all, usable := d.askServers(w.t.Context())
	if !usable {
		w.t.Errorf("no answer: %s", d.found("host"))
	}
	d.judgeServers(w.t.Context(), all, nil)
	want(w.t, d.found("host"), pattern)
}

// Who comes in, and how, is found out before anything else.
func TestDoctorOfDoors(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t, mysqltest.WithTLS("127.0.0.1"))
	w := newServerWorld(t, server.Database())
	file := w.plan.Store.PasswordFile
	password, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := openDir(t)
	put := func(name, text string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	passwordIn := func(path string) *serverWorld {
		return w.changed(func(s *plan.Store) { s.PasswordFile = path })
	}
	passwordIn(dir+"/none").says("password", `^error +password: .*no such file.*\n +mend: write the password into it, and chown root:exipold \S+; chmod 0640 \S+\n$`)
	passwordIn(put("open", string(password), 0o644)).says("password", `^error +password: .*others than its owner and group can get at it.*\n +mend: chown root:exipold \S+; chmod 0640 `)
	wrong := passwordIn(put("wrong", "not it\n", 0o600))
	wrong.says("host", `^error +host: \S+: the database server refuses this user .*Access denied.*\n +mend: compare the database, the user, from where it may come, and its password`)
	wrong.says("store") // nothing else is worth a word
	w.changed(func(s *plan.Store) { s.Database = "no_such" }).says("host", `^error +host: \S+: the database server refuses this user`)

	if os.Geteuid() == 0 {
		other := *w
		other.as = account{name: "exipold", uid: stranger, gids: []uint32{stranger}}
		other.changed(func(s *plan.Store) { s.PasswordFile = put("mine", string(password), 0o600) }).
			says("password", `^error +password: exipold \(user exipold\) cannot read `+dir+`/mine: `+dir+`/mine belongs to .* has the mode 0600\n +mend: chown root:exipold `+dir+`/mine; chmod 0640 `)
	}

	// Encryption.
	verified := w.changed(func(s *plan.Store) { s.TLS, s.CAFile = plan.TLSVerified, server.CAFile() })
	verified.says("host", `^ok +host: \S+: it is .*, and can be used, encrypted\n$`)
	verified.says("certificates", `^ok +certificates: exipold \(user exipold\) can read `)
	w.changed(func(s *plan.Store) { s.TLS, s.CAFile = plan.TLSVerified, mysqltest.OtherCA(t) }).
		says("host", `^error +host: \S+: .*certificate.*\n +mend: let ca_file name who vouches for its certificate, and hosts name it as the certificate does`)
	w.changed(func(s *plan.Store) { s.TLS, s.CAFile = plan.TLSVerified, dir+"/none.pem" }).
		says("certificates", `^error +certificates: `+dir+`/none\.pem is not there\n +mend: put it there`)
	plain := newServerWorld(t, mysqltest.Shared(t).Database())
	plain.changed(func(s *plan.Store) { s.TLS = plan.TLSRequired }).
		says("host", `^error +host: \S+: .*TLS.*\n +mend: let the server have a certificate`)

	// Hosts that are not there: an error where no other is.
	proxy := mysqltest.NewProxy(t, server.Addr())
	proxy.Refuse()
	w.changed(func(s *plan.Store) { s.Hosts = []string{proxy.Addr()} }).
		says("host", `^error +host: `+proxy.Addr()+`: .*refused.*\n +mend: start it, or open the way to it`)
	w.changed(func(s *plan.Store) { s.Hosts = []string{proxy.Addr(), server.Addr()} }).
		says("host", `(?m)^warning +host: `+proxy.Addr()+`: .*refused.*\n +mend: start it, .*the other hosts are in use meanwhile\n`, `(?m)^ok +host: `+server.Addr())
}

// A gateway's namesake, and what a running exipold says of its store.
func TestDoctorOfSharing(t *testing.T) {
	t.Parallel()
	w := newServerWorld(t, mysqltest.Shared(t).Database())
	s, err := openStore(t.Context(), w.plan, storeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	started := s.Now().Add(-time.Hour).Truncate(time.Second)
	w.runs = &helper.Status{Gateway: "mx1", Started: started, Store: store.Health{Kind: plan.MySQL}}
	seen := func(g store.Gateway) {
		t.Helper()
		if err := s.SeeGateway(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	seen(store.Gateway{Name: "mx1", Started: started.Add(123 * time.Millisecond).UnixMilli()})
	seen(store.Gateway{Name: "mx2", Started: 1})
	w.says("gateway")
	seen(store.Gateway{Name: "mx1", Started: started.Add(-time.Minute).UnixMilli()})
	w.says("gateway", `^error +gateway: another exipold that shares the store calls itself mx1, too \(started \S+, seen \S+\): .*\n +mend: start each with a name of its own`)

	// Two gateways: what they want together.
	mx := newServerWorld(t, mysqltest.Shared(t).Database())
	many := mx.changed(func(s *plan.Store) { s.Connections = 64 })
	m, err := openStore(t.Context(), mx.plan, storeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := m.SeeGateway(t.Context(), store.Gateway{Name: fmt.Sprintf("mx%d", i), Started: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	many.says("host", `^warning +host: \S+: max_connections is \d+, and 3 gateways with store\.connections = 64 may want 210\n`)

	d := &doctor{plan: w.plan, running: &helper.Status{Store: store.Health{Kind: plan.MySQL, Away: "db1:3306: it hangs", Since: started, Slow: true}}}
	d.checkHealth()
	want(t, d.found("store"), `(?m)^error +store: exipold has no database since \S+: db1:3306: it hangs\n`, `(?m)^warning +store: replicas, or nodes of the cluster, lag`)
}

// A server's clock that is not this host's.
func TestDoctorOfClocks(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t, mysqltest.WithClock(time.Minute))
	w := newServerWorld(t, server.Database())
	w.says("host", `^warning +host: \S+: its clock and this host's differ by (59\.\d|1m0(\.\d)?)s?: .*\n +mend: let both keep the time`)
}

// A cluster of two is none, a node that is cut off is of no use, and timeouts that are too long keep it looking well.
func TestDoctorOfCluster(t *testing.T) {
	t.Parallel()
	g := mysqltest.Cluster(t, 2)
	w := newServerWorld(t, g.Database())
	each := `(?m)^warning +host: ` + g.Nodes[0].Addr() + `: `
	w.says("host", each+`its cluster has 2 nodes: when one is lost, the other is no majority, and both stop\n`, `\n +mend: bring up the third; one that only votes`)
	found := func() string {
		d := &doctor{plan: w.plan, helper: w.as, known: true}
		all, _ := d.askServers(t.Context())
		d.judgeServers(t.Context(), all, nil)
		return d.found("host")
	}
	if got := found(); strings.Contains(got, "evs.") || strings.Contains(got, "wsrep_sync_wait") {
		t.Errorf("the timeouts are those that are recommended:\n%s", got)
	}
	g.Nodes[0].Exec("SET GLOBAL wsrep_provider_options = 'evs.inactive_timeout=PT15S'")
	g.Nodes[0].Exec("SET GLOBAL wsrep_provider_options = 'evs.suspect_timeout=PT5S'")
	g.Nodes[0].Exec("SET GLOBAL wsrep_sync_wait = 1")
	want(t, found(), each+`evs\.suspect_timeout is PT5S: .*\n +mend: evs\.suspect_timeout=PT3S in wsrep_provider_options`, each+`evs\.inactive_timeout is PT15S: .*\n +mend: evs\.inactive_timeout=PT6S`, each+`wsrep_sync_wait is 1: `)
	g.Nodes[0].Exec("SET GLOBAL wsrep_sync_wait = 0")
	g.Isolate(1)
	g.Wait(1, "wsrep_cluster_status", "non-Primary")
	want(t, found(), `(?m)^warning +host: `+g.Nodes[1].Addr()+`: it is not in the primary component of its cluster: non-Primary\n +mend: SHOW STATUS LIKE 'wsrep%'`)
}
