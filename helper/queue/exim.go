package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Exim is the exim program.
type Exim struct {
	Path string
	// Arguments stand before all others, as -C and a file.
	Arguments []string
	// Prepare, where set, sees each command before it is started.
	Prepare func(*exec.Cmd)
}

// Deadlines of one run of the program. A delivery takes as long as it takes, and is never broken off.
const (
	changeDeadline = time.Minute
	submitDeadline = time.Minute
)

// atOnce is how many messages one run is given: a command line has an end.
const atOnce = 100

// Freeze freezes messages (-Mf), Thaw thaws them (-Mt) without a delivery, Remove removes them
// without a bounce (-Mrm). An error is what Exim had to say, of any of them: what became of each is to be
// read from the spool.
func (e Exim) Freeze(ctx context.Context, messages []Message) error {
	return e.change(ctx, "-Mf", messages)
}

// Thaw is described with Freeze.
func (e Exim) Thaw(ctx context.Context, messages []Message) error {
	return e.change(ctx, "-Mt", messages)
}

// Remove is described with Freeze.
func (e Exim) Remove(ctx context.Context, messages []Message) error {
	return e.change(ctx, "-Mrm", messages)
}

// Deliver has Exim try messages (-Mc), one after the other, and comes back when that is done. When ctx
// ends it comes back, too, and the tries go on.
func (e Exim) Deliver(ctx context.Context, messages []Message) error {
	return e.each(messages, func(args []string) error { return e.run(ctx, nil, args) }, "-Mc")
}

func (e Exim) change(ctx context.Context, option string, messages []Message) error {
	return e.each(messages, func(args []string) error {
		ctx, cancel := context.WithTimeout(ctx, changeDeadline)
		defer cancel()
		return e.run(ctx, nil, args)
	}, option)
}

// each calls run with a command line for a good number of messages of one queue at a time. The first error
// is returned, after all were called; where Exim hung over some it is left alone with the rest, which would
// hang as well.
func (e Exim) each(messages []Message, run func(args []string) error, option string) error {
	byQueue := map[string][]string{}
	var queues []string
	for _, m := range messages {
		if !ValidID(m.ID) {
			return fmt.Errorf("%q is no message's id", m.ID)
		}
		if _, known := byQueue[m.Queue]; !known {
			queues = append(queues, m.Queue)
		}
		byQueue[m.Queue] = append(byQueue[m.Queue], m.ID)
	}
	var first error
	for _, queue := range queues {
		var before []string
		if queue != "" {
			before = []string{"-qG" + queue}
		}
		for ids := range slices.Chunk(byQueue[queue], atOnce) {
			err := run(slices.Concat(before, []string{option}, ids))
			if errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			if first == nil {
				first = err
			}
		}
	}
	return first
}

// Submit gives Exim a message for some recipients: addresses, or logins, which Exim qualifies. It is in
// the queue when this returns without an error.
func (e Exim) Submit(ctx context.Context, sender string, recipients []string, message []byte) error {
	for _, r := range recipients {
		if !ValidAddress(r) && !ValidLogin(r) {
			return fmt.Errorf("%q is no address to send to", r)
		}
	}
	if sender == "" || !ValidAddress(sender) {
		sender = "<>"
	}
	ctx, cancel := context.WithTimeout(ctx, submitDeadline)
	defer cancel()
	return e.run(ctx, message, append([]string{"-oi", "-f", sender, "--"}, recipients...))
}

// ValidAddress says whether a text is an address of the plain kind, which can stand in an argument (where
// Exim would take a comma for the end of it) and in a header as it is. Quoted local parts and letters
// beyond ASCII are not of that kind.
func ValidAddress(s string) bool {
	local, domain, found := strings.Cut(s, "@")
	return found && len(s) <= 254 && ValidLogin(local) && plain(domain, "-.")
}

// ValidLogin says the same of a local part alone.
func ValidLogin(s string) bool {
	return len(s) <= 64 && plain(s, "!#$%&*+-/=?^_{}~.'") && s[0] != '-'
}

func plain(s, others string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && !strings.ContainsRune(others, rune(c)) {
			return false
		}
	}
	return s != "" && s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..")
}

// mostSaid is how much of what Exim says is kept.
const mostSaid = 2048

// run runs Exim, and waits for its end or for that of ctx. One that takes too long is asked to end; but a program
// that runs with root's rights cannot always be ended by who started it: then it goes on, and nobody waits for it.
func (e Exim) run(ctx context.Context, input []byte, args []string) error {
	cmd := exec.Command(e.Path, append(slices.Clone(e.Arguments), args...)...)
	said := &said{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), said, said
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.Dir = "/"
	// What Exim leaves running (a delivery in the background) may hold the pipes for long.
	cmd.WaitDelay = time.Second
	if e.Prepare != nil {
		e.Prepare(cmd)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run Exim: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err == nil || errors.Is(err, exec.ErrWaitDelay) {
			return nil
		}
		return fmt.Errorf("%s: %w%s", e.Path, err, said.first())
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
		return fmt.Errorf("%s does not end: %w", e.Path, ctx.Err())
	}
}

// said keeps the beginning of what a program says.
type said struct {
	mu   sync.Mutex
	text []byte
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, b[:min(len(b), mostSaid-len(s.text))]...)
	return len(b), nil
}

// mostQuoted is how much of it an error has.
const mostQuoted = 300

// first is its first paragraph as one line, quoted, for messages may be in it that strangers wrote. Exim says in the
// second line what is wrong with its configuration.
func (s *said) first() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, _, _ := strings.Cut(strings.TrimSpace(string(s.text)), "\n\n")
	line := strings.Join(strings.Fields(text), " ")
	if line == "" {
		return ""
	}
	return ": " + strconv.Quote(line[:min(len(line), mostQuoted)])
}
