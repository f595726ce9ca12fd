package hosts

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"exipol/generator/plan"
	"exipol/helper/store"
	"exipol/internal/mysqltest"
)

func TestTLS(t *testing.T) {
	server := mysqltest.Start(t, mysqltest.WithTLS("127.0.0.1"))
	made := database(server)
	server.Exec("ALTER USER " + made.User + "@'%' REQUIRE SSL")
	_, port, err := net.SplitHostPort(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	plain := database(mysqltest.Start(t, mysqltest.WithoutTLS()))
	plain.TLS = plan.TLSRequired
	other := mysqltest.OtherCA(t)
	for _, c := range []struct {
		name   string
		change func(*plan.Store)
		want   string // "": it works
	}{
		{"verified", func(s *plan.Store) { s.TLS, s.CAFile = plan.TLSVerified, server.CAFile() }, ""},
		{"not said", func(s *plan.Store) { s.TLS, s.CAFile = "", server.CAFile() }, ""},
		{"required", func(s *plan.Store) { s.TLS = plan.TLSRequired }, ""},
		{"a CA of others", func(s *plan.Store) { s.TLS, s.CAFile = plan.TLSVerified, other }, "its certificate: tls: failed to verify certificate: x509: certificate signed by unknown authority"},
		{"the system's CAs", func(s *plan.Store) { s.TLS = plan.TLSVerified }, "its certificate: tls: failed to verify certificate: x509"},
		{"another name", func(s *plan.Store) {
			s.TLS, s.CAFile, s.Hosts = plan.TLSVerified, server.CAFile(), []string{"localhost:" + port}
		}, "its certificate: tls: failed to verify certificate: x509"},
		{"off", func(s *plan.Store) { s.TLS = plan.TLSOff }, "Access denied"},
		{"a server without", func(s *plan.Store) { *s = plain }, "TLS requested but server does not support TLS"},
	} {
		s := made
		c.change(&s)
		if c.want == "" {
			b := ready(t, s)
			var name, cipher string
			if err := b.use().DB().QueryRow("SHOW SESSION STATUS LIKE 'ssl_cipher'").Scan(&name, &cipher); err != nil || cipher == "" {
				t.Errorf("%s: the connection is not encrypted: %v", c.name, err)
			}
			continue
		}
		b := connect(t, s)
		await(t, "the host to be asked", func() bool { return b.logged("no database host can be used") == 1 })
		if _, err := b.Use(context.Background()); !errors.Is(err, store.ErrAway) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if h := b.Health().Hosts[0]; h.Use != store.HostUnready {
			t.Errorf("%s: %+v, want %q: it answers", c.name, h, store.HostUnready)
		}
	}
}
