package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	exitFine    = 0
	exitFailed  = 1 // the policies or the operation
	exitUsage   = 2
	exitDiffers = 3 // it works, but what is there is not what it would make
)

// exit is an error that only carries a status: everything was said already.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// failure is an operation that failed. Any other error of a command is one of
// usage, which is what cobra's own errors are.
type failure struct{ err error }

func (f failure) Error() string { return f.err.Error() }
func (f failure) Unwrap() error { return f.err }

// action makes a cobra action of a function whose errors are failures, unless they
// say otherwise.
func action(do func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := do(cmd, args)
		var e exit
		var u usageError
		if err == nil || errors.As(err, &e) || errors.As(err, &u) {
			return err
		}
		return failure{err}
	}
}

// usageError is wrong usage that cobra could not see.
type usageError struct{ error }

func wrongUsage(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// finish says what went wrong, in one line, and returns the exit status.
func finish(err error, stderr io.Writer) int {
	var e exit
	var f failure
	switch {
	case err == nil:
		return exitFine
	case errors.As(err, &e):
		return int(e)
	case errors.As(err, &f):
		fmt.Fprintf(stderr, "exipol: %v\n", err)
		return exitFailed
	}
	fmt.Fprintf(stderr, "exipol: %v\nTry exipol --help, or exipol COMMAND --help.\n", err)
	return exitUsage
}
