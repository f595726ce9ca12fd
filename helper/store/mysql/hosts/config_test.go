package hosts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"exipol/generator/plan"
)

func TestAddress(t *testing.T) {
	for host, want := range map[string]string{
		"db1": "tcp db1:3306", "db1:3307": "tcp db1:3307", "192.0.2.1": "tcp 192.0.2.1:3306",
		"2001:db8::1": "tcp [2001:db8::1]:3306", "[2001:db8::1]": "tcp [2001:db8::1]:3306", "[2001:db8::1]:3307": "tcp [2001:db8::1]:3307",
		"/run/mysqld/mysqld.sock": "unix /run/mysqld/mysqld.sock",
		"":                        "", ":3306": "", "db1:": "", "db1:x": "", "db1:0": "", "db1:65536": "", "a:b:c": "",
	} {
		network, addr, err := address(host)
		if got := strings.TrimSpace(network + " " + addr); got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v; want %q", host, got, err, want)
		}
	}
}

// TestBadConfig: what no server can mend is said at once, without the password.
func TestBadConfig(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := plan.Store{Kind: plan.MySQL, Hosts: []string{"127.0.0.1:1"}, Database: "d", User: "u", TLS: plan.TLSOff}
	for _, c := range []struct {
		change func(*plan.Store)
		want   string
	}{
		{func(s *plan.Store) { s.Kind = plan.SQLite }, "has no hosts"},
		{func(s *plan.Store) { s.Hosts = nil }, "no host is named"},
		{func(s *plan.Store) { s.Hosts = []string{"db1:x"} }, `host "db1:x"`},
		{func(s *plan.Store) { s.Hosts = []string{"db1", "db2", "db1"} }, "db1 is named twice"},
		{func(s *plan.Store) { s.Database = "" }, "no database"},
		{func(s *plan.Store) { s.User = "" }, "no user"},
		{func(s *plan.Store) { s.TLS = "perhaps" }, `tls "perhaps"`},
		{func(s *plan.Store) { s.TLS, s.CAFile = plan.TLSVerified, filepath.Join(dir, "none.pem") }, "CA file: open "},
		{func(s *plan.Store) { s.TLS, s.CAFile = plan.TLSVerified, empty }, "no PEM certificate"},
	} {
		s := good
		c.change(&s)
		h, err := New(Config{Store: s, Password: "sesame"})
		if err == nil {
			_ = h.Close()
			t.Errorf("no error, want %q", c.want)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestReadPassword(t *testing.T) {
	dir := t.TempDir()
	for i, c := range []struct {
		text string
		mode os.FileMode
		want string
		err  string
	}{
		{"sesame\n", 0o600, "sesame", ""},
		{"sesame", 0o640, "sesame", ""},
		{" sesame \\ü' ", 0o400, " sesame \\ü' ", ""},
		{"sesame\n\n", 0o600, "", "more than one line"},
		{"sesame\n", 0o644, "", "run chmod o-rwx "},
		{"sesame\n", 0o602, "", "run chmod o-rwx "},
		{"\n", 0o600, "", "it is empty"},
		{strings.Repeat("sesame", 1000), 0o600, "", "longer than"},
	} {
		name := filepath.Join(dir, string(rune('a'+i)))
		if err := os.WriteFile(name, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, c.mode); err != nil {
			t.Fatal(err)
		}
		got, err := ReadPassword(name)
		if c.err == "" {
			if err != nil || got != c.want {
				t.Errorf("%q: %q, %v", c.text, got, err)
			}
			continue
		}
		if err == nil || got != "" || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%q, mode %o: %q, %v; want %q", c.text, c.mode, got, err, c.err)
		}
	}
	if got, err := ReadPassword(""); got != "" || err != nil {
		t.Errorf("without a file: %q, %v", got, err)
	}
	for _, name := range []string{filepath.Join(dir, "none"), dir} {
		if _, err := ReadPassword(name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
