package eximtest

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Layout names a configuration.
type Layout string

// The configurations.
const (
	Small         Layout = "small"          // ours: little, every stage can have a site ACL
	DebianUnsplit Layout = "debian-unsplit" // exim4.conf.template with exim4.conf.localmacros
	DebianSplit   Layout = "debian-split"   // conf.d
	Upstream      Layout = "upstream"       // Exim's default configuration
)

// Layouts are all of them.
var Layouts = []Layout{Small, DebianUnsplit, DebianSplit, Upstream}

// Password is what every login of a bed has.
const Password = "secret"

// patience is how long anything here is waited for that should come soon. Long,
// because machines that run tests can be busy; nothing normal takes it up.
const patience = 60 * time.Second

// Bed is one Exim in its own folder. Set the fields before [Bed.Configure] or
// [Bed.Start]; change them and call [Bed.Configure] and [Bed.Reload] for a new
// configuration of a running one.
type Bed struct {
	Root   string // its folder, with a short path: a Unix socket's is cut at 107 bytes
	Layout Layout
	ID     Identity

	// Main is text for the main section: in Small and Upstream it comes first, on
	// Debian it goes to the file of local macros. An option that it sets is not set
	// by the bed.
	Main string
	// ACL is text for the ACL section, with whole named ACLs: in Small and Upstream
	// right after "begin acl"; on Debian in a file that the macro
	// LOCAL_DENY_EXCEPTIONS_LOCAL_ACL_FILE names (and then Main may not set that).
	ACL string
	// Enter names the ACL that Exim runs at a stage instead of the site's own, in the
	// layout's own way: Debian's macro, the replaced line of Exim's default configuration.
	// The ACLs that it replaces are called acl_check_STAGE in every layout: mail, rcpt and
	// data in Small (see Site) and on Debian, rcpt and data in Upstream.
	Enter map[string]string
	// Site holds the bodies of the site's own ACLs in Small, by stage: "rcpt" becomes
	// acl_check_rcpt, which acl_smtp_rcpt names unless Main sets that.
	Site map[string]string
	// RelayHosts are relay_from_hosts, beside what the layout itself has.
	RelayHosts []string
	// IPv6 has the daemon listen on ::1, too.
	IPv6 bool
	// Edit, if set, gets the finished configuration and returns what is written. It is
	// the administrator's editor: where INSTALL.txt says "replace this line".
	Edit func(conf string) string
	// Arguments are added to every call of Exim.
	Arguments []string

	t      T
	exim   string
	port   int
	daemon *exec.Cmd
	exited chan struct{}

	mu       sync.Mutex
	accepted []string // ids of messages that Exim said it had accepted
}

// New makes the folder of a bed. Nothing runs yet.
func New(t T, layout Layout) *Bed {
	t.Helper()
	b := &Bed{
		Layout: layout, t: t, exim: Find(t), ID: identity(t),
		RelayHosts: []string{"127.0.0.9"},
		Site: map[string]string{
			"mail": "  accept\n",
			"rcpt": smallRcpt,
			"data": "  accept\n",
		},
	}
	root, err := os.MkdirTemp("", "bed")
	if err != nil {
		t.Fatalf("make the bed's folder: %v", err)
	}
	b.Root = root
	if err := os.Chmod(root, 0o755); err != nil { //nolint:gosec // Exim's user has to get in
		t.Fatalf("open the bed's folder: %v", err)
	}
	for _, dir := range []string{"spool", "log", "mail", "run"} {
		b.makeDir(dir)
	}
	t.Cleanup(b.clean)
	return b
}

func (b *Bed) clean() {
	b.Stop()
	b.endStragglers()
	if b.t.Failed() {
		for _, name := range []string{"mainlog", "paniclog", "stderr"} {
			if data, err := os.ReadFile(b.Path("log/" + name)); err == nil && len(data) > 0 {
				b.t.Logf("%s of the %s bed:\n%s", name, b.Layout, tail(string(data), 60))
			}
		}
	}
	if os.Getenv("KEEP_BEDS") != "" {
		b.t.Logf("kept %s", b.Root)
		return
	}
	err := os.RemoveAll(b.Root)
	for range 100 { // a delivery that was on its way may have written meanwhile
		if err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
		b.endStragglers()
		err = os.RemoveAll(b.Root)
	}
	b.t.Errorf("remove the bed: %v", err)
}

// endStragglers ends what still runs with this bed's configuration: sessions and
// deliveries go on without their daemon, and a delivery would make the spool anew after
// it was removed.
func (b *Bed) endStragglers() {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		some := false
		for _, name := range all {
			args, err := os.ReadFile(name)
			if err != nil || !strings.Contains(string(args), "\x00"+b.confFile()+"\x00") {
				continue
			}
			some = true
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if !some {
			return
		}
	}
}

func tail(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "")
}

// Path returns the full name of something in the bed's folder.
func (b *Bed) Path(name string) string { return filepath.Join(b.Root, name) }

// WriteFile writes a file that Exim may read into the bed's folder, with the folders
// above it, and returns its full name.
func (b *Bed) WriteFile(name, text string) string {
	b.t.Helper()
	if dir := filepath.Dir(name); dir != "." {
		b.makeDir(dir)
	}
	path := b.Path(name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // Exim's user reads it
		b.t.Fatalf("write %s: %v", path, err)
	}
	b.own(path)
	return path
}

func (b *Bed) makeDir(name string) {
	b.t.Helper()
	if err := os.MkdirAll(b.Path(name), 0o755); err != nil { //nolint:gosec // Exim's user has to get in
		b.t.Fatalf("make folder: %v", err)
	}
	// Every folder on the way belongs to Exim's user, too.
	for dir := name; dir != "." && dir != "/"; dir = filepath.Dir(dir) {
		b.own(b.Path(dir))
	}
	b.own(b.Root)
}

// own gives a file to Exim's user. That is only needed, and only possible, for root.
func (b *Bed) own(path string) {
	b.t.Helper()
	if err := b.ID.Own(path); err != nil {
		b.t.Fatalf("give %s to Exim's user: %v", path, err)
	}
}

// SocketPath returns a name for a socket in a folder that both Exim and the caller
// can reach. Exim connects as [Bed.ID]: a socket made by root needs that group and
// 0660, or 0666.
func (b *Bed) SocketPath(name string) string {
	b.t.Helper()
	path := b.Path("run/" + name)
	if len(path) > 107 {
		b.t.Fatalf("socket path %s is longer than the 107 bytes that Exim takes; set TMPDIR to something short", path)
	}
	return path
}

// confFile is where the finished configuration is.
func (b *Bed) confFile() string { return b.Path("exim.conf") }

// Config returns the finished configuration.
func (b *Bed) Config() string {
	b.t.Helper()
	data, err := os.ReadFile(b.confFile())
	if err != nil {
		b.t.Fatalf("read the configuration: %v", err)
	}
	return string(data)
}

// Configure writes the configuration from the fields. [Bed.Start] does it if nobody
// has.
func (b *Bed) Configure() {
	b.t.Helper()
	var conf string
	for _, stage := range slices.Concat(slices.Collect(maps.Keys(b.Site)), slices.Collect(maps.Keys(b.Enter))) {
		if !slices.Contains(stages, stage) {
			b.t.Fatalf("no stage %q", stage)
		}
	}
	switch b.Layout {
	case Small:
		conf = b.smallConfig()
	case DebianUnsplit, DebianSplit:
		conf = b.debianConfig()
	case Upstream:
		conf = b.upstreamConfig()
	default:
		b.t.Fatalf("no layout %q", b.Layout)
	}
	conf = quietLookups(conf)
	if b.Edit != nil {
		conf = b.Edit(conf)
	}
	b.WriteFile("exim.conf", conf)
}

var logSelector = regexp.MustCompile(`(?m)^log_selector[ \t]*=[ \t]*`)

// quietLookups has Exim say nothing about the name of a proxied client that it does not
// find. That line would come before all else in a session, and with a log that is open
// already Exim's readsocket does no visible harm: the beds would be blind.
func quietLookups(conf string) string {
	const quiet = "log_selector = -host_lookup_failed "
	if logSelector.MatchString(conf) {
		return logSelector.ReplaceAllLiteralString(conf, quiet)
	}
	return quiet + "\n" + conf
}

// setting is an option that the bed sets unless the test does.
type setting struct{ name, value string }

// options prints settings, but for those that Main has.
func (b *Bed) options(settings []setting) string {
	var s strings.Builder
	for _, o := range settings {
		set := regexp.MustCompile(`(?m)^[ \t]*` + regexp.QuoteMeta(o.name) + `[ \t]*(=|$)`)
		if set.MatchString(b.Main) {
			continue
		}
		text := o.name + " = " + o.value + "\n"
		if o.name == "hosts_proxy" || o.name == aclOption("dkim") { // not in every Exim
			text = ".ifdef _OPT_MAIN_" + strings.ToUpper(o.name) + "\n" + text + ".endif\n"
		}
		s.WriteString(text)
	}
	return s.String()
}

// unprivileged are the options without which no configuration runs in a private
// folder as an ordinary user.
func (b *Bed) unprivileged() []setting {
	return []setting{
		{"exim_user", b.ID.User},
		{"exim_group", b.ID.Group},
		{"log_file_path", b.Path("log/%slog")},
		{"deliver_drop_privilege", "true"},
		{"tls_advertise_hosts", ""},
		{"unknown_login", "exim"},
		// A daemon that cannot have its port says so at once, and gets another.
		{"daemon_startup_retries", "0"},
		{"smtp_accept_max", "200"},
		{"smtp_connect_backlog", "200"},
		{"hosts_proxy", proxyAddress},
		// A proxied client's name is looked up whatever host_lookup says: in no way.
		{"host_lookup_order", ""},
	}
}

// line makes sure that text ends its last line.
func line(text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

// insertAfter puts text behind the one line that reads "begin SECTION".
func (b *Bed) insertAfter(conf, begin, text string) string {
	b.t.Helper()
	at := regexp.MustCompile(`(?m)^`+begin+`[ \t]*\n`).FindAllStringIndex(conf, -1)
	if len(at) != 1 {
		b.t.Fatalf("the %s configuration has %d lines %q, not 1", b.Layout, len(at), begin)
	}
	return conf[:at[0][1]] + text + conf[at[0][1]:]
}
