package verify

import (
	"bytes"
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
}

// Run has the Exim binary read the text of p and execute it, in sessions with
// nobody at the other end: every stage, for every traffic that a policy concerns,
// with every answer that the helper could give, and with no helper at all. The
// text is made once more for that, with another socket, so that a running helper
// hears nothing of it. The site's own ACLs are replaced by ones that accept.
func Run(ctx context.Context, exim string, p *plan.Plan) ([]Fault, error) {
	exim, err := exec.LookPath(exim)
	if err != nil {
		return nil, err
	}
	dir, err := benchDir()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b := &bench{exim: exim, dir: dir, socket: filepath.Join(dir, "s")}
	if err := b.write(p); err != nil {
		return nil, err
	}
	if fault, err := b.read(ctx); err != nil || fault != nil {
		return fault, err
	}
	return b.sessions(ctx)
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
	here.Socket, here.Directory = b.socket, b.dir
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
	for _, sub := range []string{"log", "spool"} {
		path := filepath.Join(b.dir, sub)
		if err := os.Mkdir(path, 0o777); err != nil {
			return err
		}
		// Exim writes there as its own user, whoever starts it.
		if err := os.Chmod(path, 0o777); err != nil {
			return err
		}
	}
	return os.WriteFile(b.config(), []byte(configuration(&here, b.dir)), 0o644)
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
	text = logTime.ReplaceAllString(text, "")
	return strings.Join(strings.Fields(text), " ")
}

var logTime = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d `)

// trouble is how Exim speaks of what it could not do. What the text itself logs
// begins with "exipol:".
var trouble = regexp.MustCompile(`statement skipped|failed to expand|error in ACL|Temporary local problem|Unexpected failure|malformed|yntax error|unknown |invalid |missing |not allowed|cannot |can't `)

// session is one SMTP session: who calls, and what the helper's stand-in answers.
type session struct {
	traffic string
	null    bool   // null sender
	answer  string // "" for no helper at all
	name    string
}

func (b *bench) sessions(ctx context.Context) ([]Fault, error) {
	helper := &standIn{path: b.socket}
	defer helper.stop()
	var faults []Fault
	seen := map[string]bool{}
	for _, s := range plannedSessions(b.plan) {
		if err := helper.answer(s.answer); err != nil {
			return nil, err
		}
		lines, err := b.run(ctx, s)
		if err != nil {
			return nil, err
		}
		for _, line := range lines {
			if !seen[line] {
				seen[line] = true
				faults = append(faults, Fault{s.name, line})
			}
		}
	}
	return faults, nil
}

// run holds one session and returns what Exim complained of.
func (b *bench) run(ctx context.Context, s session) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, sessionWait)
	defer cancel()
	args := []string{"-C", b.config()}
	if s.traffic == plan.Local {
		args = append(args, "-bs")
	} else {
		args = append(args, "-bh", client(b.plan, s.traffic))
	}
	cmd := exec.CommandContext(ctx, b.exim, args...)
	cmd.Stdin = strings.NewReader(dialogue(b.plan, s))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: %s: %w", b.exim, s.name, ctx.Err())
	}
	var found []string
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, ">>>") || strings.Contains(line, "exipol: ") {
			continue
		}
		if line = strings.TrimPrefix(line, "LOG: "); trouble.MatchString(line) {
			found = append(found, b.clean(line))
		}
	}
	// Sessions without -bh write their log, and every panic is a fault.
	for _, name := range []string{"mainlog", "paniclog"} {
		text, _ := os.ReadFile(filepath.Join(b.dir, "log", name))
		for line := range strings.Lines(string(text)) {
			if name == "paniclog" || trouble.MatchString(line) && !strings.Contains(line, "exipol: ") {
				found = append(found, b.clean(line))
			}
		}
		os.Remove(filepath.Join(b.dir, "log", name))
	}
	if err != nil && len(found) == 0 {
		found = append(found, fmt.Sprintf("Exim ended with %v: %s", err, b.clean(lastLine(out.String()))))
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}
