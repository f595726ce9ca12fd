package emit

import (
	"strings"
	"testing"

	"exipol/generator/plan"
)

// onServer is a plan whose store is on a server.
func onServer(t *testing.T, layout string, store plan.Store) *plan.Plan {
	t.Helper()
	p := installPlan(t, layout, "/etc/exim4/exipol")
	store.Kind, store.Database = plan.MySQL, "ex_ipol"
	p.Store, p.Blocked = store, "/var/lib/exipol/blocked"
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestInstallDatabase: the steps name who may come from where, give no more rights than that,
// and show no password. (That a server obeys them is for a test of exipold to show.)
func TestInstallDatabase(t *testing.T) {
	const password = "/srv/secrets/db"
	for name, c := range map[string]struct {
		store     plan.Store
		want, not []string
	}{
		"network": {
			plan.Store{Hosts: []string{"db1:3306", "127.0.0.1:3306"}, User: "exipol", PasswordFile: password, TLS: plan.TLSVerified, CAFile: "/etc/ca.pem"},
			[]string{
				"    CREATE USER\n      'exipol'@'%' IDENTIFIED BY 'PASSWORD' REQUIRE SSL;\n", "ON `ex\\_ipol`.* TO\n      'exipol'@'%';\n", "  * db1:3306\n  * 127.0.0.1:3306\n", "  * /etc/ca.pem\n", "copies of each other",
				"    (umask 077; cat >/srv/secrets/db)\n", "    DROP USER\n      'exipol'@'%';\n", "    rm -f /srv/secrets/db\n", "is any host",
			}, []string{"127.0.0.1'", "unix_socket", "*.*"},
		},
		"network, and a socket": {
			plan.Store{Hosts: []string{"/run/a.sock", "db1:3306"}, User: "exipol", PasswordFile: password, TLS: plan.TLSRequired},
			[]string{"      'exipol'@'%' IDENTIFIED BY 'PASSWORD';\n"}, []string{"REQUIRE SSL", "ca.pem"},
		},
		"loopback": {
			plan.Store{Hosts: []string{"[::1]:3306", "127.0.0.1:3307", "127.0.0.1:3306"}, User: "exipol", PasswordFile: "/etc/exipol/db", TLS: plan.TLSOff},
			[]string{"    CREATE USER\n      'exipol'@'127.0.0.1' IDENTIFIED BY 'PASSWORD',\n      'exipol'@'::1' IDENTIFIED BY 'PASSWORD';\n"},
			[]string{"REQUIRE SSL", "'%'", "rm -f /etc/exipol/db"},
		},
		"socket": {
			plan.Store{Hosts: []string{"/run/mysqld/mysqld.sock"}, User: "exipold", TLS: plan.TLSOff},
			[]string{"      'exipold'@'localhost' IDENTIFIED VIA unix_socket;\n", "runuser -u exipold -- exipold status"},
			[]string{"PASSWORD", "chown root:exipold", "copies of each other", "umask 077; cat"},
		},
	} {
		for _, layout := range []string{"debian", "upstream", "custom"} {
			text := installSteps(t, onServer(t, layout, c.store))
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("%s, %s: no %q in\n%s", name, layout, want, text)
				}
			}
			for _, not := range append(c.not, "exipol.db", "ReadWritePaths", "<no value>", "\n\n\n") {
				if strings.Contains(text, not) {
					t.Errorf("%s, %s: %q in\n%s", name, layout, not, text)
				}
			}
			if chown := "    chown root:exipold " + c.store.PasswordFile + "\n    chmod 0640 " + c.store.PasswordFile + "\n"; c.store.PasswordFile != "" && strings.Count(text, chown) != 2 {
				t.Errorf("%s, %s: the password's file is not for exipold, with systemd and without:\n%s", name, layout, text)
			}
			order(t, text, "GRANT ", "exipold migrate", "exipold serve", "DROP DATABASE")
			for line := range strings.Lines(text) {
				if len(line) > 81 {
					t.Errorf("%s, %s: a line of %d columns: %s", name, layout, len(line)-1, line)
				}
			}
		}
	}
}
