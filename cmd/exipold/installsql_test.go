package main

import (
	"context"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"exipol/generator/emit"
	"exipol/generator/plan"
	"exipol/helper/testplan"
	"exipol/internal/mysqltest"
)

// installStatements are the statements of INSTALL.txt for a plan's store: those that make the database and its user, and
// those that take them away.
func installStatements(t *testing.T, p *plan.Plan) (make, drop []string) {
	t.Helper()
	if err := p.Seal(); err != nil {
		t.Fatal(err)
	}
	files, err := emit.Files(p, nil, "test")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name != "INSTALL.txt" {
			continue
		}
		statement := ""
		for line := range strings.Lines(string(f.Data)) {
			code, indented := strings.CutPrefix(line, "    ")
			begins := strings.HasPrefix(code, "CREATE ") || strings.HasPrefix(code, "GRANT ") || strings.HasPrefix(code, "DROP ")
			switch {
			case !indented || statement == "" && !begins:
				continue
			case !strings.HasSuffix(code, ";\n"):
				statement += code
				continue
			}
			statement = strings.TrimSuffix(statement+code, ";\n")
			if strings.HasPrefix(statement, "DROP ") {
				drop = append(drop, statement)
			} else {
				make = append(make, statement)
			}
			statement = ""
		}
	}
	if len(make) != 3 || len(drop) != 2 {
		t.Fatalf("INSTALL.txt has the statements %q and %q", make, drop)
	}
	return make, drop
}

// TestInstallDatabase has a server obey INSTALL.txt, and then opens the store and migrates it as the user that
// came of it, who may do what exipold needs and no more.
func TestInstallDatabase(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	const password = `it's "long" & \random`
	secured := mysqltest.Start(t, mysqltest.WithTLS("127.0.0.1"))
	for name, c := range map[string]struct {
		server *mysqltest.Server
		says   plan.Store          // as the policies have it
		use    func(s *plan.Store) // what of it is elsewhere in a test
	}{
		"network": {
			secured, plan.Store{Hosts: []string{"db1.example.net:3306"}, User: "exipol.a@b", PasswordFile: "/etc/exipol/db-password", TLS: plan.TLSVerified},
			func(s *plan.Store) { s.CAFile = secured.CAFile() },
		},
		"loopback": {
			mysqltest.Shared(t), plan.Store{Hosts: []string{"127.0.0.1:3306", "localhost:3307"}, User: "exi-pol", PasswordFile: "/etc/exipol/db-password", TLS: plan.TLSOff},
			func(*plan.Store) {},
		},
		"socket": {
			mysqltest.Shared(t), plan.Store{Hosts: []string{"/run/mysqld/mysqld.sock"}, User: me.Username, TLS: plan.TLSOff},
			func(s *plan.Store) { s.Hosts = []string{mysqltest.Shared(t).Socket()} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := openDir(t)
			p := testplan.Desk(dir)
			c.says.Kind, c.says.Database, c.says.Connections = plan.MySQL, "exi_pol-"+name, 4
			p.Store = c.says
			statements, drop := installStatements(t, p)
			c.server.Exec("CREATE DATABASE `exixpol-" + name + "`") // whose name the pattern must not be for
			t.Cleanup(func() { c.server.Exec("DROP DATABASE `exixpol-" + name + "`") })
			quoted := "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(password) + "'"
			for _, statement := range statements {
				c.server.Exec(strings.ReplaceAll(statement, "'PASSWORD'", quoted))
			}
			if p.Store.PasswordFile != "" {
				p.Store.PasswordFile = filepath.Join(dir, "password")
				if err := os.WriteFile(p.Store.PasswordFile, []byte(password+"\n"), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			p.Store.Hosts = []string{c.server.Addr()}
			c.use(&p.Store)
			s, err := openStore(t.Context(), p, storeOptions{create: true})
			if err != nil {
				t.Fatal(err)
			}
			pending, err := s.Pending(t.Context(), p.Tables)
			if err != nil || len(pending) > 0 {
				t.Errorf("left to do: %q, %v", pending, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			facts, err := lookAt(context.Background(), p.Store, map[bool]string{true: password}[p.Store.PasswordFile != ""], p.Store.Hosts[0])
			if err != nil {
				t.Fatal(err)
			}
			if r := judgeRights(facts.grants, p.Store.Database); len(r.missing)+len(r.server)+len(r.others) > 0 {
				t.Errorf("%+v", r)
			}
			if r := judgeRights(facts.grants, "exixpol-"+name); len(r.missing) != len(neededRights) {
				t.Errorf("its rights are for another database, too: %+v", r)
			}
			if encrypted := facts.cipher != ""; encrypted != (name == "network") {
				t.Errorf("encrypted: %v", encrypted)
			}
			if name == "network" { // the account itself asks for encryption, whatever a plan says
				open := p.Store
				open.TLS, open.CAFile = plan.TLSOff, ""
				if _, err := lookAt(context.Background(), open, password, open.Hosts[0]); err == nil {
					t.Error("the server lets in who does not encrypt")
				}
			}
			for _, statement := range drop {
				c.server.Exec(statement)
			}
		})
	}
}
