package eximconf

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"exipol/generator/plan"
	"exipol/internal/eximtest"
)

// freezing is a plan whose one block freezes.
func freezing(layout string) *plan.Plan {
	return &plan.Plan{Layout: layout, Source: plan.FromLog, Limits: []plan.Limit{{Name: "a", Mode: plan.Enforce, Tiers: []plan.Tier{{Name: "t", Block: &plan.Block{Verdict: plan.Freeze}}}}}}
}

// planLayout is what the policies of a bed's site say of it.
func planLayout(l eximtest.Layout) string {
	if l == eximtest.DebianSplit || l == eximtest.DebianUnsplit {
		return "debian"
	}
	return "upstream"
}

// queue is a bed in whose queue a block holds a message that came in some time ago.
type queue struct {
	*eximtest.Bed
	t *testing.T
}

func newQueue(t *testing.T, layout eximtest.Layout, setting string) *queue {
	b := eximtest.New(t, layout)
	b.Main = "acl_not_smtp = exipol_not_smtp\n" + setting
	b.ACL = held("freeze/no_tell")
	b.Configure()
	return &queue{b, t}
}

// held is an ACL that freezes what hold sends; Exim's own bounces come through it, too.
func held(control string) string {
	return "exipol_not_smtp:\n  warn    condition = ${if eq{$h_subject:}{buy}}\n          control = " + control + "\n  accept\n"
}

// mend does what the findings ask for: in Exim's default configuration, in place of the lines there.
func (q *queue) mend(lines, options []string) {
	var rest []string
	for i, line := range lines {
		if q.Layout != eximtest.Upstream || !strings.Contains(q.Config(), "\n"+options[i]+" = ") || strings.Contains(q.Main, options[i]) {
			rest = append(rest, line)
		}
	}
	q.Edit = func(conf string) string {
		for i, line := range lines {
			if q.Layout == eximtest.Upstream && !strings.Contains(q.Main, options[i]) {
				conf = regexp.MustCompile(`(?m)^`+options[i]+` = .*$`).ReplaceAllLiteralString(conf, line)
			}
		}
		return conf
	}
	q.set(strings.Join(rest, "\n") + "\n")
}

// set gives the site other settings.
func (q *queue) set(setting string) {
	q.Main = "acl_not_smtp = exipol_not_smtp\n" + setting
	q.Configure()
}

// hold puts a message into the queue that came in, and was frozen, so long ago.
func (q *queue) hold(sender string, ago time.Duration) (id string) {
	q.t.Helper()
	if _, _, err := q.Exec("Subject: buy\n\nspam\n", "-oi", "-f", sender, "--", "bob@local.test"); err != nil {
		q.t.Fatal(err)
	}
	waiting := q.Queue()
	if len(waiting) != 1 || !waiting[0].Frozen {
		q.t.Fatalf("not held: %v", waiting)
	}
	q.age(waiting[0].ID, ago)
	return waiting[0].ID
}

var (
	received = regexp.MustCompile(`(?m)^\d{10} \d+$`)
	frozenAt = regexp.MustCompile(`(?m)^-frozen \d+$`)
)

// age makes a message in the queue older (Exim's specification, "Format of the -H file").
func (q *queue) age(id string, ago time.Duration) {
	q.t.Helper()
	name := q.Path("spool/input/" + id + "-H")
	text, err := os.ReadFile(name)
	if err != nil {
		found, _ := filepath.Glob(q.Path("spool/input/?/" + id + "-H")) // split_spool_directory
		if len(found) != 1 {
			q.t.Fatal(err)
		}
		name = found[0]
		if text, err = os.ReadFile(name); err != nil {
			q.t.Fatal(err)
		}
	}
	then := strconv.FormatInt(time.Now().Add(-ago).Unix(), 10)
	aged := received.ReplaceAllString(string(text), then+" 0")
	aged = frozenAt.ReplaceAllString(aged, "-frozen "+then)
	if strings.Count(aged, then) != 2 {
		q.t.Fatalf("cannot age this:\n%s", text)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	if err == nil {
		_, err = f.WriteString(aged)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		q.t.Fatal(err)
	}
}

// readable is a copy of a bed's configuration: Exim reads none for root that is another user's.
func readable(t *testing.T, b *eximtest.Bed) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "exim.conf")
	if err := os.WriteFile(name, []byte(b.Config()), 0o644); err != nil { //nolint:gosec // Exim reads it
		t.Fatal(err)
	}
	return name
}

// judged is what is said of the bed's settings.
func (q *queue) judged() []Finding {
	q.t.Helper()
	c, err := Ask(context.Background(), eximtest.Find(q.t), readable(q.t, q.Bed))
	if err != nil {
		q.t.Fatal(err)
	}
	return c.Freezing(freezing(planLayout(q.Layout)), nil)
}

// mends are the lines that the faults ask for.
func (q *queue) mends(findings []Finding) (lines, options []string) {
	q.t.Helper()
	for _, f := range findings {
		if f.Level != Fault {
			continue
		}
		m := regexp.MustCompile(`put (?:the line )?("[^"]*") into (\S+)`).FindStringSubmatch(f.Mend)
		if m == nil {
			q.t.Fatalf("%s: no line to set in %q", f.Option, f.Mend)
		}
		line, err := strconv.Unquote(m[1])
		if err != nil {
			q.t.Fatal(err)
		}
		lines, options = append(lines, line), append(options, f.Option)
		if want := q.macroFile(); want != "" && strings.TrimSuffix(m[2], ",") != want {
			q.t.Errorf("%s goes into %s, want %s", line, m[2], want)
		}
	}
	return lines, options
}

func (q *queue) macroFile() string {
	switch q.Layout {
	case eximtest.DebianUnsplit:
		return q.ConfDir() + "/exim4.conf.localmacros"
	case eximtest.DebianSplit:
		return q.ConfDir() + "/conf.d/main/000_localmacros"
	}
	return ""
}

func (q *queue) stillHeld(id, with string) {
	q.t.Helper()
	q.RunQueue(false)
	if waiting := q.Queue(); len(waiting) != 1 || waiting[0].ID != id || !waiting[0].Frozen {
		q.t.Errorf("%s: the message is not held any more: %v\n%s", with, waiting, strings.Join(q.Log("mainlog"), "\n"))
	}
	if mail := q.Mailbox(); len(mail) != 0 {
		q.t.Errorf("%s: mail went out: %+v", with, mail)
	}
}

// What Exim does by these settings to mail that is held, that it is said, and that the line
// which is recommended stops it: on a real Exim, in each configuration that there is.
func TestHeldMail(t *testing.T) {
	const day = 24 * time.Hour
	const forged = "dave@local.test"
	for _, c := range []struct {
		name, setting, stock string // stock: in Debian's configuration without any setting
		option               string
		sender               string
		age                  time.Duration
		log                  string
		from, to             string // the mail that goes out
	}{
		{"bounced", "timeout_frozen_after = 7d", "debian", "timeout_frozen_after", forged, 8 * day, "cancelled by timeout_frozen_after", "", forged},
		{"delivered by auto_thaw", "auto_thaw = 1h", "", "auto_thaw", forged, 2 * time.Hour, "Unfrozen by auto-thaw", forged, "bob@local.test"},
		{"delivered for a null sender", "ignore_bounce_errors_after = 2d", "debian", "ignore_bounce_errors_after", "<>", 3 * day, "Unfrozen by errmsg timer", "", "bob@local.test"},
	} {
		for _, layout := range eximtest.Layouts {
			t.Run(fmt.Sprintf("%s/%s", c.name, layout), func(t *testing.T) {
				t.Parallel()
				setting := c.setting
				if c.stock == planLayout(layout) || layout == eximtest.Upstream && c.option != "auto_thaw" {
					setting = "" // the same value, by the distributed file
				}
				q := newQueue(t, layout, setting)
				id := q.hold(c.sender, c.age)
				lines, options := q.mends(q.judged())
				if !strings.Contains(strings.Join(options, " "), c.option) {
					t.Fatalf("nothing is said of %s: %v", c.option, options)
				}

				q.mend(lines, options)
				for _, f := range q.judged() {
					if f.Level == Fault {
						t.Errorf("with %q: %s", lines, f.Text)
					}
				}
				q.stillHeld(id, strings.Join(lines, "; "))

				q.Edit = nil
				q.set(setting)
				q.RunQueue(false)
				mail := q.WaitMail(1)
				if len(mail) != 1 || mail[0].Sender != c.from || mail[0].Recipient != c.to || !strings.Contains(mail[0].Header+mail[0].Body, "spam") {
					t.Errorf("mail: %+v", mail)
				}
				if len(q.Grep(c.log)) != 1 {
					t.Errorf("the log has no %q:\n%s", c.log, strings.Join(q.Log("mainlog"), "\n"))
				}
			})
		}
	}
}

// Where Exim moves frozen messages away, its own commands do not find them.
func TestMovedAway(t *testing.T) {
	t.Parallel()
	q := newQueue(t, eximtest.Small, "")
	c, err := Ask(context.Background(), eximtest.Find(t), readable(t, q.Bed))
	if err != nil {
		t.Fatal(err)
	}
	if c.values["move_frozen_messages"] == "" {
		t.Log("this Exim was built without move_frozen_messages: nothing to be said of it")
		return
	}
	q.set("move_frozen_messages\n")
	id := q.hold("dave@local.test", time.Hour)
	lines, _ := q.mends(q.judged())
	if len(lines) != 1 || lines[0] != "move_frozen_messages = false" {
		t.Fatalf("lines to set: %q", lines)
	}
	q.set(lines[0] + "\n")
	q.stillHeld(id, lines[0])
	q.set("move_frozen_messages\n")
	q.RunQueue(false)
	if waiting := q.Queue(); len(waiting) != 0 {
		t.Errorf("still there: %v", waiting)
	}
	if found, _ := filepath.Glob(q.Path("spool/Finput/*" + id + "-H")); len(found) != 1 {
		t.Errorf("it is not in Finput: %v", found)
	}
}

// freeze_tell says nothing of what the generated text freezes, nor of what exim -Mf does.
func TestNobodyIsTold(t *testing.T) {
	t.Parallel()
	q := newQueue(t, eximtest.Small, "freeze_tell = alice@local.test\n")
	id := q.hold("dave@local.test", time.Hour)
	for _, f := range q.judged() {
		if f.Option == "freeze_tell" {
			t.Errorf("%+v", f)
		}
	}
	for _, args := range [][]string{{"-Mt", id}, {"-Mf", id}} {
		if _, _, err := q.Exec("", args...); err != nil {
			t.Fatal(err)
		}
	}
	q.stillHeld(id, "freeze_tell")
	// The test would see it: without no_tell somebody is told.
	q.ACL = held("freeze")
	q.set("freeze_tell = alice@local.test\n")
	if _, _, err := q.Exec("Subject: buy\n\nx\n", "-oi", "-f", "dave@local.test", "--", "bob@local.test"); err != nil {
		t.Fatal(err)
	}
	if mail := q.WaitMail(1); mail[0].Recipient != "alice@local.test" {
		t.Errorf("told: %+v", mail)
	}
}
