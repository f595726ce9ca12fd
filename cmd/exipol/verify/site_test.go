package verify

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestAskSite(t *testing.T) {
	config := filepath.Join(t.TempDir(), "exim.conf")
	text := "keep_environment =\nlog_file_path = /var/log/exim/%slog\nqualify_domain = mail.example\nspool_directory = /var/spool/mine\nstrict_acl_vars = true\nacl_smtp_connect = my_connect\nacl_smtp_rcpt = acl_check_rcpt\nacl_smtp_helo = exipol_helo\nacl_smtp_mail = /etc/mail.acl\n" +
		"acl_smtp_dkim = my_dkim\nbegin acl\nmy_dkim:\n  accept\nmy_connect:\n  accept\nacl_check_rcpt:\n  accept\n"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	site, err := AskSite(context.Background(), "exim4", config)
	if err != nil {
		t.Fatal(err)
	}
	if site.Layout != "upstream" || !site.StrictACLVars || site.Mainlog != "/var/log/exim/mainlog" || site.Domain != "mail.example" || site.Spool != "/var/spool/mine" {
		t.Errorf("site: %+v", site)
	}
	want := []StageACL{{"connect", "my_connect"}, {"mail", "/etc/mail.acl"}, {"dkim", "my_dkim"}, {"data", ""}}
	got := site.Unknown()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("unknown: %v, want %v", got, want)
	}
	if !got[0].Named() || got[1].Named() || !got[2].Named() || !got[3].Named() {
		t.Errorf("named: %v", got)
	}
	// Exim logs such a fault, and must not do it in the machine's own log.
	broken := filepath.Join(t.TempDir(), "broken.conf")
	if err := os.WriteFile(broken, []byte("log_file_path = "+filepath.Dir(broken)+"/%slog\nnonsense = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := AskSite(context.Background(), "exim4", broken); err == nil {
		t.Error("a configuration that Exim cannot read has no ACLs")
	}
}
