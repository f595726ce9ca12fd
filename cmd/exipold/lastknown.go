package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"exipol/generator/plan"
	"exipol/helper"
	"exipol/helper/store"
)

// takeUp has the exipold that runs here, if one does, take up what a command has just written, so that it is in
// force at once. Where that fails it takes two seconds, as on every other gateway.
func takeUp(ctx context.Context, p *plan.Plan) (runs bool) {
	_, err := askSocket(ctx, p.Socket, helper.RefreshQuestion, storeAgain)
	return err == nil
}

// storeAgain is in which time at most exipold reads again what was said at run time, without being asked.
const storeAgain = 2 * time.Second

// keepLastKnown does what exipold serve does by itself: it has Exim know, in the file that it looks at
// while no exipold runs, what the desk has just decided.
func keepLastKnown(ctx context.Context, out io.Writer, p *plan.Plan, s store.Store) {
	if takeUp(ctx, p) {
		return
	}
	if err := helper.WriteBlocked(ctx, s, p, s.Now()); err != nil {
		fmt.Fprintf(out, "exipold: while no exipold runs here, Exim goes by what it knew before: %v\n", err)
	}
}
