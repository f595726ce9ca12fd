package eximtest

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
)

// Where systems put Exim's default configuration.
var exampleFiles = []string{
	"/usr/share/doc/exim4-base/examples/example.conf",
	"/usr/share/doc/exim4-base/examples/example.conf.gz",
	"/usr/exim/configure.default",
	"/usr/local/etc/exim/configure.default",
}

// exampleConf finds Exim's default configuration, once per process. Machines that
// leave out documentation lack the file: then it is taken from Debian's package.
var exampleConf = sync.OnceValues(func() (string, error) {
	for _, path := range exampleFiles {
		if text, err := readExample(path); err == nil {
			return text, nil
		}
	}
	return exampleFromPackage()
})

func readExample(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(path, ".gz") {
		return string(data), err
	}
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	return string(text), err
}

func exampleFromPackage() (string, error) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	fetch := exec.CommandContext(ctx, "/bin/sh", "-c", "apt-get -qq download exim4-base && dpkg-deb -x exim4-base_*.deb .")
	fetch.Dir = dir
	if out, err := fetch.CombinedOutput(); err != nil {
		return "", &missingExample{out: string(out), err: err}
	}
	for _, path := range exampleFiles {
		if text, err := readExample(filepath.Join(dir, path)); err == nil {
			return text, nil
		}
	}
	return "", &missingExample{err: os.ErrNotExist}
}

type missingExample struct {
	out string
	err error
}

func (e *missingExample) Error() string {
	return "no default configuration of Exim on this machine (" + exampleFiles[0] +
		", left out where documentation is not installed), and none from the package exim4-base (apt-get update may help): " +
		e.err.Error() + " " + e.out
}

func (e *missingExample) Unwrap() error { return e.err }

// upstreamConfig is Exim's default configuration as an administrator adapts it: the
// local domain, the relay domains and hosts; and the bed's own options and routers.
// exipol's lines come through Main, ACL and Edit.
func (b *Bed) upstreamConfig() string {
	b.t.Helper()
	conf, err := exampleConf()
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	conf = b.replaceLine(conf, "domainlist local_domains", "@ : local.test")
	conf = b.replaceLine(conf, "domainlist relay_to_domains", "relayed.test")
	conf = b.replaceLine(conf, "hostlist   relay_from_hosts", strings.Join(append([]string{"localhost"}, b.RelayHosts...), " : "))
	conf = b.replaceLine(conf, "host_lookup", "")
	settings := append(b.unprivileged(),
		setting{"primary_hostname", "mx.test"},
		setting{"qualify_domain", "local.test"},
		setting{"spool_directory", b.Path("spool")},
		setting{"keep_environment", ""},
	)
	if b.exim != "/usr/sbin/exim4" {
		settings = append(settings, setting{"exim_path", b.exim})
	}
	for _, stage := range stages {
		name, ok := b.Enter[stage]
		switch {
		case !ok:
		case stage == "rcpt", stage == "data":
			conf = b.replaceLine(conf, aclOption(stage), name)
		default:
			settings = append(settings, setting{aclOption(stage), name})
		}
	}
	conf = b.insertAfter(conf, "begin acl", line(b.ACL))
	conf = b.insertAfter(conf, "begin routers", b.routers(false))
	conf = b.insertAfter(conf, "begin transports", b.transports())
	conf = b.insertAfter(conf, "begin authenticators", authenticators)
	return b.options(settings) + line(b.Main) + "\n" + conf
}

// replaceLine gives the one line that sets name another value.
func (b *Bed) replaceLine(conf, name, value string) string {
	b.t.Helper()
	re := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `[ \t]*=.*$`)
	if n := len(re.FindAllString(conf, -1)); n != 1 {
		b.t.Fatalf("Exim's default configuration sets %q %d times, not once", name, n)
	}
	return re.ReplaceAllLiteralString(conf, name+" = "+value)
}
