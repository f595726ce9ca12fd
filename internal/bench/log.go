package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"exipol/generator/plan"
	"exipol/helper/engine"
	"exipol/helper/store/sqlite"
	"exipol/helper/watch"
	"exipol/internal/busylog"
)

// log measures how fast a log is followed, beside what administrators would search it with.
func (b *bench) log() {
	big := b.writeLog("mainlog", time.Now().Add(-9*time.Hour))
	joined := fmt.Sprintf("%d bounces of %d owners", big.Bounces, big.Owners)
	runs := []*logRun{
		{name: "`wc -l`", args: []string{"wc", "-l", big.File}, want: strconv.FormatInt(big.Lines, 10) + " " + big.File},
		{name: "`LC_ALL=C grep -c ' \\*\\* '`", args: []string{"grep", "-c", ` \*\* `, big.File}, want: strconv.FormatInt(big.Stars, 10)},
		{name: "`perl`, joined by id with hashes", args: []string{"perl", "-e", perlJoin, big.File}, loose: true},
		{name: "the follower, counting in memory", args: []string{b.exe, "count-log", big.File}, want: joined},
	}
	for round := range b.o.logRounds {
		for i := range runs {
			b.timeRun(runs[(i+round)%len(runs)], big)
		}
	}
	store := &logRun{name: "`exipold watch --once`, SQLite", want: fmt.Sprintf("%d events", big.Bounces)}
	for n := range min(3, b.o.logRounds) {
		p := b.logPlan(fmt.Sprintf("recent%d", n))
		store.args = []string{b.o.exipold, "watch", "--once", "--plan", p, "--gateway", "bench", "--mainlog-timezone", "UTC", big.File}
		b.timeRun(store, big)
	}
	old := b.writeLog("old", time.Now().Add(-4*24*time.Hour))
	late := &logRun{name: "the same, a log of four days ago", want: "0 events"}
	for n := range min(3, b.o.logRounds) {
		p := b.logPlan(fmt.Sprintf("old%d", n))
		late.args = []string{b.o.exipold, "watch", "--once", "--plan", p, "--gateway", "bench", "--mainlog-timezone", "UTC", old.File}
		b.timeRun(late, old)
	}
	b.showLog(big, append(runs, store, late), runs[1], runs[3])
}

// perlJoin is what a script does that matches by position and joins by id: hashes of all arrivals.
const perlJoin = `while (<>) { my $id = substr($_, 20, 16); my $f = substr($_, 37, 3);
if ($f eq "<= ") { $by{$id} = $1 if / A=[^: ]+:(.+?) S=\d/; } elsif ($f eq "** ") { if (my $w = $by{$id}) { $n++; $who{$w}++; } }
elsif ($f eq "Com") { delete $by{$id}; } } print "$n bounces of " . keys(%who) . " owners\n";`

// bigLog is a log, and what is in it.
type bigLog struct {
	File                            string
	Size, Lines, Arrivals, Failures int64
	Stars                           int64 // lines that grep finds
	Bounces, Owners                 int   // failures that somebody answers for
}

// writeLog has a log written by a process of its own: what that took of memory would be in the figures of those
// who are started later, for the kernel counts from before they become another program.
func (b *bench) writeLog(name string, from time.Time) (l bigLog) {
	b.logf("log: writing %s, %d MiB", name, b.o.logSize)
	cmd := exec.Command(b.exe, "write-log", b.path(name), strconv.Itoa(b.o.logSize), strconv.FormatUint(b.o.seed, 10), from.UTC().Format(time.RFC3339))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &l)
	}
	if err != nil {
		b.Fatalf("log: %v", err)
	}
	return l
}

// writeLog writes a log of some 40 messages a second, and prints what is in it.
func writeLog(file, mib, seed, from string) error {
	size, err := strconv.Atoi(mib)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		return err
	}
	start, err := time.Parse(time.RFC3339, from)
	if err != nil {
		return err
	}
	l := busylog.New(busylog.Options{Seed: n, Start: start, PerSecond: 41})
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	out := bigLog{File: file}
	w := bufio.NewWriterSize(f, 1<<20)
	for out.Size < int64(size)<<20 {
		n, err := w.Write(l.Second())
		if err != nil {
			return err
		}
		out.Size += int64(n)
	}
	// It is on disk when others are measured.
	if err := errors.Join(w.Flush(), f.Sync(), f.Close()); err != nil {
		return err
	}
	t := l.Truth()
	out.Lines, out.Arrivals, out.Failures, out.Stars = t.Lines, t.Arrivals, t.Failures, t.Stars
	owners := map[string]bool{}
	for e, n := range t.Events {
		if e.Event == plan.Bounce {
			out.Bounces += n
			owners[e.Who] = true
		}
	}
	out.Owners = len(owners)
	return json.NewEncoder(os.Stdout).Encode(out)
}

// logRun is a program that reads the log, and how long it took.
type logRun struct {
	name  string
	args  []string
	want  string // in what it prints
	loose bool   // what it prints is near the truth, and shown
	said  string
	rate  series // MB/s
	cpu   series // seconds of processor time
	wall  series // seconds
	most  series // MiB resident at most
}

// timeRun runs it once, and checks its answer.
func (b *bench) timeRun(r *logRun, l bigLog) {
	cmd := exec.Command(r.args[0], r.args[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Dir = b.dir
	var said bytes.Buffer
	cmd.Stderr = &said
	begin := time.Now()
	out, err := cmd.Output()
	took := time.Since(begin)
	if err != nil {
		b.Fatalf("%s: %v\n%s", r.name, err, said.String())
	}
	if r.said = strings.TrimSpace(string(out)); !r.loose && !strings.Contains(r.said, r.want) {
		b.Fatalf("%s: %q, want %q", r.name, r.said, r.want)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		b.Fatalf("%s: no figures of its use", r.name)
	}
	r.rate = append(r.rate, float64(l.Size)/1e6/took.Seconds())
	r.wall = append(r.wall, took.Seconds())
	r.cpu = append(r.cpu, (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
	r.most = append(r.most, float64(usage.Maxrss)/1024)
}

func (b *bench) showLog(l bigLog, runs []*logRun, grep, ours *logRun) {
	var rows [][]string
	for _, r := range runs {
		answer := ""
		if r.loose {
			answer = r.said
		}
		rows = append(rows, []string{r.name, r.rate.show(0), r.wall.show(2), r.cpu.show(2), r.rate.over(grep.rate).show(2), r.most.show(0), answer})
	}
	table(fmt.Sprintf("A log of %s MiB, %s lines, %s messages, %s failures, %s of them somebody's (%s owners)", number(float64(l.Size>>20), 0), number(float64(l.Lines), 0),
		number(float64(l.Arrivals), 0), number(float64(l.Failures), 0), number(float64(l.Bounces), 0), number(float64(l.Owners), 0)),
		[]string{"what", "MB/s", "s", "CPU s", "of grep's rate", "MiB resident at most", "says"}, rows)
	table("Against the goals: the log", []string{"what", "exipold", "goal", ""}, [][]string{
		{"rate of grep, attribution included", ours.rate.over(grep.rate).show(2), "more than 1", verdict(ours.rate.over(grep.rate), 1, true)},
		{"CPU of grep's", ours.cpu.over(grep.cpu).show(2), "", ""},
		{"MiB resident at most, with the store", runs[len(runs)-2].most.show(0), "under 64", verdict(runs[len(runs)-2].most, 64, false)},
	})
}

// logPlan writes a plan with a limit on bounces, and makes its store.
func (b *bench) logPlan(name string) (file string) {
	dir := b.folder("log-" + name)
	p := bouncePlan(dir)
	if err := p.Seal(); err != nil {
		b.Fatalf("log: %v", err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		b.Fatalf("log: %v", err)
	}
	file = filepath.Join(dir, "plan.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		b.Fatalf("log: %v", err)
	}
	s, err := sqlite.Open(context.Background(), p.Store.Path, sqlite.Options{Create: true})
	if err != nil {
		b.Fatalf("log: %v", err)
	}
	if _, err := s.Migrate(context.Background(), p.Tables); err != nil {
		b.Fatalf("log: %v", err)
	}
	if err := s.Close(); err != nil {
		b.Fatalf("log: %v", err)
	}
	return file
}

func bouncePlan(dir string) *plan.Plan {
	hour, day := plan.Duration(time.Hour), plan.Duration(24*time.Hour)
	return &plan.Plan{
		Exim: "4.94", Layout: "custom", Source: plan.FromLog, Domains: []string{busylog.Domain}, RelayHosts: []string{busylog.Relays},
		Socket: filepath.Join(dir, "exipold.sock"), Timeout: plan.Duration(3 * time.Second), Blocked: filepath.Join(dir, "blocked"), Spool: dir,
		Store: plan.Store{Kind: "sqlite", Path: filepath.Join(dir, "exipol.db")}, Tables: plan.Tables(plan.Needs{Counter: true, Desk: true, Log: true}),
		Limits: []plan.Limit{{
			Name: "bounces", Events: []plan.WeightedEvent{{Event: plan.Bounce, Weight: 1}}, Key: []plan.Part{{Field: "owner"}},
			Engine: plan.EngineHelper, Mode: plan.Enforce, OnFailure: plan.Pass, Windows: []plan.Duration{hour, day},
			Tiers: []plan.Tier{{Name: "slow", Over: []plan.Rate{{Count: 60, Per: hour}, {Count: 300, Per: day}}, Verdict: plan.Defer, Message: "later"}},
		}},
	}
}

// inMemory counts by owner, as a script would.
type inMemory struct {
	n      int
	owners map[string]int
}

func (m *inMemory) Count(_ context.Context, f func(tx engine.Transaction, count func(engine.Happening) error) error) error {
	return f(nothing{}, func(h engine.Happening) error {
		m.n++
		client := ""
		if h.Client.IsValid() {
			client = h.Client.String()
		}
		m.owners[engine.Owner(h.Auth, h.User, client)]++
		return nil
	})
}

func (m *inMemory) Places(context.Context) ([]engine.PutPlace, error) { return nil, nil }

// nothing is a transaction that keeps nothing.
type nothing struct{ engine.State }

func (nothing) Apply([]engine.Write) error { return nil }

func (nothing) Arrival(string, string) (engine.Arrival, bool, error) {
	return engine.Arrival{}, false, nil
}

// countLog is the follower without a store, in a process of its own.
func countLog(file string) error {
	debug.SetGCPercent(50) // as exipold has it
	m := &inMemory{owners: map[string]int{}}
	p := bouncePlan("")
	err := watch.New(watch.Options{
		Gateway: "bench", Plan: func() *plan.Plan { return p }, Counter: m, Places: m, Logs: []string{file}, Once: true, Log: slog.Default(),
	}).Run(context.Background())
	fmt.Printf("%d bounces of %d owners\n", m.n, len(m.owners))
	return err
}
