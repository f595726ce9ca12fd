// Package endtoend puts all parts together, as an administrator does: policies are
// compiled, the text is installed into the configuration of a real Exim as INSTALL.txt
// says, the helper answers on its socket from a real store, and a client speaks
// SMTP. Only the clock is a test's own: it jumps.
package endtoend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"exipol/generator"
	"exipol/generator/diag"
	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/server"
	"exipol/helper/store"
	"exipol/helper/store/mysql"
	"exipol/helper/store/sqlite"
	"exipol/internal/eximtest"
)

// Clock is a clock that only moves when it is told to.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Site is an Exim with policies.
type Site struct {
	*eximtest.Bed
	Clock *Clock
	Plan  *plan.Plan
	Files map[string]string // what `exipol build` writes, by name

	t      eximtest.T
	helper *running
	store  plan.Store // a SQLite file of its own, where Options name no other
}

// Options of a site.
type Options struct {
	Layout eximtest.Layout // Small if ""
	Site   string          // further arguments of the site block
	Helper string          // further arguments of the helper block
	Store  plan.Store      // a database, or another site's store; a SQLite file of its own where it has no kind
	// Configure is called before Exim's configuration is written.
	Configure func(*eximtest.Bed)
}

// New compiles policies (greylist, limit and list blocks: the rest of the set is made
// here) and installs them. Exim and the helper do not run yet.
func New(t eximtest.T, policies string, o Options) *Site {
	t.Helper()
	if o.Layout == "" {
		o.Layout = eximtest.Small
	}
	s := &Site{Bed: eximtest.New(t, o.Layout), t: t, Clock: &Clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}}
	if o.Configure != nil {
		o.Configure(s.Bed)
	}
	s.Compile(policies, o)
	s.install()
	return s
}

// Start compiles, installs, and starts the helper.
func Start(t eximtest.T, policies string, o Options) *Site {
	t.Helper()
	s := New(t, policies, o)
	s.StartHelper()
	return s
}

// common is the part of a policy set that depends on where the bed is.
const common = `
exipol {
  format = 1
}
site {
  layout      = %q
  directory   = %q
  relay_hosts = ["127.0.0.1", "127.0.0.9", "::1"]
%s
%s
}
helper {
  socket = %q
%s
}
%s`

// Compile builds policies for this bed; any error ends the test.
func (s *Site) Compile(policies string, o Options) {
	s.t.Helper()
	layout, acls := "custom", "acl {\n"
	switch o.Layout {
	case eximtest.DebianSplit, eximtest.DebianUnsplit:
		layout, acls = "debian", ""
	case eximtest.Upstream:
		layout, acls = "upstream", ""
	default:
		for _, stage := range []string{"connect", "helo", "auth", "mail", "rcpt", "predata", "dkim", "data", "not_smtp"} {
			acl := "" // the bed has none
			if _, set := s.Bed.Site[stage]; set || stage == "rcpt" {
				acl = "acl_check_" + stage
			}
			acls += fmt.Sprintf("%s = %q\n", stage, acl)
		}
		acls += "}\n"
	}
	if s.store = o.Store; s.store.Kind == "" {
		s.store = plan.Store{Kind: plan.SQLite, Path: s.Path("state/exipol.db")}
	}
	if s.store.Kind == plan.MySQL { // exipold may run as the bed's user
		password, err := os.ReadFile(s.store.PasswordFile)
		if err != nil {
			s.t.Fatalf("the password: %v", err)
		}
		s.store.PasswordFile = s.WriteFile("etc/db-password", string(password))
		if err := os.Chmod(s.store.PasswordFile, 0o640); err != nil {
			s.t.Fatalf("the password: %v", err)
		}
	}
	socket := s.SocketPath("exipold.sock")
	set := fmt.Sprintf(common, layout, s.directory(), acls, o.Site, socket, o.Helper, storeBlock(s.store, s.Path("state")))
	result, err := generator.BuildFiles(map[string][]byte{"site.hcl": []byte(set), "policies.hcl": []byte(policies)}, nil, "test")
	if err != nil {
		s.t.Fatalf("build: %v", err)
	}
	if result.Diags.HasErrors() {
		s.t.Fatalf("the policies do not compile:\n%s", text(result.Diags))
	}
	s.Plan, s.Files = result.Plan, map[string]string{}
	for _, f := range result.Files {
		s.Files[f.Name] = string(f.Data)
	}
}

func text(diags diag.List) string {
	var b strings.Builder
	for _, d := range diags {
		fmt.Fprintf(&b, "%s: %s: %s\n", d.Subject, d.Summary, d.Detail)
	}
	return b.String()
}

func (s *Site) directory() string { return s.Path("exipol") }

// storeBlock is a store as it stands in a policy file, with a directory for what is exipold's own.
func storeBlock(s plan.Store, state string) string {
	if s.Kind == plan.SQLite {
		return fmt.Sprintf("store %q {\n  path = %q\n}\n", s.Kind, s.Path)
	}
	var hosts []string
	for _, host := range s.Hosts {
		hosts = append(hosts, strconv.Quote(host))
	}
	return fmt.Sprintf("store %q {\n  hosts = [%s]\n  database = %q\n  user = %q\n  password_file = %q\n  state = %q\n}\n",
		s.Kind, strings.Join(hosts, ", "), s.Database, s.User, s.PasswordFile, state)
}

// install follows INSTALL.txt.
func (s *Site) install() {
	s.t.Helper()
	switch s.Layout {
	case eximtest.Small:
		s.Main, s.ACL = s.Main+s.Files["exipol.main"], s.ACL+s.Files["exipol.acl"]
		return
	case eximtest.Upstream:
		s.Edit = s.editUpstream(s.Edit)
	default:
		s.Main += ".include " + s.directory() + "/exipol.main\n"
	}
	s.WriteFile("exipol/exipol.main", s.Files["exipol.main"])
	s.WriteFile("exipol/exipol.acl", s.Files["exipol.acl"])
}

// editUpstream makes the two changes to Exim's default configuration.
func (s *Site) editUpstream(before func(string) string) func(string) string {
	return func(conf string) string {
		if before != nil {
			conf = before(conf)
		}
		var out []string
		included := false
		for line := range strings.Lines(conf) {
			option, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			stage, isACL := strings.CutPrefix(option, "acl_smtp_")
			if _, ours := s.Plan.Stage(stage); isACL && ours {
				if !included {
					out = append(out, ".include "+s.directory()+"/exipol.main\n")
					included = true
				}
				continue
			}
			out = append(out, line)
			if strings.TrimSpace(line) == "begin acl" {
				out = append(out, ".include "+s.directory()+"/exipol.acl\n")
			}
		}
		return strings.Join(out, "")
	}
}

// running is a helper in this process.
type running struct {
	*helper.Helper
	stop func()
}

// StartHelper starts the helper on the site's socket, in this process, with the
// site's clock.
func (s *Site) StartHelper() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	if err := os.MkdirAll(s.Path("state"), 0o750); err != nil {
		s.t.Fatalf("state: %v", err)
	}
	store, err := openStore(ctx, s.store, sqlite.Options{Create: true})
	if err != nil {
		s.t.Fatalf("store: %v", err)
	}
	if _, err := store.Migrate(ctx, s.Plan.Tables); err != nil {
		s.t.Fatalf("migrate: %v", err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	h, err := helper.New(ctx, s.Plan, helper.Options{
		Store: store, Clock: s.Clock.Now, Log: log, Plans: s.Path("state/plans"), RuntimeEvery: 50 * time.Millisecond,
		Outside: func(servers []string) helper.Outside { return helper.NewOutside(servers, log, s.Clock.Now) },
	})
	if err != nil {
		s.t.Fatalf("helper: %v", err)
	}
	ln, release, err := server.Listen(s.Plan.Socket, s.ID.Group)
	if err != nil {
		s.t.Fatalf("listen: %v", err)
	}
	srv := server.New(h.Handle, server.Options{Log: log})
	var wg sync.WaitGroup
	wg.Go(func() { h.Run(ctx) })
	wg.Go(func() {
		if err := srv.Serve(ln); !errors.Is(err, server.ErrClosed) {
			s.t.Errorf("serve: %v", err)
		}
	})
	var once sync.Once
	s.helper = &running{Helper: h, stop: func() {
		once.Do(func() {
			late, done := context.WithTimeout(context.Background(), 5*time.Second)
			defer done()
			if err := srv.Shutdown(late); err != nil {
				s.t.Errorf("shutdown: %v", err)
			}
			cancel()
			wg.Wait()
			release()
			if err := store.Close(); err != nil {
				s.t.Errorf("close the store: %v", err)
			}
		})
	}}
	s.t.Cleanup(s.helper.stop)
}

// StopHelper ends the helper; its socket is gone then.
func (s *Site) StopHelper() {
	s.t.Helper()
	if s.helper == nil {
		s.t.Fatalf("there is no helper to stop")
	}
	s.helper.stop()
	s.helper = nil
}

// Open opens the store as another process of the same machine would, for what is
// said at run time.
func (s *Site) Open() store.Store {
	s.t.Helper()
	opened, err := openStore(context.Background(), s.store, sqlite.Options{})
	if err != nil {
		s.t.Fatalf("store: %v", err)
	}
	s.t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			s.t.Errorf("close the store: %v", err)
		}
	})
	return opened
}

// openStore opens a store of either kind.
func openStore(ctx context.Context, s plan.Store, options sqlite.Options) (store.Store, error) {
	if s.Kind == plan.SQLite {
		return sqlite.Open(ctx, s.Path, options)
	}
	opened, err := mysql.Open(ctx, mysql.Config{Store: s, Gateway: "test", Timeout: 10 * time.Second, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	return opened, opened.Wait(ctx)
}
