package verify

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"exipol/generator/emit"
	"exipol/generator/plan"
	"exipol/generator/wire"
)

// Fault is something that a real Exim complained of.
type Fault struct {
	Where string // what it was doing, in a few words
	Text  string // its own words
}

// sessionWait bounds one SMTP session. The helper's stand-in answers at once, and
// -bh sleeps no delays.
const sessionWait = 30 * time.Second

// bench is a directory with a configuration around the text of one plan.
type bench struct {
	exim   string
	dir    string
	socket string
	plan   *plan.Plan
	dkim   bool    // this Exim verifies signatures
	events bool    // this Exim tells of failed deliveries
	faults []Fault // each text once
}

// Run has the Exim binary read the text of p and execute it, in sessions with
// nobody at the other end: every half of every stage, for every traffic that a
// policy concerns, with every answer that the helper could give, and with no helper
// at all; and each rate that Exim counts itself. The text is made once more for that,
// with another socket, so that a running helper hears nothing of it, and with other
// rates. The site's own ACLs are replaced by ones that accept. A verdict that cannot
// be seen in its session is a fault, too.
func Run(ctx context.Context, exim string, p *plan.Plan) ([]Fault, error) {
	path, err := exec.LookPath(exim)
	if err != nil {
		return nil, cmp.Or(noProgram(exim, err), err)
	}
	dir, err := benchDir()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b := &bench{exim: path, dir: dir, socket: filepath.Join(dir, "s")}
	if err := b.write(rated(p, nowhere)); err != nil {
		return nil, err
	}
	if fault, err := b.read(ctx); err != nil || fault != nil {
		return fault, err
	}
	if err := b.relayID(ctx, p.RelayID); err != nil {
		return nil, err
	}
	if err := b.sessions(ctx, plannedSessions(b.plan)); err != nil {
		return nil, err
	}
	if err := b.rates(ctx, p); err != nil {
		return nil, err
	}
	return b.faults, nil
}

// longestDir leaves room for a socket's name: its path has at most 107 bytes.
const longestDir = 90

// benchDir is a new directory that Exim, which gives up root's privilege before it
// reads all of its configuration, can enter.
func benchDir() (string, error) {
	parent := ""
	for _, p := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if len(p) < longestDir-len("/exipol-check-0123456789") && open(p) {
			parent = p
			break
		}
	}
	dir, err := os.MkdirTemp(parent, "exipol-check-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// open says whether everybody can pass through a directory and all above it, which
// matters to root only: for anybody else Exim stays who it is.
func open(path string) bool {
	for os.Geteuid() == 0 {
		info, err := os.Stat(path)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		above := filepath.Dir(path)
		if above == path {
			break
		}
		path = above
	}
	return true
}

// write makes the text for this directory.
func (b *bench) write(p *plan.Plan) error {
	here := *p
	here.Socket, here.Directory, here.Blocked = b.socket, b.dir, filepath.Join(b.dir, "blocked")
	if here.RelayID != "" {
		here.RelayID = "relay" // relayID runs what is the site's, once
	}
	here.Stages = slices.Clone(p.Stages)
	for i := range here.Stages {
		if here.Stages[i].Name == plan.Dkim {
			here.Stages[i].SiteACL = signatureACL
		}
	}
	if err := here.Seal(); err != nil {
		return err
	}
	b.plan = &here
	files, err := emit.Files(&here, nil, "")
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Name == emit.MainFile || f.Name == emit.ACLFile {
			if err := os.WriteFile(filepath.Join(b.dir, f.Name), f.Data, 0o644); err != nil {
				return err
			}
		}
	}
	// A file of blocks that is read, and in which nobody of the sessions' is.
	nobody := wire.BlockedKey("", "nobody") + ": " + accept + "\n"
	if err := os.WriteFile(here.Blocked, []byte(nobody), 0o644); err != nil {
		return err
	}
	for _, sub := range []string{"log", "spool"} {
		path := filepath.Join(b.dir, sub)
		if err := os.MkdirAll(path, 0o777); err != nil {
			return err
		}
		// Exim writes there as its own user, whoever starts it.
		if err := os.Chmod(path, 0o777); err != nil {
			return err
		}
	}
	return os.WriteFile(b.config(), []byte(configuration(&here, b.dir)), 0o644)
}

// hasMacro says whether an Exim has a macro.
func hasMacro(ctx context.Context, exim, config, macro string) bool {
	out, err := exec.CommandContext(ctx, exim, "-C", config, "-bP", "macros").Output()
	return err == nil && slices.ContainsFunc(strings.Fields(string(out)), func(word string) bool {
		name, _, _ := strings.Cut(word, "=")
		return name == macro
	})
}

func (b *bench) config() string { return filepath.Join(b.dir, "exim.conf") }

// read has Exim read the configuration, which proves the names in it.
func (b *bench) read(ctx context.Context) ([]Fault, error) {
	ctx, cancel := context.WithTimeout(ctx, sessionWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.exim, "-C", b.config(), "-bV")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	if err == nil {
		b.dkim = hasMacro(ctx, b.exim, b.config(), "_HAVE_DKIM")
		b.events = hasMacro(ctx, b.exim, b.config(), "_HAVE_EVENT")
		return nil, nil
	}
	if stderr.Len() == 0 {
		return nil, fmt.Errorf("%s -bV: %w", b.exim, err)
	}
	return []Fault{{"reading the text", b.clean(stderr.String())}}, nil
}

// clean takes the times and this directory out of Exim's words.
func (b *bench) clean(text string) string {
	text = strings.ReplaceAll(strings.TrimSpace(text), b.dir+"/", "")
	text = messageID.ReplaceAllString(logTime.ReplaceAllString(text, ""), "")
	return strings.Join(strings.Fields(text), " ")
}

var logTime = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d `)

// messageID is what a log line begins with that is about a message.
var messageID = regexp.MustCompile(`(?m)^[0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4} `)

// trouble is how Exim speaks of what it could not do. What the text itself logs
// begins with "exipol:".
var trouble = regexp.MustCompile(`statement skipped|failed to expand|error in ACL|Temporary local problem|Unexpected failure|malformed|yntax error|unknown |invalid |missing |not allowed|cannot |can't |\) failed`)

// replied is how a policy's own text begins: whatever it says is no complaint. With
// 503 it comes again, at DATA.
var replied = regexp.MustCompile(`^(550[ -]5\.7\.1 |451[ -]4\.7\.1 |451[ -]4\.3\.2 |503-)`)

// sessions holds them all and collects the faults.
func (b *bench) sessions(ctx context.Context, all []session) error {
	helper := &standIn{path: b.socket}
	defer helper.stop()
	for _, s := range all {
		if strings.HasPrefix(s.at, plan.Delivery+".") && !b.events {
			continue
		}
		helper.stop()
		if helper.signed = s.signed && b.dkim; s.away {
			// nobody answers
		} else if err := helper.answer(s.at, s.answer); err != nil {
			return err
		}
		lines, err := b.run(ctx, s)
		if err != nil {
			return err
		}
		for _, line := range lines {
			if !slices.ContainsFunc(b.faults, func(f Fault) bool { return f.Text == line }) {
				b.faults = append(b.faults, Fault{s.name, line})
			}
		}
	}
	return nil
}

// call is how Exim is called for a session, and what it reads.
func (b *bench) call(s session) (args []string, input string) {
	to := func(name string) string { return name + "@" + domain(b.plan) }
	switch stage, _, _ := strings.Cut(s.at, "."); {
	case stage == plan.NotSMTP:
		// Errors are printed, not sent.
		return []string{"-odq", "-oi", "-oep", "-f", "sender@client.example", to("known"), to("unknown"), to("other")}, letter
	case stage == plan.Delivery:
		// A bounce to somebody who does not exist stays where it is.
		return []string{"-odf", "-oi", "-oep", "-f", to("unknown.sender"), to("unknown")}, letter
	case s.traffic == plan.Local:
		return []string{"-bs"}, dialogue(b.plan, s)
	}
	return []string{"-bh", s.client}, dialogue(b.plan, s)
}

// run holds one session and returns what Exim complained of.
func (b *bench) run(ctx context.Context, s session) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, sessionWait)
	defer cancel()
	args, input := b.call(s)
	cmd := exec.CommandContext(ctx, b.exim, append([]string{"-C", b.config()}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: %s: %w", b.exim, s.name, ctx.Err())
	}
	var found, all []string
	note := func(line string, complaint bool) {
		all = append(all, line)
		if complaint && !strings.Contains(line, "exipol: ") && !replied.MatchString(line) {
			found = append(found, b.clean(line))
		}
	}
	for line := range strings.Lines(out.String()) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "LOG: ")
		if !strings.HasPrefix(line, ">>>") {
			note(line, trouble.MatchString(line))
		}
	}
	// Sessions without -bh write their log, and every panic is a fault.
	for _, name := range []string{"mainlog", "paniclog"} {
		text, _ := os.ReadFile(filepath.Join(b.dir, "log", name))
		for line := range strings.Lines(string(text)) {
			note(strings.TrimSpace(line), name == "paniclog" || trouble.MatchString(line))
		}
		os.Remove(filepath.Join(b.dir, "log", name))
	}
	// After a session that it closed itself, as for drop, and where it did not take a message
	// without SMTP, Exim may end with 1.
	if err != nil && len(found) == 0 && (len(s.expect) == 0 || !cmd.ProcessState.Exited()) {
		found = append(found, fmt.Sprintf("Exim ended with %v: %s", err, b.clean(lastLine(out.String()))))
	}
	for _, want := range s.expect {
		if pattern := regexp.MustCompile(want); len(found) == 0 && !slices.ContainsFunc(all, pattern.MatchString) {
			found = append(found, fmt.Sprintf("nothing in the session matches %s", want))
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}
