package main

import (
	"io"
	"log/slog"
	"os"

	"exipol/cmd/internal/cli"
)

// logger writes to w; under journald without times, which it adds itself.
func logger(w io.Writer, o serveOptions) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return nil, cli.WrongUsage("--log-level %s: one of debug, info, warn and error belongs there", o.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	if os.Getenv("JOURNAL_STREAM") != "" {
		options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	switch o.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, cli.WrongUsage("--log-format %s: text or json belongs there", o.logFormat)
}
