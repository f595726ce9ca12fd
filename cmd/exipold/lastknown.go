package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/store/sqlite"
)

// keepLastKnown does what exipold serve does by itself: it has Exim know, in the file that it looks at
// while no exipold runs, what the desk has just decided.
func keepLastKnown(ctx context.Context, out io.Writer, p *plan.Plan, s *sqlite.Store) {
	if _, err := running(ctx, p.Socket); err == nil {
		return
	}
	if err := helper.WriteBlocked(ctx, s, p, time.Now()); err != nil {
		fmt.Fprintf(out, "exipold: while no exipold runs here, Exim goes by what it knew before: %v\n", err)
	}
}
