package eximtest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Where Debian keeps what its configuration is made from. Only read, never written.
const (
	debianDir    = "/etc/exim4"
	debianScript = "/usr/sbin/update-exim4.conf"
	debianMacros = "exim4.conf.localmacros"
	// The macro for a file at the end of one of the ACLs, which may begin new ones.
	debianACLHook = "LOCAL_DENY_EXCEPTIONS_LOCAL_ACL_FILE"
	debianMacros0 = "conf.d/main/000_localmacros"
)

// ConfDir is the private copy of /etc/exim4 of a Debian bed; the macro CONFDIR names
// it.
func (b *Bed) ConfDir() string { return b.Path("etc") }

// debianConfig makes the configuration as Debian does: a private copy of /etc/exim4,
// the local macros written as an administrator writes them, update-exim4.conf run
// over it. What a test must not depend on (mailboxes, logins, the DNS) comes in the
// way that Debian has for it when split; unsplit, it is inserted into the copy of
// the template, since there is no other way. All of exipol comes through Main, and in
// the file that Main names, in both.
func (b *Bed) debianConfig() string {
	b.t.Helper()
	split := b.Layout == DebianSplit
	b.copyDebian()
	b.WriteFile("etc/update-exim4.conf.conf", b.debianAnswers(split))
	macros := b.options(b.debianMacroSettings()) + line(b.Main)
	if b.ACL != "" {
		if strings.Contains(b.Main, debianACLHook) {
			b.t.Fatalf("the bed's Main names a file in %s: put the text of ACL there", debianACLHook)
		}
		macros += debianACLHook + " = " + b.WriteFile("etc/bed.acl", line(b.ACL)) + "\n"
	}
	if split {
		b.WriteFile("etc/"+debianMacros0, macros)
		b.WriteFile("etc/conf.d/router/050_bed", b.routers(false))
		b.WriteFile("etc/conf.d/transport/05_bed", b.transports())
		b.WriteFile("etc/conf.d/auth/40_bed", authenticators)
	} else {
		b.WriteFile("etc/"+debianMacros, macros)
		template := b.readFile("etc/exim4.conf.template")
		template = b.insertAfter(template, "begin routers", b.routers(false))
		template = b.insertAfter(template, "begin transports", b.transports())
		template = b.insertAfter(template, "begin authenticators", authenticators)
		b.WriteFile("etc/exim4.conf.template", template)
	}
	return b.updateExim4Conf()
}

// debianMacroSettings are the macros and options that let Debian's configuration run
// in a private folder.
func (b *Bed) debianMacroSettings() []setting {
	settings := append(b.unprivileged(),
		setting{"CONFDIR", b.ConfDir()},
		setting{"SPOOLDIR", b.Path("spool")},
		setting{"MAIN_HARDCODE_PRIMARY_HOSTNAME", "mx.test"},
		setting{"MAIN_QUALIFY_DOMAIN", "local.test"},
		setting{"MAIN_HOST_LOOKUP", ""},
		setting{"never_users", ""},
	)
	for _, stage := range stages {
		name, ok := b.Enter[stage]
		switch {
		case !ok:
		case stage == "mail", stage == "rcpt", stage == "data":
			settings = append(settings, setting{"MAIN_ACL_CHECK_" + strings.ToUpper(stage), name})
		default:
			settings = append(settings, setting{aclOption(stage), name})
		}
	}
	return settings
}

// debianAnswers are debconf's answers: an internet site for local.test.
func (b *Bed) debianAnswers(split bool) string {
	use := "false"
	if split {
		use = "true"
	}
	return `dc_eximconfig_configtype='internet'
dc_other_hostnames='local.test'
dc_local_interfaces='127.0.0.1'
dc_readhost=''
dc_relay_domains='relayed.test'
dc_minimaldns='false'
dc_relay_nets='` + strings.Join(b.RelayHosts, " ; ") + `'
dc_smarthost=''
CFILEMODE='644'
dc_use_split_config='` + use + `'
dc_hide_mailname=''
dc_mailname_in_oh='true'
dc_localdelivery='bed_mailbox'
`
}

// copyDebian copies /etc/exim4 without the local macros of this host and without
// passwords.
func (b *Bed) copyDebian() {
	b.t.Helper()
	err := filepath.WalkDir(debianDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(debianDir, path)
		switch {
		case name == debianMacros, name == debianMacros0, strings.HasPrefix(name, "passwd"):
			return nil
		case name == "conf.d", strings.HasPrefix(name, "conf.d/"), name == "exim4.conf.template", name == ".":
		case d.IsDir():
			return fs.SkipDir
		default:
			return nil
		}
		if d.IsDir() {
			b.makeDir(filepath.Join("etc", name))
			return nil
		}
		data, err := os.ReadFile(path)
		if err == nil {
			b.WriteFile(filepath.Join("etc", name), string(data))
		}
		return err
	})
	if err != nil {
		b.t.Fatalf("copy Debian's configuration: %v; %s", err, howToInstall)
	}
}

// updateExim4Conf runs Debian's script over the private copy and returns what it made.
func (b *Bed) updateExim4Conf() string {
	b.t.Helper()
	script := debianScript
	text, err := os.ReadFile(script)
	if err != nil {
		b.t.Fatalf("Debian's configuration: %v; %s", err, howToInstall)
	}
	// With -d the script reads the local macros of that directory, but only if the
	// host has some as well. See the package's comment.
	hostMacros := debianDir + "/" + debianMacros
	if _, err := os.Stat(hostMacros); errors.Is(err, fs.ErrNotExist) {
		mended := strings.ReplaceAll(string(text), `-e "`+hostMacros+`"`, `-e "${UPEX4C_confdir}/`+debianMacros+`"`)
		script = b.WriteFile("update-exim4.conf", mended)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out := b.Path("run/autogenerated")
	cmd := exec.CommandContext(ctx, "/bin/sh", script, "-d", b.ConfDir(), "-o", out)
	b.ID.Become(cmd)
	cmd.Dir = b.Root
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR=" + b.Path("run")}
	if said, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("update-exim4.conf: %v\n%s", err, said)
	}
	conf := b.readFile("run/autogenerated")
	if !strings.Contains(conf, "log_file_path = "+b.Path("log/")) && !strings.Contains(b.Main, "log_file_path") {
		b.t.Fatalf("update-exim4.conf did not read the local macros of the private copy")
	}
	// Exim runs itself again for deliveries: the one under test, not the host's.
	if b.exim != "/usr/sbin/exim4" {
		conf = strings.Replace(conf, "exim_path = /usr/sbin/exim4\n", "exim_path = "+b.exim+"\n", 1)
	}
	return conf
}

func (b *Bed) readFile(name string) string {
	b.t.Helper()
	data, err := os.ReadFile(b.Path(name))
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	return string(data)
}
