package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/internal/mysqltest"
)

// What servers say of rights, in the words of MariaDB and of MySQL.
func TestJudgeRights(t *testing.T) {
	const usage = "GRANT USAGE ON *.* TO `exipol`@`%` IDENTIFIED BY PASSWORD '*B69027D44F6E5EDC07F1AEAD1477967B16F28227'"
	const needed = "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER ON "
	for name, c := range map[string]struct {
		grants []string
		want   string // missing; server; others; roles
	}{
		"as INSTALL.txt has it":      {[]string{usage, needed + "`ex\\_ipol`.* TO `exipol`@`%`"}, ";;;"},
		"another's by the pattern":   {[]string{usage, needed + "`ex\\_ipolx`.* TO `exipol`@`%`"}, "SELECT,INSERT,UPDATE,DELETE,CREATE,ALTER,INDEX,DROP;;ex\\_ipolx;"},
		"any character":              {[]string{needed + "`ex_ip%`.* TO `exipol`@`%`"}, ";;;"},
		"all of the database":        {[]string{"GRANT ALL PRIVILEGES ON `ex_ipol`.* TO `exipol`@`%`"}, ";;;"},
		"some of a table":            {[]string{needed + "`ex_ipol`.`counter` TO `exipol`@`%`"}, "SELECT,INSERT,UPDATE,DELETE,CREATE,ALTER,INDEX,DROP;;;"},
		"of columns":                 {[]string{"GRANT SELECT (`a`, `b`), INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER ON `ex_ipol`.* TO `exipol`@`%`"}, "SELECT;;;"},
		"all of the server":          {[]string{"GRANT ALL PRIVILEGES ON *.* TO `exipol`@`%` IDENTIFIED BY PASSWORD '*B6' WITH GRANT OPTION"}, ";ALL PRIVILEGES,GRANT OPTION;;"},
		"what looks only is no harm": {[]string{"GRANT REPLICATION CLIENT, SLAVE MONITOR, BINLOG MONITOR ON *.* TO `exipol`@`%`", needed + "`ex_ipol`.* TO `exipol`@`%`"}, ";;;"},
		"MySQL's dynamic ones":       {[]string{"GRANT SELECT ON *.* TO `exipol`@`%`", "GRANT SYSTEM_USER,XA_RECOVER_ADMIN ON *.* TO `exipol`@`%`", needed + "`ex_ipol`.* TO `exipol`@`%`"}, ";SELECT,SYSTEM_USER,XA_RECOVER_ADMIN;;"},
		"by a role":                  {[]string{usage, "GRANT `mail`@`%` TO `exipol`@`%`"}, "SELECT,INSERT,UPDATE,DELETE,CREATE,ALTER,INDEX,DROP;;;roles"},
		"a backquote in a name":      {[]string{needed + "`o``ther`.* TO `exipol`@`%`", needed + "`ex_ipol`.* TO `exipol`@`%`"}, ";;o`ther;"},
		"nothing":                    {[]string{usage}, "SELECT,INSERT,UPDATE,DELETE,CREATE,ALTER,INDEX,DROP;;;"},
	} {
		r := judgeRights(c.grants, "ex_ipol")
		roles := ""
		if r.roles {
			roles = "roles"
		}
		got := strings.Join([]string{strings.Join(r.missing, ","), strings.Join(r.server, ","), strings.Join(r.others, ","), roles}, ";")
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// wellNode is a node with which nothing is wrong.
func wellNode() serverFacts {
	return serverFacts{
		host: "db1:3306", version: "10.11.6-MariaDB",
		variables: map[string]string{
			"wsrep_on": "ON", "wsrep_provider": "/usr/lib/galera/libgalera_smm.so", "wsrep_sync_wait": "0", "innodb_flush_log_at_trx_commit": "1", "log_bin": "OFF",
			"max_allowed_packet": "16777216", "max_connections": "500",
			"wsrep_provider_options": "base_dir = /var/lib/mysql/; evs.inactive_timeout = PT4S; evs.suspect_timeout = PT2S; gcache.size = 512M; ",
		},
		status:  map[string]string{"wsrep_cluster_status": "Primary", "wsrep_cluster_size": "3", "wsrep_ready": "ON", "wsrep_local_state_comment": "Synced"},
		grants:  []string{"GRANT ALL PRIVILEGES ON `exipol`.* TO `exipol`@`%`"},
		engines: map[string]string{"seen": "InnoDB"},
		cipher:  "TLS_AES_256_GCM_SHA384",
	}
}

// What a test cannot bring a real server to.
func TestJudgeServer(t *testing.T) {
	s := plan.Store{Kind: plan.MySQL, Hosts: []string{"db1:3306"}, Database: "exipol", User: "exipol", TLS: plan.TLSVerified, Connections: 8}
	for name, c := range map[string]struct {
		change   func(*serverFacts)
		only     bool
		gateways int
		want     []string // "level text", of each finding the beginning
	}{
		"well":           {func(*serverFacts) {}, true, 3, []string{"ok db1:3306: it is 10.11.6-MariaDB, a cluster of 3 nodes, and can be used, encrypted"}},
		"too old":        {func(f *serverFacts) { f.version = "10.5.22-MariaDB" }, true, 1, []string{"error db1:3306: it is 10.5.22-MariaDB, too old"}},
		"MySQL 5.7":      {func(f *serverFacts) { f.version = "5.7.44-log" }, true, 1, []string{"error db1:3306: it is 5.7.44-log, too old"}},
		"donor":          {func(f *serverFacts) { f.status["wsrep_local_state_comment"] = "Donor/Desynced" }, false, 1, []string{"warning db1:3306: it is not in step with its cluster: Donor/Desynced"}},
		"joining, alone": {func(f *serverFacts) { f.status["wsrep_local_state_comment"] = "Joining: receiving State Transfer" }, true, 1, []string{"error db1:3306: it is not in step"}},
		"not ready":      {func(f *serverFacts) { f.status["wsrep_ready"] = "OFF" }, true, 1, []string{"error db1:3306: it takes no statements"}},
		"no primary":     {func(f *serverFacts) { f.status["wsrep_cluster_status"] = "Disconnected" }, true, 1, []string{"error db1:3306: it is not in the primary component of its cluster: Disconnected"}},
		"rejects":        {func(f *serverFacts) { f.variables["wsrep_reject_queries"] = "ALL" }, false, 1, []string{"warning db1:3306: it rejects statements"}},
		"the last node":  {func(f *serverFacts) { f.status["wsrep_cluster_size"] = "1" }, false, 1, []string{"warning db1:3306: its cluster has no other node"}},
		"Galera's defaults": {func(f *serverFacts) {
			f.variables["wsrep_provider_options"] = "evs.inactive_timeout = PT15S; evs.suspect_timeout = PT5S"
		}, false, 1, []string{"warning db1:3306: evs.suspect_timeout is PT5S", "warning db1:3306: evs.inactive_timeout is PT15S"}},
		"relaxed in cluster": {func(f *serverFacts) { f.variables["innodb_flush_log_at_trx_commit"] = "0" }, false, 1, []string{"warning db1:3306: innodb_flush_log_at_trx_commit is 0: when all nodes lose their power at once"}},
		"Galera's own log":   {func(f *serverFacts) { f.variables["log_bin"], f.variables["sync_binlog"] = "ON", "0" }, false, 1, []string{"ok "}},
		"for one user":       {func(f *serverFacts) { f.variables["max_user_connections"] = "20" }, false, 2, []string{"warning db1:3306: max_user_connections is 20, and 2 gateways with store.connections = 8 may want 28"}},
		"no limit":           {func(f *serverFacts) { f.variables["max_user_connections"] = "0" }, false, 30, []string{"ok "}},
		"its clock":          {func(f *serverFacts) { f.skew = -1999 * time.Millisecond }, false, 1, []string{"ok "}},
		"behind":             {func(f *serverFacts) { f.skew = -2100 * time.Millisecond }, false, 1, []string{"warning db1:3306: its clock and this host's differ by 2.1s"}},
		"in the open":        {func(f *serverFacts) { f.cipher = "" }, false, 1, []string{"error db1:3306: the connection is not encrypted"}},
		"a socket":           {func(f *serverFacts) { f.host, f.cipher = "/run/mysqld/mysqld.sock", "" }, false, 1, []string{"ok "}},
		"by roles":           {func(f *serverFacts) { f.grants = []string{"GRANT `r` TO `exipol`@`%`"} }, false, 1, []string{"warning db1:3306: user exipol may lack rights on exipol, unless its roles give them"}},
	} {
		f := wellNode()
		c.change(&f)
		got := judgeServer(f, s, c.only, c.gateways)
		if len(got) != len(c.want) {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		for i, w := range c.want {
			if text := got[i].Level + " " + got[i].Text; !strings.HasPrefix(text, w) || got[i].Level != fine && got[i].Mend == "" {
				t.Errorf("%s: %q, mend %q; want %q", name, text, got[i].Mend, w)
			}
		}
	}
}

// The doctor is content with the timeouts that docs/operations.md recommends, and with those of the tests' clusters.
func TestTimeoutsOfClusters(t *testing.T) {
	b, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(b), `wsrep_provider_options   = "`)
	recommended, _, closed := strings.Cut(rest, `"`)
	if !found || !closed {
		t.Fatal("docs/operations.md has no wsrep_provider_options")
	}
	for where, text := range map[string]string{"docs/operations.md": recommended, "mysqltest": mysqltest.Timeouts} {
		options := providerOptions(text)
		suspect, ok := isoDuration(options["evs.suspect_timeout"])
		inactive, too := isoDuration(options["evs.inactive_timeout"])
		if !ok || !too || suspect > mostSuspect || inactive > mostInactive {
			t.Errorf("%s has %s", where, text)
		}
	}
}

func TestISODuration(t *testing.T) {
	for text, want := range map[string]time.Duration{"PT5S": 5 * time.Second, "PT0.25S": 250 * time.Millisecond, "PT1M30S": 90 * time.Second, "P1DT1H": 25 * time.Hour, "": -1, "PT": -1, "5S": -1, "PT1.2.3S": -1} {
		got, ok := isoDuration(text)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %s, %v", text, got, ok)
		}
	}
}
