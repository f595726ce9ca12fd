// Package cli is what the two programs' command lines share: exit statuses, how an
// error ends the program, and the commands that both have.
package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	Fine    = 0
	Failed  = 1 // the policies or the operation
	Usage   = 2
	Differs = 3 // it works, but what is there is not what it would make
)

// Exit is an error that only carries a status: everything was said already.
type Exit int

func (e Exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// failure is an operation that failed. Any other error of a command is one of
// usage, which is what cobra's own errors are.
type failure struct{ err error }

func (f failure) Error() string { return f.err.Error() }
func (f failure) Unwrap() error { return f.err }

// usageError is wrong usage that cobra could not see.
type usageError struct{ error }

// WrongUsage is an error of the command line that an action found.
func WrongUsage(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// Action makes a cobra action of a function whose errors are failures, unless they
// say otherwise.
func Action(do func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := do(cmd, args)
		var e Exit
		var u usageError
		if err == nil || errors.As(err, &e) || errors.As(err, &u) {
			return err
		}
		return failure{err}
	}
}

// Run is a whole program but for the process around it: it carries out the command
// line, says in one line what went wrong, and returns the exit status.
func Run(root *cobra.Command, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root.SilenceUsage = true
	root.SilenceErrors = true
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	var e Exit
	var f failure
	switch name := root.Name(); {
	case err == nil:
		return Fine
	case errors.As(err, &e):
		return int(e)
	case errors.As(err, &f):
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return Failed
	default:
		fmt.Fprintf(stderr, "%s: %v\nTry %s --help, or %s COMMAND --help.\n", name, err, name, name)
		return Usage
	}
}
