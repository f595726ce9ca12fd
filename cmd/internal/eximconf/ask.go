// Package eximconf asks a real Exim about its configuration, and says which of its settings
// would undo what a plan does: release, bounce or hide the mail that a block holds, or keep the log
// from being followed. Both programs say so: exipol of a configuration that it is shown, exipold
// of the gateway that it runs on.
package eximconf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// usual is where systems keep Exim.
var usual = []string{"/usr/sbin/exim4", "/usr/sbin/exim", "/usr/exim/bin/exim", "/usr/local/sbin/exim"}

// Find is the Exim of this machine: in one of the usual places, or on PATH; "" for none. The usual places come
// first, so that root and a user, and a service and a shell, find the same one.
func Find() string {
	for _, path := range usual {
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	for _, name := range []string{"exim4", "exim"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Config is what an Exim says of its configuration.
type Config struct {
	file   string // as Exim names it
	values map[string]string
	macros map[string]string // empty where the caller may not see them
	split  string            // Debian's answer to dc_use_split_config, "" where nobody knows
}

// options are those that are judged here.
var options = []string{
	"configure_file", "timeout_frozen_after", "auto_thaw", "ignore_bounce_errors_after", "move_frozen_messages",
	"log_selector", "log_file_path", "helo_accept_junk_hosts", "timezone", "log_timezone", "spool_directory",
}

// Values asks the Exim binary for options of the configuration in file, or of its own where that is "". A
// switch is "true" or "false"; an option that this Exim does not have is left out.
func Values(ctx context.Context, exim, file string, options ...string) (map[string]string, error) {
	said, err := ask(ctx, exim, file, options...)
	return parse(said, options), err
}

// Ask asks the Exim binary for what is judged here: of the configuration in file, or of its own
// where that is "".
func Ask(ctx context.Context, exim, file string) (*Config, error) {
	said, err := ask(ctx, exim, file, options...)
	if err != nil {
		return nil, err
	}
	c := &Config{values: parse(said, options), macros: map[string]string{}}
	for line := range strings.Lines(said) {
		// The one option that is printed without its name.
		if line = strings.TrimSpace(line); c.file == "" && strings.HasPrefix(line, "/") {
			c.file = line
		}
	}
	if c.file == "" {
		c.file = file
	}
	// Who is no admin of Exim's is shown no macros; Debian's are then presumed.
	if said, err := ask(ctx, exim, file, "macros"); err == nil {
		for line := range strings.Lines(said) {
			if name, value, found := strings.Cut(strings.TrimRight(line, "\n"), "="); found {
				c.macros[name] = value
			}
		}
	}
	c.split = splitConfig(c.confDir())
	return c, nil
}

func ask(ctx context.Context, exim, file string, options ...string) (string, error) {
	var args []string
	if file != "" {
		args = []string{"-C", file}
	}
	cmd := exec.CommandContext(ctx, exim, append(append(args, "-bP"), options...)...)
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("%s: no such program (--exim)", exim)
	case errors.Is(err, fs.ErrPermission):
		return "", fmt.Errorf("%s: no program that may be run (--exim)", exim)
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s -bP: no answer in time: %w", exim, ctx.Err())
	case err != nil:
		said := stderr.String()
		if said == "" {
			said = string(out)
		}
		first, _, _ := strings.Cut(strings.TrimSpace(said), "\n\n")
		return "", fmt.Errorf("%s -bP: %w: %s", exim, err, strings.Join(strings.Fields(first), " "))
	}
	return string(out), nil
}

// parse reads what exim -bP prints: "name = value", or for a switch its name, with no_ before it
// where it is off. Only what was asked for is taken, and the first time only: a value may have
// newlines in it. An option that this Exim does not have is not in the result.
func parse(said string, asked []string) map[string]string {
	values := map[string]string{}
	put := func(name, value string) {
		if _, there := values[name]; !there {
			values[name] = value
		}
	}
	for line := range strings.Lines(said) {
		line = strings.TrimRight(line, "\n")
		for _, name := range asked {
			switch {
			case line == name:
				put(name, "true")
			case line == "no_"+name:
				put(name, "false")
			case strings.HasPrefix(line, name+" ="):
				put(name, strings.TrimSpace(line[len(name)+2:]))
			}
		}
	}
	return values
}

// confDir is where Debian keeps what its configuration is made from.
func (c *Config) confDir() string {
	if dir := c.macros["CONFDIR"]; dir != "" {
		return dir
	}
	return "/etc/exim4"
}

var splitAnswer = regexp.MustCompile(`(?m)^\s*dc_use_split_config=['"]?(true|false)['"]?\s*$`)

// splitConfig is Debian's answer to whether the configuration is split into many files.
func splitConfig(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, "update-exim4.conf.conf"))
	if err != nil {
		return ""
	}
	all := splitAnswer.FindAllSubmatch(text, -1) // a shell reads it: the last one counts
	if len(all) == 0 {
		return ""
	}
	return string(all[len(all)-1][1])
}

// debianMacros set options of Debian's configuration.
var debianMacros = map[string]string{
	"timeout_frozen_after":       "MAIN_TIMEOUT_FROZEN_AFTER",
	"ignore_bounce_errors_after": "MAIN_IGNORE_BOUNCE_ERRORS_AFTER",
	"log_selector":               "MAIN_LOG_SELECTOR",
}

// set is how to give an option another value: the line, and where it goes.
func (c *Config) set(layout, option, value string) string {
	name, debian := option, layout == "debian" && (len(c.macros) == 0 || c.macros["CONFDIR"] != "")
	if macro := debianMacros[option]; debian && macro != "" {
		name = macro
	}
	line := fmt.Sprintf("%s = %s", name, value)
	if !debian {
		return fmt.Sprintf("put the line %q into the main part of %s, in place of the one there that sets it, then restart Exim", line, c.file)
	}
	unsplit := filepath.Join(c.confDir(), "exim4.conf.localmacros")
	split := filepath.Join(c.confDir(), "conf.d/main/000_localmacros")
	where := map[string]string{"false": unsplit, "true": split, "": unsplit + " (dc_use_split_config='false') or " + split + " ('true')"}[c.split]
	if name == option {
		return fmt.Sprintf("take out the line that sets %s (grep -rn %s %s), put %q into %s, then run update-exim4.conf and restart Exim", option, option, c.confDir(), line, where)
	}
	return fmt.Sprintf("put the line %q into %s, in place of one there that sets it, then run update-exim4.conf and restart Exim", line, where)
}
